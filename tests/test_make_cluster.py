"""`make cluster`: nodes, Redis, PostgreSQL and haproxy of this machine, as people who try it start and end them."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.cluster import programs
from deploy.cluster.__main__ import plan_of
from deploy.cluster.balancer import settings
from deploy.cluster.local import Plan, running_cluster
from deploy.cluster.process import NotStarted, running
from relay.errors import ConfigurationError
from tests.kit.children import child, end_child, start_child
from tests.kit.process import START
from tests.kit.wait import PATIENCE, eventually

ENDS = 60.0
"""Seconds for all of a cluster to end in order."""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Pytest's `tmp_path` is too long for a socket below it, and closed to PostgreSQL's user."""
    with tempfile.TemporaryDirectory(prefix="c-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def quiet(_name: str, _line: str) -> None:
    pass


async def read_until(process: Process, text: str, within: float = START) -> str:
    """What the process prints, up to a line that has the text."""
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(within):
        while text not in said:
            line = await process.stdout.readline()
            assert line, f"it has ended:\n{said}"
            said += line.decode()
    return said


def children_of(pid: int) -> set[int]:
    """The processes that a process has started, and those that these have started."""
    direct = {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return direct | {one for child in direct for one in children_of(child)}


def alive(pid: int) -> bool:
    """It runs, and is not only left to be waited for."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def header_in(file: str) -> dict[str, str]:
    """As curl reads it."""
    name, _, value = Path(file).read_text().strip().partition(": ")
    return {name: value}


def nothing_in(folder: Path) -> bool:
    return not [*folder.iterdir()]


@asynccontextmanager
async def command(folder: Path, *arguments: str) -> AsyncIterator[Process]:
    """The command, whose temporary folder is in `folder`."""
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}, "TMPDIR": str(folder)}
    process = await start_child(
        *[sys.executable, "-m", "deploy.cluster", "--port", "0", *arguments], env=environment, stdout=PIPE, stderr=STDOUT
    )
    try:
        yield process
    finally:
        await end_child(process)


@asynccontextmanager
async def logged_in(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        async with http.post("/api/dev/login", json={"profile_type": "student", "profile_id": 456}) as response:
            assert response.status == 200
        yield http


async def figure(node: str, name: str) -> float:
    """A metric without labels of a node."""
    async with aiohttp.ClientSession() as http, http.get(f"{node}/metrics") as response:
        found = re.search(rf"(?m)^{name} (\S+)$", await response.text())
    assert found
    return float(found[1])


@pytest.mark.servers
async def test_three_nodes_serve_behind_one_port_and_ctrl_c_leaves_nothing_behind(short_folder: Path) -> None:
    async with command(short_folder, "--drain", "2") as process:
        said = await read_until(process, "Nothing is kept.")
        [url] = re.findall(r"3 nodes behind (\S+)", said)
        nodes = re.findall(r"(?m)^  relay-\d  (\S+)", said)
        [header] = re.findall(r"--header @(\S+)", said)
        started = children_of(process.pid)
        assert len(nodes) == 3
        assert len(started) >= 6
        async with logged_in(url) as http:
            assert "<title>" in await (await http.get("/")).text()
            found = await _nodes(http, header_in(header))
            assert sorted(one["name"] for one in found["nodes"]) == ["relay-1", "relay-2", "relay-3"]
            assert sorted(one["url"] for one in found["nodes"]) == sorted(nodes)
            async with http.ws_connect("/ws/456/student"), http.ws_connect("/ws/456/student"), http.ws_connect("/ws/456/student"):
                await eventually(lambda: _one_each(nodes), "each WebSocket is at another node")
        process.send_signal(signal.SIGINT)
        assert "WARNING" not in said
        rest = await read_until(process, "All have ended", ENDS)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
        assert "WARNING" not in rest
        ended = re.findall(r"(relay-\d) has ended with status (-?\d+)", rest)
        assert ended == [("relay-1", "0"), ("relay-2", "0"), ("relay-3", "0")], "in order, each by itself"
        assert not [one for one in started if alive(one)]
    assert nothing_in(short_folder)


async def _nodes(http: aiohttp.ClientSession, headers: dict[str, str]) -> dict[str, Any]:
    async def all_there() -> dict[str, Any] | None:
        async with http.get("/api/admin/nodes", headers=headers) as response:
            assert response.status == 200
            found: dict[str, Any] = await response.json()
        return found if len(found["nodes"]) == 3 else None

    return await eventually(all_there, "every node knows the others")


async def _one_each(nodes: list[str]) -> bool:
    return [await figure(node, "relay_devices") for node in nodes] == [1, 1, 1]


@pytest.mark.servers
async def test_when_the_command_is_killed_its_programs_end_too(short_folder: Path) -> None:
    async with command(short_folder, "--nodes", "1") as process:
        await read_until(process, "Nothing is kept.")
        started = children_of(process.pid)
        process.kill()
        await process.wait()
        await eventually(lambda: not [one for one in started if alive(one)], "all have ended")


@pytest.mark.servers
async def test_people_at_two_nodes_call_each_other_and_a_killed_node_can_be_started_again() -> None:
    async with running_cluster(Plan(nodes=2, port=0), quiet) as cluster:
        call = ["call", "--url", cluster.url, "--as", "student_456", "--to", "tutor_789", "--answer", "--duration", "1s"]
        async with child(sys.executable, "-m", "relay", *call, stdout=PIPE, stderr=STDOUT) as process:
            said, _ = await asyncio.wait_for(process.communicate(), START)
        assert process.returncode == 0, said.decode()
        posted = [await figure(node.url, "relay_cluster_posts_total") for node in cluster.nodes]
        assert all(posted), "the nodes had something to say to each other"
        killed = cluster.nodes[1]
        assert killed.program is not None
        killed.program.kill()
        await killed.program.ended.wait()
        await killed.close()
        await killed.start(quiet)
        assert await figure(killed.url, "relay_cluster_lease_held") == 1


async def test_a_program_that_does_not_start_says_why() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(NotStarted, match=r"(?s)^node ended with status 3:\nno such thing$"):
        async with running("node", ["sh", "-c", "echo no such thing; exit 3"], quiet) as program:
            await program.ready(never)


async def test_a_program_that_does_not_end_by_its_signal_is_killed_with_its_children() -> None:
    said: list[str] = []
    script = "trap '' TERM; sleep 1000 & echo $!; wait; wait"
    async with running("stubborn", ["sh", "-c", script], lambda _, line: said.append(line), within=0.1) as program:

        async def ready() -> bool:
            return bool(said)

        await program.ready(ready)
    assert program.status == -signal.SIGKILL
    await eventually(lambda: not alive(int(said[0])), "its child has ended")


def test_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    packages = {"sh": "dash", "no-such-server": "redis-server", "no-such-balancer": "haproxy", "no-such-tool": "haproxy"}
    with pytest.raises(ConfigurationError, match=r"sudo apt-get install haproxy redis-server$"):
        programs.found(packages)


def test_settings_of_the_environment_are_those_of_all_nodes_but_the_port_which_is_the_balancers() -> None:
    given = {"RELAY_PORT": "9000", "RELAY_LOG_LEVEL": "DEBUG", "HOME": "/home/maya"}
    assert plan_of(["--nodes", "5"], given) == (Plan(5, 9000, 3.0, {"RELAY_LOG_LEVEL": "DEBUG"}), False)


@pytest.mark.parametrize("arguments", [["--nodes", "0"], ["--nodes", "many"], ["--port", "http"]])
def test_an_argument_that_makes_no_sense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        plan_of(arguments, {})
    assert arguments[0] in capsys.readouterr().err


def test_each_node_is_a_server_of_every_backend_and_the_balancer_listens_on_both_loopbacks() -> None:
    text = settings(8000, {"relay-1": 8001, "relay-2": 8002}, ["127.0.0.1", "::1"])
    assert text.count("server relay-1 127.0.0.1:8001\n") == text.count("server relay-2 127.0.0.1:8002\n") == 3
    assert "bind 127.0.0.1:8000\n" in text
    assert "bind [::1]:8000\n" in text

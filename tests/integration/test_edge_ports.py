"""Ports of the relay as an operator runs it: those that another process has, and those that are turned off."""

import asyncio
import resource
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from relay.serving import FILES
from tests.edge.kit import HERE, write_certificate
from tests.kit.process import ANEW, LOCAL, run, serving

pytestmark = pytest.mark.servers


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def listeners_of(process: int) -> dict[str, int]:
    """How many TCP listeners and bound UDP sockets a process has (proc(5))."""
    sockets = {link.readlink().name for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink()}
    found = {}
    for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        lines = [line.split() for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]]
        found[table] = sum(line[3] == state and f"socket:[{line[9]}]" in sockets for line in lines)
    return {"tcp": found["tcp"] + found["tcp6"], "udp": found["udp"] + found["udp6"]}


async def test_a_second_relay_says_in_one_line_which_port_is_taken(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    async with serving(tmp_path / "first") as first:
        port = port_of(first.relay.url)
        second = await run(tmp_path / "second", "serve", **{**LOCAL, "port": str(port)})
    assert (second.status, second.out) == (2, "")
    assert second.err == f"cannot listen on {HERE} port {port}: Address already in use\n"


async def test_a_turn_port_that_coturn_has_is_a_warning_and_the_relay_serves(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as coturn:
        coturn.bind((HERE, 0))
        port = coturn.getsockname()[1]
        async with serving(tmp_path, turn_port=str(port)) as server:
            login = {"profile_type": "student", "profile_id": 456}
            url = f"{server.relay.url}/api/dev/login"
            async with aiohttp.ClientSession() as http, http.post(url, json=login) as response:
                [turn] = (await response.json())["ice_servers"]
            assert [one.rpartition("=")[2] for one in turn["urls"]] == ["tcp"]
            outcome = await server.stop(signal.SIGINT)
    [warning] = [line for line in outcome.err.splitlines() if "WARNING" in line and "RELAY_HOST" not in line]
    assert f"no TURN over UDP, as port {port} is not to be had (RELAY_TURN_PORT): Address already in use" in warning


@pytest.mark.parametrize(
    ("given", "listeners"),
    [
        pytest.param({}, {"tcp": 1, "udp": 2}, id="as it is: HTTP's port, TURN's and the way to the workers"),
        pytest.param({"turn": "false"}, {"tcp": 1, "udp": 1}, id="without TURN"),
        pytest.param({"media_tcp": "false"}, {"tcp": 1, "udp": 2}, id="without ICE-TCP"),
        pytest.param({"turn": "false", "media_tcp": "false"}, {"tcp": 1, "udp": 0}, id="with UDP media only"),
        pytest.param(
            {"turn": "false", "media_tcp": "false", "media_tcp_port": "1"}, {"tcp": 1, "udp": 0}, id="and a port for the others"
        ),
    ],
)
async def test_a_transport_that_is_turned_off_has_no_listener_and_is_not_advertised(
    tmp_path: Path, given: dict[str, str], listeners: dict[str, int]
) -> None:
    async with serving(tmp_path, workers="1", **given) as server:
        assert listeners_of(server.process.pid) == listeners
        login = {"profile_type": "student", "profile_id": 456}
        url = f"{server.relay.url}/api/dev/login"
        async with aiohttp.ClientSession() as http, http.post(url, json=login) as response:
            assert bool((await response.json())["ice_servers"]) == ("turn" not in given)


async def test_media_may_have_a_tcp_port_of_its_own_which_serves_no_page(tmp_path: Path) -> None:
    with socket.create_server((HERE, 0)) as free:
        port = free.getsockname()[1]
    async with serving(tmp_path, media_tcp_port=str(port)) as server:
        assert listeners_of(server.process.pid)["tcp"] == 2
        reader, writer = await asyncio.open_connection(HERE, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()


async def test_it_may_have_as_many_connections_as_the_system_lets_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(500, hard), hard))
    try:
        async with serving(tmp_path, program=ANEW) as server:
            assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[0] == min(FILES, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_key_that_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "relay")
    key += ".lost"
    outcome = await run(tmp_path, "serve", **{**LOCAL, "tls_cert": certificate, "tls_key": key})
    assert (outcome.status, outcome.out) == (2, "")
    problem = f"{key}: No such file or directory"
    assert outcome.err == f"the TLS certificate {certificate} with the key {key} cannot be used: {problem}\n"

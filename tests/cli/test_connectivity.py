"""`python -m relay check`, as an operator runs it."""

import asyncio
import json
import signal
from pathlib import Path

import msgspec
import pytest

from relay.__main__ import main
from relay.check.report import Hop, ProbeState, Report
from tests.check.conftest import relay
from tests.kit import process
from tests.kit.server import RunningRelay

__all__ = ["relay"]

pytestmark = pytest.mark.servers


async def run(folder: Path, *arguments: str) -> process.Outcome:
    """Its outcome; whatever happens, there is no traceback."""
    outcome = await process.run(folder, "check", *arguments)
    assert "Traceback" not in outcome.out + outcome.err
    return outcome


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says before it ends, without a process of its own: its imports take longer than all that it does."""
    with pytest.raises(SystemExit) as ended:
        main(["check", *arguments])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    return err


async def test_the_result_of_each_hop_is_printed_and_the_exit_status_is_0(relay: RunningRelay, tmp_path: Path) -> None:
    outcome = await run(tmp_path, relay.url, "--insecure", "--user", "tutor_789")
    assert (outcome.status, outcome.err) == (0, "")
    hops, verdict = outcome.out.split("\n\n")
    names = ["Page", "WebSocket", "UDP", "TCP", "TURN over UDP", "TURN over TCP", "TURN over TLS", "Call"]
    lines = hops.splitlines()
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        assert line.startswith(f"✓ {name} ")
        assert " works" in line
    figures, *sentences = verdict.splitlines()
    assert figures.startswith("UDP (IPv4) to ")
    assert "round trip" in figures
    assert sentences[0].startswith(f"Everything works: media will use UDP {relay.media_ports[0]} to ")


async def test_for_machines_it_is_one_json_object(relay: RunningRelay, tmp_path: Path) -> None:
    outcome = await run(tmp_path, relay.url, "--insecure", "--json")
    found = json.loads(outcome.out)
    assert (outcome.status, found["status"]) == (0, 0)
    assert found["sentences"]
    report = msgspec.convert(found["report"], Report)
    assert {report.result(hop).state for hop in Hop} == {ProbeState.OK}
    assert report.figures is not None


async def test_no_secret_is_printed(relay: RunningRelay, tmp_path: Path) -> None:
    outcome = await run(tmp_path, relay.url, "--insecure", "--token", "a.b.c", "--json")
    assert (outcome.status, json.loads(outcome.out)["report"]["hops"]["page"]["reason"]) == (2, "unauthorized")
    assert "a.b.c" not in outcome.out


async def test_a_certificate_that_is_not_good_is_status_2(relay: RunningRelay, tmp_path: Path) -> None:
    outcome = await run(tmp_path, relay.url)
    assert (outcome.status, outcome.err) == (2, "")
    assert outcome.out.splitlines()[-1].startswith("The TLS certificate of 127.0.0.1 is not valid: ")


async def test_a_refused_connection_is_status_2(tmp_path: Path) -> None:
    outcome = await run(tmp_path, "http://127.0.0.1:1")
    assert (outcome.status, outcome.err) == (2, "")
    assert outcome.out.splitlines()[-1] == "TCP 1 of 127.0.0.1 refuses connections: is the relay running, and is this its port?"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "https://:443",
        "ftp://relay.example",
        "http://relay.example:99999",
        "http://[::1",
        "file:///etc",
    ],
)
def test_a_malformed_url_is_a_usage_error(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert "URL" in usage_error(capsys, url)


@pytest.mark.parametrize("arguments", [[], ["http://127.0.0.1:1", "--user", "nobody"], ["http://127.0.0.1:1", "--no-such"]])
def test_wrong_arguments_are_a_usage_error(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert "usage: " in usage_error(capsys, *arguments)


async def test_the_command_needs_no_settings_of_the_relay(tmp_path: Path) -> None:
    outcome = await process.run(tmp_path, "check", "http://127.0.0.1:1", port="nonsense")
    assert (outcome.status, outcome.err) == (2, "")
    assert "refuses connections" in outcome.out


async def test_ctrl_c_ends_it_without_a_word(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, process.started(tmp_path, "check", url) as program:
        await asyncio.wait_for(asked.wait(), process.PATIENCE)
        program.send_signal(signal.SIGINT)
        outcome = await asyncio.wait_for(program.communicate(), process.PATIENCE)
    assert (program.returncode, outcome) == (130, (b"", b""))

"""What signals do to `python -m relay serve`, and to its workers: each is sent to real processes."""

import asyncio
import contextlib
import os
import pty
import signal
import socket
import sqlite3
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.cli.test_main import call_at
from tests.edge.kit import common_name, trusting, write_certificate
from tests.kit.children import end_child, start_child
from tests.kit.issuer import Issuer, key_set
from tests.kit.process import LOCAL, PATIENCE, START, Server, defaults, serving, started
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers


def workers_of(server: Server) -> list[int]:
    pid = server.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def logged(server: Server, text: str) -> str:
    """The next line of the log that has `text` in it."""
    assert server.process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while line := await server.process.stderr.readline():
            if text in line.decode():
                return line.decode()
    raise AssertionError(f"the server ended without a word of {text!r}")


def shown(server: Server) -> str:
    """Whom the certificate is for that the server shows."""
    host, _, port = server.relay.url.removeprefix("https://").partition(":")
    with socket.create_connection((host, int(port))) as plain, trusting().wrap_socket(plain) as secure:
        der = secure.getpeercert(binary_form=True)
    assert der is not None
    return common_name(der)


async def test_signals_that_ask_for_no_end_end_neither_the_server_nor_a_worker_nor_a_call(tmp_path: Path) -> None:
    async with serving(tmp_path, workers="1") as server, call_at(server):
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            for pid in [*workers_of(server), server.process.pid]:
                os.kill(pid, number)
            await logged(server, number.name)
        counters = await server.relay.counters()
        assert (counters["relay_calls"], counters["relay_media_workers_lost_total"]) == (1, 0)
        outcome = await server.stop(signal.SIGTERM)
        assert (outcome.status, "has died" in outcome.err) == (0, False)


async def test_hang_up_loads_a_certificate_again_and_keeps_the_old_one_if_it_cannot_be_used(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "first")
    async with serving(tmp_path, tls_cert=certificate, tls_key=key) as server:
        for name in ("second", "third"):
            write_certificate(tmp_path, name)
            server.process.send_signal(signal.SIGHUP)
            await logged(server, "SIGHUP")
            await eventually(lambda name=name: shown(server) == name, f"the certificate of {name} is shown")  # type: ignore[misc]
        (tmp_path / "key.pem").write_text("no key")
        server.process.send_signal(signal.SIGHUP)
        assert "the old one stays" in await logged(server, "cannot be used")
        assert shown(server) == "third"


async def test_hang_up_loads_the_keys_of_the_tokens_again_and_keeps_the_old_ones_if_they_cannot_be_used(tmp_path: Path) -> None:
    withdrawn, new = Issuer("ES256", "withdrawn"), Issuer("ES256", "new")
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(withdrawn))
    async with serving(tmp_path, jwks=str(file)) as server, aiohttp.ClientSession(server.relay.url) as http:

        async def status(issuer: Issuer) -> int:
            async with http.get("/api/calls", headers={"Authorization": f"Bearer {issuer.token()}"}) as response:
                return response.status

        assert await status(withdrawn) == 200
        file.write_bytes(key_set(new))
        server.process.send_signal(signal.SIGHUP)
        await logged(server, "the keys of the tokens")
        assert (await status(withdrawn), await status(new)) == (401, 200)
        file.write_text("{}")
        server.process.send_signal(signal.SIGHUP)
        assert "the old ones stay" in await logged(server, "the keys of the tokens")
        assert await status(new) == 200


async def test_a_server_in_development_ends_with_its_terminal(tmp_path: Path) -> None:
    """Else the port would be taken the next time, by a server that has no window any more."""
    ours, theirs = pty.openpty()
    given = {f"RELAY_{name.upper()}": value for name, value in {**defaults(tmp_path), **LOCAL}.items()}
    process = await start_child(
        *("setsid", "--ctty", "--wait", sys.executable, "-m", "relay", "serve"),
        stdin=theirs,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **given},
    )
    os.close(theirs)
    try:
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readuntil(b"Ctrl-C"), PATIENCE)
        os.close(ours)
        _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        await end_child(process)
    assert process.returncode == 0, said


async def test_two_signals_at_once_still_end_each_call_and_write_its_row(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, call_at(server):
        server.process.send_signal(signal.SIGQUIT)
        assert (await server.stop(signal.SIGINT)).status == 0
        [row] = await server.relay.call_logs()
        assert (row["status"], row["end_reason"]) == ("ended", "server_shutdown")


async def test_a_second_signal_ends_a_server_that_waits_for_its_database(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, call_at(server):
        with contextlib.closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            server.process.send_signal(signal.SIGTERM)
            await logged(server, "stopping")
            server.process.send_signal(signal.SIGTERM)
            await logged(server, "SIGTERM again")
            assert (await server.stop(signal.SIGTERM)).status in {0, 128 + signal.SIGTERM}
            other.execute("ROLLBACK")
    async with serving(tmp_path) as server:
        [row] = await server.relay.call_logs()
        assert row["status"] == "ended"


async def test_a_signal_while_the_server_starts_ends_it(tmp_path: Path) -> None:
    """Though what it waits for, here a database that does not answer, takes ten seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+asyncpg://relay@127.0.0.1:{silent.getsockname()[1]}/relay?ssl=disable"
        silent.setblocking(False)
        async with started(tmp_path, "serve", **{**LOCAL, "database_url": url}) as process:
            connection, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(silent), START)
            process.send_signal(signal.SIGTERM)
            _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
        connection.close()
    assert (process.returncode, said.decode().count("Traceback")) == (0, 0)


async def test_a_server_that_is_told_to_drain_ends_with_its_last_call(tmp_path: Path) -> None:
    async with serving(tmp_path, drain_seconds="60") as server, call_at(server) as (caller, _):
        server.process.send_signal(signal.SIGTERM)
        await logged(server, "draining: no new calls; 1 calls have 60 s to end")
        assert (await server.relay.counters())["relay_calls"] == 1
        await caller.send("call_ended", conversation_id=123)
        _, said = await asyncio.wait_for(server.process.communicate(), PATIENCE)
        assert (server.process.returncode, "Traceback" in said.decode()) == (0, False)
        [row] = await server.relay.call_logs()
        assert (row["status"], row["end_reason"]) == ("ended", "hangup")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_a_server_that_drains_at_once(tmp_path: Path, number: signal.Signals) -> None:
    async with serving(tmp_path, drain_seconds="3600") as server, call_at(server) as (caller, _):
        server.process.send_signal(signal.SIGTERM)
        await logged(server, "draining")
        assert (await server.stop(number)).status == 0
        assert (await caller.expect("call_ended"))["reason"] == "server_shutdown"
        [row] = await server.relay.call_logs()
        assert (row["status"], row["end_reason"]) == ("ended", "server_shutdown")


async def test_an_interrupt_waits_for_no_call(tmp_path: Path) -> None:
    async with serving(tmp_path, drain_seconds="3600") as server, call_at(server):
        outcome = await server.stop(signal.SIGINT)
        assert (outcome.status, "draining" in outcome.err) == (0, False)


async def test_a_server_whose_time_to_drain_is_over_ends_its_calls(tmp_path: Path) -> None:
    async with serving(tmp_path, drain_seconds="1") as server, call_at(server) as (caller, _):
        assert (await server.stop(signal.SIGTERM)).status == 0
        assert (await caller.expect("call_ended"))["reason"] == "server_shutdown"

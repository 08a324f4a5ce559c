"""The command line, as an operator meets it: in a process of its own."""

import asyncio
import base64
import contextlib
import os
import re
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.__main__ import main
from relay.db.engine import create_engine
from tests.db import platform_database
from tests.edge.kit import write_certificate
from tests.kit.issuer import Issuer, key_set
from tests.kit.peer import Peer
from tests.kit.process import ANEW, LOCAL, Outcome, Server, defaults, run, serving
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers

SECRET = "0123456789abcdef0123456789abcdef"


# -- words ------------------------------------------------------------------------------------------------------------


class Command:
    """The command line in this process: the same code, without a second for the start of each Python."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys

    def __call__(self, *arguments: str, **settings: str) -> Outcome:
        with self._monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("RELAY_")]:
                patch.delenv(name)
            for name, value in {**defaults(self._folder), **settings}.items():
                patch.setenv(f"RELAY_{name.upper()}", value)
            try:
                status = main(list(arguments))
            except SystemExit as end:
                assert isinstance(end.code, int)
                status = end.code
        said = self._capsys.readouterr()
        return Outcome(status, said.out, said.err)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, monkeypatch, capsys)


async def test_help_names_every_command(tmp_path: Path) -> None:
    outcome = await run(tmp_path, "--help", program=ANEW)
    assert (outcome.status, outcome.err) == (0, "")
    for word in ("serve", "migrate", "check-config", "docs/configuration.md"):
        assert word in outcome.out


@pytest.mark.parametrize("name", ["serve", "migrate", "check-config"])
def test_each_command_explains_itself(command: Command, name: str) -> None:
    outcome = command(name, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert f"python -m relay {name}" in outcome.out


@pytest.mark.parametrize("arguments", [[], ["dance"], ["serve", "now"]])
def test_an_unknown_command_is_refused(command: Command, arguments: list[str]) -> None:
    outcome = command(*arguments)
    assert outcome.status == 2
    assert outcome.err.startswith("usage: python -m relay")


def test_check_config_prints_the_effective_settings_and_no_secret(command: Command) -> None:
    outcome = command("check-config", jwt_secret=SECRET, port="8001", public_address="203.0.113.1, 2001:db8::1")
    assert (outcome.status, outcome.err) == (0, "")
    lines = set(outcome.out.splitlines())
    assert {"RELAY_PORT=8001", "RELAY_PUBLIC_ADDRESS=203.0.113.1,2001:db8::1", "RELAY_JWT_SECRET=(set)"} <= lines
    assert SECRET not in outcome.out


def test_check_config_keeps_the_databases_password_to_itself(command: Command) -> None:
    url = "postgresql+asyncpg://relay:hunter22@127.0.0.1:1/calls"
    outcome = command("check-config", jwt_secret=SECRET, database_url=url)
    assert outcome.status == 2
    assert "relay:***@127.0.0.1:1" in outcome.out
    assert outcome.err.startswith("cannot open the database postgresql+asyncpg://relay:***@127.0.0.1:1/calls: ")
    assert "hunter22" not in outcome.out + outcome.err


def test_check_config_opens_the_database_and_makes_none(command: Command, tmp_path: Path) -> None:
    outcome = command("check-config", jwt_secret=SECRET)
    assert f"# The database {tmp_path}/relay.db is still to be made; run: python -m relay migrate." in outcome.out
    assert (outcome.status, list(tmp_path.iterdir())) == (0, [])
    command("migrate", jwt_secret=SECRET)
    outcome = command("check-config", jwt_secret=SECRET)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.endswith("# The database opens, and its schema is up to date.\n")


def test_a_schema_of_a_newer_relay_is_told_so_by_every_command(command: Command, tmp_path: Path) -> None:
    command("migrate", jwt_secret=SECRET)
    with contextlib.closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as database:
        database.execute("UPDATE relay_version SET version_num = '9999'")
    for name in ("migrate", "check-config", "serve"):
        outcome = command(name, **{**LOCAL, "dev": "false"}, jwt_secret=SECRET)
        assert outcome.status == 2
        assert outcome.err == "the database schema is of a newer relay (revision 9999); update this one\n"


def test_check_config_opens_the_certificate_and_the_keys(command: Command, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "relay", 100)
    keys = tmp_path / "keys.json"
    keys.write_bytes(key_set(Issuer("ES256")))
    outcome = command("check-config", tls_cert=certificate, tls_key=key, jwks=str(keys))
    assert (outcome.status, outcome.err) == (0, "")
    assert re.search(r"# The TLS certificate and its key fit; it expires on \d{4}-\d\d-\d\d\.", outcome.out)
    assert "# The keys of RELAY_JWKS can be loaded." in outcome.out

    outcome = command("check-config", tls_cert=key, tls_key=certificate, jwks=str(tmp_path / "none.json"), node="n" * 1000)
    assert outcome.status == 2
    one, other, third = outcome.err.splitlines()
    assert "they are the other way round" in one
    assert other == "RELAY_JWKS: the file cannot be read: No such file or directory"
    assert "node" in third


def test_check_config_looks_at_the_directory_of_recordings(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    outcome = command("check-config", jwt_secret=SECRET, recording="consent", recording_directory=str(folder))
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith(f"RELAY_RECORDING_DIRECTORY: {folder} does not exist")
    folder.mkdir(0o700)
    outcome = command("check-config", jwt_secret=SECRET, recording="consent", recording_directory=str(folder))
    assert outcome.status == 0
    assert f"# Recordings can be written to {folder}; they are not sealed." in outcome.out


def test_the_relay_does_not_start_where_it_could_not_record(command: Command, tmp_path: Path) -> None:
    outcome = command("serve", dev="true", recording_directory=str(tmp_path / "missing"))
    assert outcome.status == 2
    assert "RELAY_RECORDING_DIRECTORY" in outcome.err


def test_check_config_lists_every_problem_on_a_line_of_its_own(command: Command) -> None:
    outcome = command("check-config", media_host="nowhere", database_url="mysql://localhost")
    assert (outcome.status, outcome.out) == (2, "")
    names = [line.partition(":")[0] for line in outcome.err.splitlines()]
    assert names == ["RELAY_MEDIA_HOST", "RELAY_DATABASE_URL", "RELAY_JWT_SECRET"]


def test_a_setting_that_does_not_exist_is_mentioned(command: Command, caplog: pytest.LogCaptureFixture) -> None:
    assert command("check-config", dev="true", prot="8001").status == 0
    assert "RELAY_PROT is no setting of the relay; it is ignored; RELAY_PORT is one" in caplog.text


async def test_serve_asks_for_the_schema_that_migrate_makes(tmp_path: Path) -> None:
    production = {"jwt_secret": SECRET, "host": "127.0.0.1", "port": "0", "media_host": "127.0.0.1", "media_port": "0"}
    outcome = await run(tmp_path, "serve", program=ANEW, **production)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == "the database schema is not up to date; run: python -m relay migrate\n"

    outcome = await run(tmp_path, "migrate", program=ANEW, jwt_secret=SECRET)
    assert (outcome.status, outcome.out) == (0, "The database schema is up to date.\n")

    async with serving(tmp_path, program=ANEW, dev="false", jwt_secret=SECRET, workers="1") as server:
        assert server.greeting.startswith("Serving on http://127.0.0.1:")


def test_migrating_twice_does_nothing_more(command: Command) -> None:
    for _ in range(2):
        outcome = command("migrate", jwt_secret=SECRET)
        assert (outcome.status, outcome.out) == (0, "The database schema is up to date.\n")


async def test_a_platforms_tables_of_calls_are_taken_over_only_when_asked(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'relay.db'}")
    await platform_database.fill(engine)
    await engine.dispose()
    ours = {"jwt_secret": SECRET, "database_prefix": "relay_"}
    outcome = await run(tmp_path, "migrate", **ours)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        "call_logs, whiteboard_call_history already exist in this database; "
        "to take over what is there, run: python -m relay migrate --adopt\n"
    )
    outcome = await run(tmp_path, "migrate", "--adopt", "--close-unfinished", **ours)
    assert (outcome.status, outcome.err) == (0, "")
    assert [line.partition(":")[0] for line in outcome.out.splitlines()[:2]] == ["call_logs", "whiteboard_call_history"]
    assert outcome.out.count("2 unfinished ones closed") == 2
    async with serving(tmp_path, dev="false", **ours) as server:
        assert server.greeting.startswith("Serving on http://127.0.0.1:")
    outcome = await run(tmp_path, "migrate", "--down-to", "base", **ours)
    assert (outcome.status, outcome.out) == (0, "The database schema is back at base.\n")


def test_going_back_to_a_revision_that_does_not_exist_is_refused_in_a_line(command: Command) -> None:
    assert command("migrate", jwt_secret=SECRET).status == 0
    outcome = command("migrate", "--down-to", "nowhere", jwt_secret=SECRET)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "nowhere" in outcome.err


# -- what keeps it from starting --------------------------------------------------------------------------------------


async def test_the_server_does_not_start_without_a_secret(tmp_path: Path) -> None:
    outcome = await run(tmp_path, "serve")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == "RELAY_JWT_SECRET: required outside development mode; try: openssl rand -hex 32\n"
    assert not (tmp_path / "relay.db").exists()


async def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = await run(tmp_path, "serve", **{**LOCAL, "port": str(port)})
    assert (outcome.status, outcome.out) == (2, "")
    [line] = outcome.err.splitlines()
    assert line.startswith(f"cannot listen on 127.0.0.1 port {port}: ")
    assert "address already in use" in line.lower()


def test_a_port_that_is_taken_on_every_address_is_a_line_without_a_gap(command: Command) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = command("serve", **{**LOCAL, "host": "", "port": str(port)})
    assert (outcome.status, outcome.out) == (2, "")
    [line] = outcome.err.splitlines()
    assert f"port {port}: " in line
    assert "  " not in line


def test_a_malformed_address_is_one_clear_line(command: Command) -> None:
    outcome = command("serve", **{**LOCAL, "host": "no such host"})
    assert (outcome.status, outcome.out) == (2, "")
    [line] = outcome.err.splitlines()
    assert line.startswith("cannot listen on no such host port 0: ")


def test_a_media_port_that_is_taken_is_one_clear_line(command: Command) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        outcome = command("serve", **{**LOCAL, "media_port": str(port)})
    assert (outcome.status, outcome.out) == (2, "")
    [line] = outcome.err.splitlines()
    assert line.startswith(f"media cannot listen on UDP 127.0.0.1 port {port}: ")


@pytest.mark.parametrize("name", ["serve", "migrate"])
def test_a_database_that_cannot_be_opened_is_one_clear_line(command: Command, tmp_path: Path, name: str) -> None:
    outcome = command(name, dev="true", database_url=f"sqlite+aiosqlite:///{tmp_path}/no/such/folder.db")
    assert (outcome.status, outcome.out) == (2, "")
    [line] = outcome.err.splitlines()
    assert line.startswith("cannot open the database")


def test_a_name_that_the_log_has_no_room_for_is_one_clear_line(command: Command) -> None:
    outcome = command("serve", **LOCAL, node="n" * 1000)
    assert (outcome.status, outcome.out) == (2, "")
    [line] = outcome.err.splitlines()
    assert "node" in line.lower()


# -- the end of a server ----------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def call_at(server: Server) -> AsyncIterator[tuple[Peer, Peer]]:
    """Two peers in a call that was answered."""
    async with Peer.connected(server.relay.url, "student_456") as caller, Peer.connected(server.relay.url, "tutor_789") as callee:
        await caller.call("tutor_789", 123, "voice", ("PCMU",))
        await callee.answer(await callee.ring())
        await caller.accept_answer()
        yield caller, callee


async def test_an_interrupt_ends_every_call_and_then_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path, workers="1") as server, call_at(server) as (caller, callee):
        outcome = await server.stop(signal.SIGINT, within=3.0)
        assert outcome.status == 0
        assert "Traceback" not in outcome.err
        for peer in (caller, callee):
            assert peer.received[-1]["type"] == "call_ended"
            assert peer.received[-1]["reason"] == "server_shutdown"
        [row] = await server.relay.call_logs()
        assert (row["status"], row["end_reason"]) == ("ended", "server_shutdown")
        assert row["duration_seconds"] is not None


async def test_devices_that_never_say_good_bye_do_not_hold_up_the_end(tmp_path: Path) -> None:
    """As phones do whose network is gone, until a ping finds that out."""
    async with serving(tmp_path) as server, contextlib.AsyncExitStack() as sockets:
        host, _, port = server.relay.url.removeprefix("http://").partition(":")
        for _ in range(3):
            await sockets.enter_async_context(_silent_device(host, int(port)))
        assert (await server.stop(signal.SIGTERM, within=5.0)).status == 0


async def test_the_greeting_names_the_next_step_and_the_address_of_media(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        rest = await server.stop(signal.SIGTERM)
    said = server.greeting + rest.out
    assert "Maya Lindgren (student 456)" in said
    assert re.search(r"UDP ports? [1-9]\d*(, [1-9]\d*)*\.", said), said


@contextlib.asynccontextmanager
async def _silent_device(host: str, port: int) -> AsyncIterator[None]:
    """A WebSocket of student_456 that reads its welcome and does nothing more."""
    reader, writer = await asyncio.open_connection(host, port)
    body = b'{"profile_type":"student","profile_id":456}'
    writer.write(b"POST /api/dev/login HTTP/1.1\r\nHost: relay\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    token = re.search(rb"relay_token=([^;]+)", await reader.readuntil(b"\r\n\r\n"))
    assert token is not None
    writer.close()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        b"GET /ws/456/student HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: relay_token=%s\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (token[1], base64.b64encode(os.urandom(16)))
    )
    await reader.readuntil(b"welcome")
    try:
        yield
    finally:
        writer.close()


async def test_the_call_of_a_server_that_was_killed_is_closed_at_the_next_start(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, call_at(server):

        async def answered() -> bool:
            return [row["status"] for row in await server.relay.call_logs()] == ["answered"]

        await eventually(answered, "the answer is in the database, which hears of it after the parties")
        await server.stop(signal.SIGKILL)
        assert await answered()
    async with serving(tmp_path) as server:
        [row] = await server.relay.call_logs()
        assert (row["status"], row["end_reason"]) == ("ended", "expired")
        assert row["ended_at"] >= row["answered_at"]
        outcome = await server.stop(signal.SIGINT)
        assert "1 calls of an earlier run were still open" in outcome.err


def test_check_config_says_that_redis_does_not_answer_and_keeps_its_password_to_itself(command: Command) -> None:
    shared = {"jwt_secret": SECRET, "turn_secret": SECRET, "database_url": "postgresql+asyncpg://relay@127.0.0.1:1/calls"}
    outcome = command("check-config", redis_url="redis://:hunter22@127.0.0.1:1", **shared)
    assert outcome.status == 2
    assert "RELAY_REDIS_URL=redis://:***@127.0.0.1:1" in outcome.out
    assert "RELAY_REDIS_URL: redis://:***@127.0.0.1:1: Redis is away: " in outcome.err
    assert "hunter22" not in outcome.out + outcome.err

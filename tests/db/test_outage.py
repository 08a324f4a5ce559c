"""A database that is away: told apart from a wrong statement, waited for no longer than it may be, and said once."""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.engine import DEADLINE, create_engine
from relay.db.outage import UNTRIED_AFTER, Outage, WatchedEngine
from relay.errors import Unavailable
from tests.kit.databases import PostgresServer
from tests.kit.outages import frozen, locked, refusing
from tests.kit.wait import eventually

SOON = 0.2
"""Seconds: the deadline in these tests."""


async def read(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT count(*) FROM call_logs"))


async def write(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE call_logs SET call_type = 'voice'"))


@pytest.fixture
async def postgres(postgresql: PostgresServer) -> AsyncIterator[WatchedEngine]:
    engine = create_engine(await postgresql.with_schema())
    yield engine
    await engine.dispose()


@pytest.fixture
async def sqlite(sqlite_with_schema: Path, tmp_path: Path) -> AsyncIterator[WatchedEngine]:
    engine = create_engine(f"sqlite+aiosqlite:///{shutil.copy(sqlite_with_schema, tmp_path / 'relay.db')}", SOON)
    yield engine
    await engine.dispose()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "relay.db.outage"]


def test_people_wait_for_the_database_for_a_few_seconds_at_most() -> None:
    assert DEADLINE <= 3


async def test_a_server_that_hangs_is_given_up_and_used_again_when_it_is_back(postgresql: PostgresServer) -> None:
    engine = create_engine(await postgresql.with_schema(), SOON)

    async def is_used() -> bool:
        with contextlib.suppress(Unavailable):  # a busy machine, too, may take longer than this deadline
            await asyncio.gather(*(read(engine) for _ in range(3)))
            await write(engine)
            return not engine.outage.lasts
        return False

    await eventually(is_used, "the server is used")
    counters = engine.outage.counters
    before = counters["failures"] + counters["busy"]
    with frozen(postgresql):
        async with asyncio.timeout(15):  # the driver closes each of the connections for 2 s
            outcomes = await asyncio.gather(*(read(engine) for _ in range(30)), return_exceptions=True)
        assert {type(one) for one in outcomes} == {Unavailable}
        assert engine.outage.lasts
        # Those that waited for a connection meanwhile cannot tell a server that hangs from one that has much to do.
        assert counters["failures"] + counters["busy"] == before + 30
    await eventually(is_used, "the server is used again")
    await engine.dispose()


async def test_a_server_that_is_restarted_is_away_and_then_back_in_one_line_each(
    postgresql: PostgresServer, postgres: WatchedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await write(postgres)
    async with refusing(postgresql, str(postgres.url)):
        for use in (read, write, write, read):
            with pytest.raises(Unavailable):
                await use(postgres)
        assert postgres.outage.lasts
    await write(postgres)
    await read(postgres)
    [begins, ends] = lines(caplog)
    assert begins.startswith("the database is away: ")
    assert ends == "the database is back after 0 s"
    assert not [record for record in caplog.records if record.exc_info], "no traceback"


async def test_a_sqlite_file_that_another_process_locks_can_be_read_and_is_away_until_it_can_be_written(
    sqlite: WatchedEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with locked(tmp_path / "relay.db"):
        for _ in range(2):
            with pytest.raises(Unavailable):
                await write(sqlite)
            await read(sqlite)
    assert len(lines(caplog)) == 1
    assert "database is locked" in lines(caplog)[0]
    await write(sqlite)
    assert len(lines(caplog)) == 2


async def test_a_database_whose_connections_are_all_in_use_is_busy_and_not_away(
    postgres: WatchedEngine, sqlite: WatchedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    for engine in (postgres, sqlite):
        caplog.clear()
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(engine.max_connections):
                await stack.enter_async_context(engine.connect())
            errors = await asyncio.gather(read(engine), write(engine), return_exceptions=True)
        assert [str(one) for one in errors] == ["the database is busy; try again in a moment"] * 2
        assert {type(one) for one in errors} == {Unavailable}
        await write(engine)
        assert not engine.outage.lasts
        assert engine.outage.counters == {"busy": 2}
        [line] = lines(caplog)
        assert line.startswith(f"all {engine.max_connections} connections to the database are in use")


def test_connections_that_are_all_in_use_for_long_are_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    seconds = [100.0]
    outage = Outage(lambda: seconds[-1])
    for second in (100.0, 100.5, 159.0, 160.0):
        seconds.append(second)
        outage.busy(4, 3.0)
    assert (outage.counters["busy"], len(lines(caplog))) == (4, 2)


async def test_a_server_without_room_for_more_is_away(postgres: WatchedEngine) -> None:
    with pytest.raises(Unavailable):
        async with postgres.begin() as connection:
            await connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$"))


async def test_a_statement_that_is_wrong_is_no_outage(postgres: WatchedEngine, sqlite: WatchedEngine) -> None:
    for engine in (postgres, sqlite):
        for wrong in ("SELECT nothing", "INSERT INTO call_logs (id) VALUES (NULL)"):
            with pytest.raises(DBAPIError):
                async with engine.begin() as connection:
                    await connection.execute(text(wrong))
        assert not engine.outage.counters


def test_a_read_does_not_end_an_outage_of_writes(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    outage = Outage(lambda: now)
    outage.failed(OSError("no"), writing=False)
    outage.failed(OSError("no"), writing=True)
    outage.succeeded(writing=False)
    assert outage.lasts, "it still cannot be written"
    now = 111.0
    outage.succeeded(writing=True)
    assert lines(caplog)[1:] == ["the database is back after 11 s"]


def test_a_failed_write_that_is_not_retried_counts_as_recovered_after_a_read() -> None:
    now = 100.0
    outage = Outage(lambda: now)
    outage.failed(OSError("no"), writing=True)
    now += 10
    outage.succeeded(writing=False)
    assert outage.lasts
    now = 100.1 + UNTRIED_AFTER
    outage.succeeded(writing=False)
    assert not outage.lasts


def test_a_read_ends_an_outage_of_reads(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    outage.failed(TimeoutError(), writing=False)
    outage.succeeded(writing=False)
    assert not outage.lasts
    assert "no answer in time" in lines(caplog)[0]

import asyncio
import importlib
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.engine import PING_AFTER, check, create_engine
from relay.errors import ConfigurationError
from tests.kit.databases import PostgresServer
from tests.kit.wait import eventually


async def pragma(engine: AsyncEngine, name: str) -> object:
    async with engine.connect() as connection:
        return (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()


async def failure(url: str) -> str:
    """What `check` says of a database that cannot be opened."""
    engine = create_engine(url)
    try:
        with pytest.raises(ConfigurationError) as caught:
            await check(engine)
    finally:
        await engine.dispose()
    return str(caught.value)


def format_versions(path: Path) -> bytes:
    """Bytes 18 and 19 of an SQLite file: both are 2 if it is in WAL mode (https://sqlite.org/fileformat.html)."""
    return path.read_bytes()[18:20]


def modes_in(folder: Path) -> dict[str, str]:
    return {file.name: oct(file.stat().st_mode & 0o777) for file in folder.iterdir()}


async def test_a_database_that_can_be_opened_passes_the_check(empty_engine: AsyncEngine) -> None:
    await check(empty_engine)


@pytest.mark.parametrize(
    ("name", "value"),
    [("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 1), ("busy_timeout", 3_000)],
)
async def test_sqlite_is_set_up_on_every_connection(tmp_path: Path, name: str, value: object) -> None:
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'relay.db'}")
    async with engine.connect():
        assert await pragma(engine, name) == value
    await engine.dispose()


@pytest.mark.parametrize(
    "url",
    ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:", "sqlite+aiosqlite:///file:a?mode=memory&uri=true"],
)
async def test_a_database_in_memory_lives_as_long_as_its_engine_and_serves_many_tasks(url: str) -> None:
    engine = create_engine(url)

    async def add() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO t VALUES (1)"))

    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER)"))
    await asyncio.gather(*(add() for _ in range(20)))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 20
    await engine.dispose()


async def test_a_task_that_rolls_back_in_memory_does_not_undo_the_work_of_another() -> None:
    engine = create_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER)"))

    async def add(number: int) -> None:
        async with engine.connect() as connection:
            await connection.execute(text(f"INSERT INTO t VALUES ({number})"))
            await (connection.rollback() if number % 2 else connection.commit())

    await asyncio.gather(*(add(number) for number in range(10)))
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT x FROM t"))).scalars()
        assert set(rows) == {0, 2, 4, 6, 8}
    await engine.dispose()


async def test_many_tasks_write_to_one_sqlite_file_without_an_error(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'relay.db'}")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER)"))

    async def add() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO t VALUES (1)"))

    await asyncio.gather(*(add() for _ in range(50)))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 50
    await engine.dispose()


async def test_connections_that_open_a_new_sqlite_file_at_the_same_moment_all_succeed(tmp_path: Path) -> None:
    for number in range(10):
        path = tmp_path / f"{number}.db"
        engines = [create_engine(f"sqlite+aiosqlite:///{path}") for _ in range(6)]
        await asyncio.gather(*map(check, engines))
        await asyncio.gather(*(engine.dispose() for engine in engines))
        assert format_versions(path) == b"\2\2"


def test_a_missing_postgresql_driver_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigurationError, match=r"asyncpg.*pip install 'call-relay\[postgresql\]'"):
        create_engine("postgresql+asyncpg://relay@localhost/relay")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nonsense", "makes no sense"),
        ("postgresql+nothing://relay:hunter2@localhost/relay", "makes no sense"),
        ("mysql+aiomysql://relay:hunter2@localhost/relay", "'mysql\\+aiomysql' is not supported"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_being_quoted(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        create_engine(url)
    assert "hunter2" not in str(caught.value)


async def test_a_sqlite_file_in_a_missing_directory_fails_in_one_line(tmp_path: Path) -> None:
    said = await failure(f"sqlite+aiosqlite:///{tmp_path / 'missing' / 'relay.db'}")
    assert said.startswith("cannot open the database sqlite+aiosqlite:///")
    assert said.endswith("there is no such folder (unable to open database file)")
    assert "\n" not in said


async def test_a_file_that_is_no_database_fails_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    path.write_text("Dear diary, " * 100)
    assert (await failure(f"sqlite+aiosqlite:///{path}")).endswith("file is not a database")


async def test_a_postgresql_server_that_is_not_there_fails_without_telling_the_password(tmp_path: Path) -> None:
    said = await failure(f"postgresql+asyncpg://relay:hunter2@/relay?host={tmp_path}&password=hunter2")
    assert said.startswith("cannot open the database postgresql+asyncpg://relay:***@/relay: ")
    assert "hunter2" not in said
    assert "\n" not in said


async def test_the_files_of_a_new_sqlite_database_are_their_owners_only(tmp_path: Path) -> None:
    for number, made in enumerate((False, True)):
        engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / str(number)}.db")
        before = os.umask(0)
        try:
            if made:
                await check(engine)
            async with engine.begin() as connection:
                await connection.execute(text("CREATE TABLE t (x INTEGER)"))
            async with engine.connect() as connection:
                await connection.execute(text("SELECT * FROM t"))
                modes = modes_in(tmp_path)
        finally:
            os.umask(before)
            await engine.dispose()
        assert {f"{number}.db", f"{number}.db-wal", f"{number}.db-shm"} <= modes.keys()
        assert set(modes.values()) == {"0o600"}


async def test_a_database_that_every_user_can_read_is_left_as_it_is_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "relay.db"
    file.touch(0o644)
    engine = create_engine(f"sqlite+aiosqlite:///{file}")
    await check(engine)
    await engine.dispose()
    assert f"try: chmod 600 {file}*" in caplog.text
    assert file.stat().st_mode & 0o777 == 0o644


async def test_the_error_of_a_failed_statement_has_no_parameters(empty_engine: AsyncEngine) -> None:
    """Errors are logged, with their text."""
    async with empty_engine.connect() as connection:
        with pytest.raises(DBAPIError) as failed:
            await connection.execute(text("INSERT INTO no_such_table VALUES (:text)"), {"text": "see you at eight"})
    assert "no_such_table" in str(failed.value)
    assert "eight" not in str(failed.value)


@pytest.fixture
def closed_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory that this process may not look into, as a service manager may leave it. Root may look anywhere."""
    importlib.import_module("asyncpg")  # now: Python itself may be in root's home
    home = tmp_path / "home"
    home.mkdir(mode=0)
    monkeypatch.setenv("HOME", str(home))
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    yield home
    os.seteuid(mine)


async def test_an_unreadable_home_is_reported_with_the_remedy(closed_home: Path) -> None:
    said = await failure("postgresql+asyncpg://relay:hunter2@127.0.0.1:1/relay")
    assert said.endswith("may not be read; set HOME to a directory that may")
    assert str(closed_home) in said


async def test_a_postgresql_database_that_does_not_exist_fails_with_its_name(postgresql: PostgresServer) -> None:
    assert 'database "missing" does not exist' in await failure(postgresql.url("missing"))


async def test_a_postgresql_connection_is_asked_whether_it_works_if_it_was_out_of_use(
    postgresql: PostgresServer,
) -> None:
    async with postgresql.database() as url:
        engine, asked = create_engine(url), list[str]()

        async def questions() -> list[str]:
            """Of the next use, without the statement, which is prepared."""
            asked.clear()
            await check(engine)
            return [*asked]

        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            driver.add_query_logger(lambda query: asked.append(query.query))

        async def is_used_at_once() -> bool:
            return await questions() == ["BEGIN;", "ROLLBACK;"]

        await eventually(is_used_at_once, "one that was just used is used again at once")
        await asyncio.sleep(PING_AFTER)
        assert await questions() == ["BEGIN;", ";", "ROLLBACK;", "BEGIN;", "ROLLBACK;"]
        await engine.dispose()


async def test_a_postgresql_connection_that_the_server_cut_is_replaced(postgresql: PostgresServer) -> None:
    async with postgresql.database() as url:
        engine, other = create_engine(url), create_engine(url)
        async with engine.connect() as connection:
            pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        async with other.connect() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        await check(engine)
        await engine.dispose()
        await other.dispose()

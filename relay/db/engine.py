"""The connection to the database: one `AsyncEngine`, set up the way each kind of database wants it."""

import asyncio
import contextlib
import logging
import math
import os
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import URL, Delete, Insert, Update, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from relay.db.hosts import Hosts
from relay.db.naming import PLAIN, Layout, lay_out, layout_of
from relay.db.outage import PRIMARY_CODE, WatchedEngine, reason_of
from relay.errors import ConfigurationError
from relay.settings import database_url

logger = logging.getLogger(__name__)

SQLITE_CONNECTIONS = 4
"""SQLite lets one writer in at a time: more connections would only fight for its lock, while the pool queues fairly."""

POSTGRESQL_CONNECTIONS = 10
"""Kept open; as many again may be opened under load. A server has 100 by default, for all its clients."""

DEADLINE = 3.0
"""Seconds that anything may wait for the database: for a connection from the pool, for a new one, for the answer to a statement.
People wait for their call to ring meanwhile; and a host that vanished must hold nothing until TCP notices (about 15 minutes)."""

PING_AFTER = 1.0
"""Seconds without use. Only then a connection to PostgreSQL is asked whether it still works, before it is used."""

PATIENCE = 3600.0
"""Seconds, where no call waits: a large table gets a new index."""

HIDE_PARAMETERS = True
"""What people write and are called must not be in the text of an error, which is logged."""

UNPREPARED = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}
"""No statement is kept by name at the server: the first is asyncpg's own cache, the others SQLAlchemy's. Behind PgBouncer in
transaction mode the next transaction may meet another server process, which does not know the name, or knows it from another
client. asyncpg sends a nameless statement anew together with its parameters. A unique name for each would work as well, but would
stay in the server process for as long as PgBouncer keeps that."""


async def execute(engine: AsyncEngine, statement: Delete | Insert | Update, parameters: Mapping[str, Any] | None = None) -> int:
    """Run one statement in a transaction of its own.

    Returns:
        How many rows it changed.
    """
    async with engine.begin() as connection:
        return (await connection.execute(statement, parameters)).rowcount


def create_engine(url: str | URL, deadline: float = DEADLINE, *, layout: Layout = PLAIN) -> WatchedEngine:
    """An engine for `sqlite+aiosqlite://…` or `postgresql+asyncpg://…`. Opens no connection yet.

    Args:
        deadline: seconds, as `DEADLINE` says.
        layout: where the relay's own tables are.

    Raises:
        ConfigurationError: the URL makes no sense, its driver is not installed, or a file that it names cannot be read.
    """
    engine = WatchedEngine(_create_engine(url, deadline))
    lay_out(engine, layout)
    return engine


def _create_engine(url: str | URL, deadline: float) -> AsyncEngine:
    try:
        parsed = url if isinstance(url, URL) else database_url.parse(url)
        make = _sqlite if parsed.get_backend_name() == "sqlite" else _postgresql
        return make(parsed, deadline)
    except ValueError as error:
        raise ConfigurationError(f"the database URL makes no sense: {error}") from None
    except ArgumentError:
        # Its text may quote the URL, and with it a password.
        raise ConfigurationError("the database URL makes no sense") from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the database URL needs the Python package {error.name}; try: pip install 'call-relay[postgresql]'"
        ) from error


@asynccontextmanager
async def patient(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The same database, for long work in the background, such as a migration."""
    if _in_memory(engine.url) and engine.dialect.name == "sqlite":
        yield engine
        return
    another = create_engine(engine.url, PATIENCE, layout=layout_of(engine))
    try:
        yield another.unwatched
    finally:
        await another.dispose()


async def check(engine: AsyncEngine) -> None:
    """Open a connection, to find out at start whether that works.

    Raises:
        ConfigurationError: it does not; one line that says why.
    """
    try:
        if engine.dialect.name == "sqlite":
            # Without aiosqlite first: its thread reports a file that cannot be opened twice, the second time to an event
            # loop that may have ended by then, with a traceback.
            await asyncio.to_thread(_open_file, engine)
        async with (engine.unwatched if isinstance(engine, WatchedEngine) else engine).connect() as connection:
            await connection.execute(text("SELECT 1"))
    except Exception as error:  # asyncpg's own errors come through as they are, and it may not be installed to name them
        raise ConfigurationError(f"cannot open the database {_display(engine.url)}: {_reason(error, engine)}") from error


def _reason(error: Exception, engine: AsyncEngine) -> str:
    """Why it cannot be opened, in one line."""
    home = os.environ.get("HOME", "")
    if isinstance(error, PermissionError) and home and Path(error.filename or "/").is_relative_to(home):
        # asyncpg looks there for a password, and for certificates of a client.
        return f"{error.filename} may not be read; set HOME to a directory that may"
    file = file_of(engine)
    if file is not None and getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE == sqlite3.SQLITE_CANTOPEN:
        what = "there is no such folder" if not file.parent.is_dir() else "this user may not open it"
        return f"{file}: {what} (unable to open database file)"
    return reason_of(error)


async def answers(engine: WatchedEngine) -> bool:
    """Whether the database can be read now, and could be written when that was last tried."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    return not engine.outage.lasts


def _display(url: URL) -> str:
    """The URL without what may be secret: the password, and query parameters, where one may hide."""
    return url.set(query={}).render_as_string(hide_password=True)


def folder_of(engine: AsyncEngine) -> Path | None:
    """Where files may be that belong to the database: beside that of SQLite, else where this process runs. None: in memory."""
    if engine.dialect.name != "sqlite":
        return Path()
    return None if _in_memory(engine.url) else Path((engine.url.database or "").removeprefix("file:")).parent


def _in_memory(url: URL) -> bool:
    return not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"


def _sqlite(url: URL, deadline: float) -> AsyncEngine:
    # A database in memory is its connection, and tasks take turns with it. SQLAlchemy's StaticPool would let them use it
    # at the same time, in one transaction: a rollback would undo the others' work too.
    connections = 1 if _in_memory(url) else SQLITE_CONNECTIONS
    engine = create_async_engine(
        url,
        hide_parameters=HIDE_PARAMETERS,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=deadline,
    )

    def set_pragmas(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        _set_pragmas(connection, deadline)

    file = file_of(engine)
    if file is not None:
        event.listen(engine.sync_engine, "do_connect", lambda *_: _make_private(url, file))
    event.listen(engine.sync_engine, "connect", set_pragmas)
    return engine


def file_of(engine: AsyncEngine) -> Path | None:
    """The file of an SQLite database; None if it is in memory, or is no SQLite."""
    if engine.dialect.name != "sqlite" or _in_memory(engine.url):
        return None
    [path], options = engine.dialect.create_connect_args(engine.url)
    return Path(urlsplit(path).path if options.get("uri") else path)


def _open_file(engine: AsyncEngine) -> None:
    file = file_of(engine)
    if file is not None:
        _make_private(engine.url, file)
    [path], options = engine.dialect.create_connect_args(engine.url)
    sqlite3.connect(path, **options).close()
    if file is not None and file.exists() and file.stat().st_mode & stat.S_IRWXO:
        logger.warning("the database %s can be read by every user of this machine; try: chmod 600 %s*", file, file)


def _make_private(url: URL, file: Path) -> None:
    """Make the file, if there is none, for its owner only. SQLite gives its other files (-wal, -shm) the same permissions."""
    if url.query.get("mode", "rwc") == "rwc":
        with contextlib.suppress(OSError):  # it is there; or SQLite says why it cannot be
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, stat.S_IRUSR | stat.S_IWUSR))


def _set_pragmas(connection: DBAPIConnection, deadline: float) -> None:
    cursor = connection.cursor()
    try:
        # First, as the switch to WAL already has to wait for others.
        cursor.execute(f"PRAGMA busy_timeout = {round(deadline * 1000)}")
        _switch_to_wal(cursor)
        # With WAL, a power cut may lose the last transactions but never corrupts the file.
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
    except Exception:
        # The pool forgets a connection whose set-up fails, and its thread would outlive the event loop.
        connection.close()
        raise
    cursor.close()


def _switch_to_wal(cursor: DBAPICursor) -> None:
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # Two connections that switch a new file at the same moment would wait for each other, so SQLite turns one away at
        # once. The other's switch stays in the file and counts for both.
        if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_BUSY:
            raise


def _postgresql(url: URL, deadline: float) -> AsyncEngine:
    _open_files_of_url(url)
    engine = create_async_engine(
        url,
        hide_parameters=HIDE_PARAMETERS,
        pool_size=POSTGRESQL_CONNECTIONS,
        max_overflow=POSTGRESQL_CONNECTIONS,
        pool_timeout=deadline,
    )

    hosts = Hosts(import_module("asyncpg").connect)

    def complete(_dialect: object, _record: object, _: object, arguments: dict[str, Any]) -> None:
        translated = database_url.for_asyncpg(arguments)
        arguments.clear()
        # PgBouncer refuses a connection that asks for other settings than it knows: the name it does.
        arguments |= {"timeout": deadline, "server_settings": {"application_name": "call-relay"}, **translated}
        arguments |= {"command_timeout": deadline, **UNPREPARED}
        if isinstance(arguments.get("host"), list):
            arguments["async_creator_fn"] = hosts.connect

    event.listen(engine.sync_engine, "do_connect", complete)
    _check_when_taken(engine)
    return engine


def _check_when_taken(engine: AsyncEngine) -> None:
    """A server that was restarted costs one round trip here, not one failed call per pooled connection. It is what SQLAlchemy's
    `pool_pre_ping` does, which asks before each use: three round trips and 0.1 ms of a core each time."""
    dialect = engine.sync_engine.dialect

    def given_back(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["given back"] = time.monotonic()

    def taken(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        if record.driver_connection is not None and record.driver_connection.is_closed():
            raise InvalidatePoolError
        if time.monotonic() - record.info.get("given back", math.inf) < PING_AFTER:  # or it is new
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine.sync_engine, "checkin", given_back)
    event.listen(engine.sync_engine, "checkout", taken)


def _open_files_of_url(url: URL) -> None:
    for parameter, name in database_url.files(url):
        try:
            Path(name).open("rb").close()
        except OSError as error:
            raise ConfigurationError(f"RELAY_DATABASE_URL: {parameter}: {name}: {error.strerror}") from None

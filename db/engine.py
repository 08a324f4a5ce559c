"""The connection to the database: one `AsyncEngine`, set up the way each kind of database wants it."""

import asyncio
import sqlite3

from sqlalchemy import URL, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from relay.errors import ConfigurationError

SQLITE_BUSY_TIMEOUT = 10_000
"""Milliseconds that SQLite waits for another writer before it gives up."""

PRIMARY_CODE = 0xFF
"""The bits of an SQLite error code that say what it is; those above add detail."""

SQLITE_CONNECTIONS = 4
"""SQLite lets one writer in at a time: more connections would only fight for its lock, while the pool queues fairly."""

POSTGRESQL_CONNECTIONS = 10
"""Kept open; as many again may be opened under load. A server has 100 by default, for all its clients."""

CONNECT_TIMEOUT = 10.0
"""Seconds. asyncpg's own is 60: too long for somebody who waits for their call to ring."""

COMMAND_TIMEOUT = 60.0
"""Seconds. A database host that vanished must not hold a call's task until TCP notices (about 15 minutes)."""

UNPREPARED = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}
"""No statement is kept by name at the server: the first is asyncpg's own cache, the others SQLAlchemy's. Behind PgBouncer in
transaction mode the next transaction may meet another server process, which does not know the name, or knows it from another
client. asyncpg sends a nameless statement anew together with its parameters. A unique name for each would work as well, but would
stay in the server process for as long as PgBouncer keeps that."""


def create_engine(url: str) -> AsyncEngine:
    """An engine for `sqlite+aiosqlite://…` or `postgresql+asyncpg://…`. Opens no connection yet.

    Raises:
        ConfigurationError: the URL makes no sense, or its driver is not installed.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend == "sqlite":
            return _sqlite(parsed)
        if backend == "postgresql":
            return _postgresql(parsed)
    except (ArgumentError, NoSuchModuleError):
        # The text of these may quote the URL, and with it a password.
        raise ConfigurationError("the database URL makes no sense") from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the database URL needs the Python package {error.name}; try: pip install 'call-relay[postgresql]'"
        ) from error
    raise ConfigurationError(f"{backend} is not a supported database; use SQLite or PostgreSQL")


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
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except Exception as error:  # asyncpg's own errors come through as they are, and it may not be installed to name them
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise ConfigurationError(f"cannot open the database {_display(engine.url)}: {reason}") from error


def _display(url: URL) -> str:
    """The URL without what may be secret: the password, and query parameters, where one may hide."""
    return url.set(query={}).render_as_string(hide_password=True)


def _in_memory(url: URL) -> bool:
    return not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"


def _sqlite(url: URL) -> AsyncEngine:
    # A database in memory is its connection, and tasks take turns with it. SQLAlchemy's StaticPool would let them use it
    # at the same time, in one transaction: a rollback would undo the others' work too.
    connections = 1 if _in_memory(url) else SQLITE_CONNECTIONS
    engine = create_async_engine(url, poolclass=AsyncAdaptedQueuePool, pool_size=connections, max_overflow=0)
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    return engine


def _open_file(engine: AsyncEngine) -> None:
    [path], options = engine.dialect.create_connect_args(engine.url)
    sqlite3.connect(path, **options).close()


def _set_pragmas(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    try:
        # First, as the switch to WAL already has to wait for others.
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT}")
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


def _postgresql(url: URL) -> AsyncEngine:
    return create_async_engine(
        url,
        # A server that was restarted costs one round trip here, not one failed call per pooled connection.
        pool_pre_ping=True,
        pool_size=POSTGRESQL_CONNECTIONS,
        max_overflow=POSTGRESQL_CONNECTIONS,
        connect_args={
            "timeout": CONNECT_TIMEOUT,
            "command_timeout": COMMAND_TIMEOUT,
            # PgBouncer refuses a connection that asks for other settings than it knows: this one it does.
            "server_settings": {"application_name": "call-relay"},
            **UNPREPARED,
        },
    )

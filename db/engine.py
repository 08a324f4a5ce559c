"""The connection to the database: one `AsyncEngine`, set up the way each kind of database wants it."""

from sqlalchemy import URL, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from relay.errors import ConfigurationError

SQLITE_BUSY_TIMEOUT = 10_000
"""Milliseconds that SQLite waits for another writer before it gives up."""

SQLITE_CONNECTIONS = 4
"""SQLite lets one writer in at a time: more connections would only fight for its lock, while the pool queues fairly."""

POSTGRESQL_CONNECTIONS = 10
"""Kept open; as many again may be opened under load. A server has 100 by default, for all its clients."""

CONNECT_TIMEOUT = 10.0
"""Seconds. asyncpg's own is 60: too long for somebody who waits for their call to ring."""

COMMAND_TIMEOUT = 60.0
"""Seconds. A database host that vanished must not hold a call's task until TCP notices (about 15 minutes)."""


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


def _set_pragmas(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # First, as the switch to WAL already has to wait for others.
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # With WAL, a power cut may lose the last transactions but never corrupts the file.
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


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
            "server_settings": {"application_name": "call-relay"},
        },
    )

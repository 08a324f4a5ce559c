"""Outages of the database: distinguishes them from faulty statements and from a lack of connections, and logs each outage once,
not once per statement."""

import logging
import sqlite3
import time
from asyncio import Event
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool

from relay.errors import Unavailable

logger = logging.getLogger(__name__)

NAMES: Final = {
    "outages": "times that the database was away: it did not answer, or could not write",
    "failures": "uses of the database that failed because it was away",
    "busy": "uses of the database that failed because none of its connections became free in time",
}
"""The names of `Outage.counters`."""

PRIMARY_CODE: Final = 0xFF
"""The bits of an SQLite error code that hold the primary code; those above hold the extended code."""

_SQLITE_AWAY: Final = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB),
}
"""Primary codes that do not depend on the statement: any other one would fail too."""

_SQLSTATES_AWAY: Final = (
    *("08", "53", "57", "58"),  # connection, resources (a full disk among them), operator intervention, system
    "40",  # rolled back: it may succeed the next time
    *("25006", "55P03"),  # a standby, or one that has been made read-only; a lock that was not to be had
)
"""Beginnings of PostgreSQL's error codes (its manual, appendix A), likewise."""


def is_outage(error: BaseException) -> bool:
    """Whether an error is an outage of the database, not a faulty statement."""
    # asyncpg says nothing but TimeoutError when a statement takes too long, and OSError when there is no server.
    if isinstance(error, OSError | PoolTimeoutError | InterfaceError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & PRIMARY_CODE in _SQLITE_AWAY
    return str(getattr(cause, "sqlstate", None) or "").startswith(_SQLSTATES_AWAY)


def reason_of(error: BaseException) -> str:
    """The error message of a database, in a line."""
    text = str(getattr(error, "orig", None) or error).partition("\n")[0]
    return text or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


BUSY_SAID_EVERY: Final = 60.0
"""Seconds. How often the log says that all connections are in use, for as long as that lasts."""

UNTRIED_AFTER: Final = 15.0
"""Seconds. Pending writes are retried every 5 s: if no write has failed for so long, none is pending."""


class Outage:
    """Whether the database is away: one line in the log when that begins, and one when it ends.

    One that cannot write is away although it can be read (a full disk, a lock): what began with a transaction, one ends;
    or that no write is tried any more while it can be read.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.counters: Counter[str] = Counter()
        self._now = now
        self._since: float | None = None
        self._writing = False
        self._failed_writing_at = 0.0
        self._busy_said_at: float | None = None

    @property
    def lasts(self) -> bool:
        return self._since is not None

    def failed(self, error: Exception, *, writing: bool) -> None:
        """An operation failed because the database is away."""
        self.counters["failures"] += 1
        if writing:
            self._writing, self._failed_writing_at = True, self._now()
        if self._since is None:
            self._since = self._now()
            self.counters["outages"] += 1
            logger.error(
                "the database is away: %s. Calls go on; what happens to them is written when it is back", reason_of(error)
            )

    def busy(self, connections: int, waited: float) -> None:
        """An operation failed because all connections were in use, by operations that get their answers, for all that is known.

        Args:
            waited: seconds, for one to become free.
        """
        self.counters["busy"] += 1
        if self._busy_said_at is None or self._now() - self._busy_said_at >= BUSY_SAID_EVERY:
            self._busy_said_at = self._now()
            logger.warning(
                "all %d connections to the database are in use, and none became free within %g s: it is slow, or too much is "
                "asked of it at once",
                *(connections, waited),
            )

    def succeeded(self, *, writing: bool) -> None:
        """The database has answered, be it with an error of a statement."""
        if self._since is None:
            return
        untried = self._now() - self._failed_writing_at > UNTRIED_AFTER
        if writing or not self._writing or untried:
            logger.warning("the database is back after %.0f s", self._now() - self._since)
            self._since, self._writing = None, False


class WatchedEngine(AsyncEngine):
    """An engine whose `connect` and `begin` raise `Unavailable` while the database is away, be it at the connection, at a
    statement or at the end of the transaction, or if none of its connections is free in time; and note that in `outage`."""

    __slots__ = ("outage",)

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine.sync_engine)
        self.outage = Outage()

    @property
    def unwatched(self) -> AsyncEngine:
        """The same connections, with errors as they come."""
        return AsyncEngine(self.sync_engine)

    @property
    def max_connections(self) -> int:
        """How many connections may be open at a time."""
        return self.queue.size() + max(0, self.queue._max_overflow)

    @property
    def queue(self) -> QueuePool:
        """What has the connections."""
        assert isinstance(self.pool, QueuePool), "every engine has one"
        return self.pool

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:  # type: ignore[override]  # what `async with` needs of it, and no more
        with self._noticing(writing=False) as connected:
            async with super().connect() as connection:
                connected.set()
                yield connection

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        with self._noticing(writing=True) as connected:
            async with super().connect() as connection:
                connected.set()
                async with connection.begin():
                    yield connection

    @contextmanager
    def _noticing(self, *, writing: bool) -> Iterator[Event]:
        """Of one use of the database, which says when it is connected: until then it is the database that is at fault.

        Raises:
            Unavailable: in place of the error of a database that is away, or has no connection left.
        """
        connected = Event()
        try:
            yield connected
        except Exception as error:
            # Of a database that is known to be away, the connections are in use by what waits for it.
            if isinstance(error, PoolTimeoutError) and not self.outage.lasts:
                self.outage.busy(self.max_connections, self.queue.timeout())
                raise Unavailable("the database is busy; try again in a moment") from error
            if not connected.is_set() or is_outage(error):
                self.outage.failed(error, writing=writing)
                raise Unavailable("the database is away; try again in a moment") from error
            self.outage.succeeded(writing=writing)
            raise
        self.outage.succeeded(writing=writing)

"""Credentials that were revoked before they expired: by the deletion of their profile, or by the platform.

They are kept in memory, so that a look costs nothing and works without the database, and in the database, so that they outlive
the server and reach others that share it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web

from relay.errors import Unauthorized, Unavailable
from relay.http.ports import RevocationStore
from relay.ids import Profile
from relay.records.calls import Revocation, RevocationCause

logger = logging.getLogger(__name__)

INTERVAL: Final = 5.0
"""Seconds between two looks for revocations by other servers."""

OVERLAP: Final = timedelta(seconds=60)
"""How far the clocks of servers that share a database may differ, and how long a transaction may take."""

OnRevoked = Callable[[Revocation, float], Awaitable[None]]


class Revoked(Unauthorized):
    """The credential was revoked. It was valid before, so it does not count as a failed login."""


class Revocations:
    """The revocations in force.

    Args:
        tell: has the other servers look at once; they do so by themselves after `INTERVAL`.
        on_revoked: called with each revocation that is new, and its time in seconds since 1970, to close what is open.
        interval: as of `INTERVAL`.
    """

    def __init__(
        self,
        store: RevocationStore,
        on_revoked: OnRevoked,
        interval: float = INTERVAL,
        *,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._tell = tell
        self._look = asyncio.Event()
        self._interval = interval
        self._on_revoked = on_revoked
        self._before: dict[tuple[Profile | None, RevocationCause], float] = {}
        self._known_until: datetime | None = None
        self._polling: asyncio.Task[None] | None = None

    def revokes(self, profile: Profile, issued_at: float | None) -> bool:
        """Whether a credential of the profile, issued at that time (seconds since 1970; None: unknown), is revoked."""
        before = max(
            self._before.get((None, RevocationCause.REVOKED), 0.0),
            *(self._before.get((profile, cause), 0.0) for cause in RevocationCause),
        )
        return before > 0.0 and (issued_at is None or issued_at < before)

    def issued_before(self, profile: Profile | None) -> datetime | None:
        """The platform's revocation for a profile, or for all profiles."""
        moment = self._before.get((profile, RevocationCause.REVOKED))
        return None if moment is None else datetime.fromtimestamp(moment, UTC)

    async def revoke(self, profile: Profile | None, issued_before: datetime, cause: RevocationCause) -> None:
        """Revoke credentials issued before that time; without a profile: those of all profiles."""
        await self._put(Revocation(profile, cause, issued_before, datetime.now(UTC)))

    async def lift(self, profile: Profile | None) -> None:
        """Lift the revocations for the profile, or for all profiles; also those of a deletion."""
        for cause in RevocationCause:
            await self._put(Revocation(profile, cause, None, datetime.now(UTC)))

    async def restore(self, profiles: Collection[Profile]) -> None:
        """Lift the revocations by deletion of profiles that were added again."""
        await self._store.restore(profiles, datetime.now(UTC))
        lifted = [self._before.pop((profile, RevocationCause.DELETED), None) for profile in profiles]
        if any(lifted):  # most profiles that are written were never deleted
            self._tell()

    async def _put(self, revocation: Revocation) -> None:
        await self._store.put(revocation)
        self._tell()
        await self._take(revocation)

    async def _take(self, revocation: Revocation) -> None:
        key = revocation.profile, revocation.cause
        if revocation.issued_before is None:
            self._before.pop(key, None)
            return
        moment = revocation.issued_before.timestamp()
        if self._before.get(key) != moment:
            self._before[key] = moment
            await self._on_revoked(revocation, moment)

    # -- revocations by other servers -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the revocations, and start to poll for new ones."""
        await self._read()
        self._polling = asyncio.get_running_loop().create_task(self._poll())

    async def close(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    def look(self) -> None:
        """Another server says that there is something new."""
        self._look.set()

    async def _poll(self) -> None:
        failing = False
        while True:
            try:
                async with asyncio.timeout(self._interval):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            try:
                await self._read()
                failing = False
            except Unavailable:
                continue  # `relay.db.outage` has logged it; the known revocations stay in force
            except Exception as error:  # any error of the database; the known revocations stay in force
                if not failing:
                    logger.warning("revocations by other servers cannot be read: %s", type(error).__name__)
                failing = True

    async def _read(self) -> None:
        since = None if self._known_until is None else self._known_until - OVERLAP
        for revocation in await self._store.changed_since(since):
            await self._take(revocation)
            self._known_until = max(revocation.changed_at, self._known_until or revocation.changed_at)


REVOCATIONS: Final = web.AppKey("revocations", Revocations)

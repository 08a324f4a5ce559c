"""Where profiles are reached by Web Push."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.engine import execute
from relay.db.models import PushSubscriptionRow
from relay.db.profiles import locked, names, unknown, upsert, values
from relay.ids import Profile
from relay.records.calls import PushSubscription

MAX_SUBSCRIPTIONS = 10
"""Browsers per profile; a new one takes the place of the one that has been silent for longest."""

MAX_FAILURES = 20
"""Failed attempts in a row after which a subscription is given up."""


class SqlPushSubscriptions:
    """An endpoint belongs to one profile: the one that registered it last."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, profile: Profile, endpoint: str, p256dh: str, auth: str, at: datetime) -> bool:
        """Register a browser, or bring its keys up to date.

        Args:
            endpoint: at most `relay.records.calls.MAX_ENDPOINT_LENGTH` characters.
            p256dh, auth: at most `MAX_PUSH_KEY_LENGTH` characters each.

        Returns:
            Whether the endpoint is new to this profile.

        Raises:
            ValueError: there is no such profile.
        """
        row = PushSubscriptionRow
        fresh = {"p256dh": p256dh, "auth": auth, "last_used_at": at, "failures": 0}
        async with self._engine.begin() as connection:
            if not await locked(connection, profile):
                raise unknown([profile])
            own = update(row).where(row.endpoint == endpoint, names(row, profile)).values(fresh)
            if (await connection.execute(own)).rowcount:
                return False
            fresh.update(values(profile), created_at=at)
            insert = upsert(connection, row).values(endpoint=endpoint, **fresh)
            await connection.execute(insert.on_conflict_do_update(index_elements=["endpoint"], set_=fresh))
            latest = select(row.id).where(names(row, profile)).order_by(row.last_used_at.desc(), row.id.desc())
            surplus = (await connection.execute(latest.offset(MAX_SUBSCRIPTIONS))).scalars().all()
            await connection.execute(delete(row).where(row.id.in_(surplus)))
        return True

    async def of(self, profile: Profile) -> Sequence[PushSubscription]:
        """The profile's subscriptions, latest used first."""
        row = PushSubscriptionRow
        query = (
            select(row.endpoint, row.p256dh, row.auth, row.created_at, row.last_used_at, row.failures)
            .where(names(row, profile))
            .order_by(row.last_used_at.desc(), row.id.desc())
        )
        async with self._engine.connect() as connection:
            return [PushSubscription(*found) for found in await connection.execute(query)]

    async def remove(self, profile: Profile, endpoint: str) -> bool:
        """The profile does not want messages there any more.

        Returns:
            Whether it had registered it.
        """
        mine = names(PushSubscriptionRow, profile)
        return await execute(self._engine, delete(PushSubscriptionRow).where(_reaches(endpoint), mine)) == 1

    async def gone(self, endpoint: str) -> None:
        """The push service knows the endpoint no longer (404 or 410, RFC 8030 section 7.3)."""
        await execute(self._engine, delete(PushSubscriptionRow).where(_reaches(endpoint)))

    async def delivered(self, endpoint: str, at: datetime) -> None:
        """The push service has accepted a message."""
        await execute(self._engine, update(PushSubscriptionRow).where(_reaches(endpoint)).values(last_used_at=at, failures=0))

    async def failed(self, endpoint: str) -> bool:
        """The push service could not be reached, or did not accept a message.

        Returns:
            Whether the subscription was given up: it failed `MAX_FAILURES` times in a row.
        """
        row = PushSubscriptionRow
        async with self._engine.begin() as connection:
            await connection.execute(update(row).where(_reaches(endpoint)).values(failures=row.failures + 1))
            given_up = delete(row).where(_reaches(endpoint), row.failures >= MAX_FAILURES)
            return (await connection.execute(given_up)).rowcount == 1


def _reaches(endpoint: str) -> ColumnElement[bool]:
    return PushSubscriptionRow.endpoint == endpoint

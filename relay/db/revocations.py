"""Credentials that are not good any more."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.models import RevocationRow
from relay.db.profiles import columns, upsert
from relay.ids import Profile
from relay.records.calls import Revocation, RevocationCause

EVERYBODY = ("", 0)
"""What a row has in place of a profile."""


class SqlRevocations:
    """Revocations are never deleted, only lifted: other servers look for what has changed."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def put(self, revocation: Revocation) -> None:
        """Write one down. It takes the place of an earlier one of the same profile and cause."""
        profile_type, profile_id = revocation.profile or EVERYBODY
        key = {"profile_type": profile_type, "profile_id": profile_id, "cause": revocation.cause.value}
        fresh = {"issued_before": revocation.issued_before, "changed_at": revocation.changed_at}
        async with self._engine.begin() as connection:
            insert = upsert(connection, RevocationRow).values(**key, **fresh)
            await connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=fresh))

    async def restore(self, profiles: Collection[Profile], at: datetime) -> None:
        """Lift those that there are because the profiles were deleted."""
        row = RevocationRow
        theirs = tuple_(*columns(row)).in_(profiles)
        lifting = update(row).where(theirs, row.cause == RevocationCause.DELETED.value, row.issued_before.is_not(None))
        async with self._engine.begin() as connection:
            await connection.execute(lifting.values(issued_before=None, changed_at=at))

    async def changed_since(self, at: datetime | None) -> Sequence[Revocation]:
        """Those that changed then or later, oldest change first; None: all."""
        row = RevocationRow
        query = select(*columns(row), row.cause, row.issued_before, row.changed_at).order_by(row.changed_at)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query if at is None else query.where(row.changed_at >= at))
            return [
                Revocation(
                    None if (profile_type, profile_id) == EVERYBODY else Profile(profile_type, profile_id),
                    RevocationCause(cause),
                    *when,
                )
                for profile_type, profile_id, cause, *when in rows
            ]

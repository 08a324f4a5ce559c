"""What parties say of their calls."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from relay.db.engine import execute
from relay.db.models import OF_KIND, CallRatingRow
from relay.db.models.calls import ENDED, MISSED
from relay.db.profiles import insert_new, names, upsert, values
from relay.ids import Profile, ScopeKind
from relay.records.ratings import CallProblem, CallRating, RatedCall

_KNOWN: Final = frozenset(CallProblem)


class SqlRatings:
    """`relay.http.ports.CallRatings`: one rating per call and party."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def rate(self, profile: Profile, kind: ScopeKind, call_id: str, rating: CallRating, at: datetime) -> CallRating | None:
        """Keep what a party says of a call of its own that is over, in place of what it said before.

        Returns:
            What it said before; None: nothing.

        Raises:
            LookupError: the profile has no such call.
        """
        said = {
            "score": rating.score,
            "problems": [one.value for one in rating.problems],
            "comment": rating.comment or None,
            "rated_at": at,
        }
        key = {"call_id": call_id, **values(profile)}
        async with self._engine.begin() as connection:
            if not await _is_own(connection, profile, kind, call_id):
                raise LookupError("you have no such call")
            if await insert_new(connection, CallRatingRow, **key, **said):
                return None
            found = (await connection.execute(_which(profile, CallRatingRow.call_id == call_id).with_for_update())).one_or_none()
            # As an insert: the row may have been deleted meanwhile.
            writing = upsert(connection, CallRatingRow).values(**key, **said)
            await connection.execute(writing.on_conflict_do_update(index_elements=list(key), set_=said))
        return None if found is None else _rated(found).rating

    async def rating(self, profile: Profile, call_id: str) -> CallRating | None:
        """What the profile has said of a call; None: nothing."""
        async with self._engine.connect() as connection:
            found = (await connection.execute(_which(profile, CallRatingRow.call_id == call_id))).one_or_none()
        return None if found is None else _rated(found).rating

    async def take_back(self, profile: Profile, call_id: str) -> bool:
        """Delete what the profile has said of a call; whether there was anything."""
        row = CallRatingRow
        return await execute(self._engine, delete(row).where(names(row, profile), row.call_id == call_id)) > 0

    async def of(self, profile: Profile) -> Sequence[RatedCall]:
        """All that a profile has said, oldest first."""
        query = _which(profile).order_by(CallRatingRow.rated_at, CallRatingRow.call_id)
        async with self._engine.connect() as connection:
            return [_rated(found) for found in await connection.execute(query)]

    async def erase(self, profile: Profile) -> bool:
        """Delete all that a profile has said; whether there was anything."""
        row = CallRatingRow
        return await execute(self._engine, delete(row).where(names(row, profile))) > 0


async def _is_own(connection: AsyncConnection, profile: Profile, kind: ScopeKind, call_id: str) -> bool:
    """Whether the profile may see the call, and it is over."""
    row: Any = OF_KIND[kind].calls
    outgoing = and_(names(row, profile, "caller_"), row.caller_deleted_at.is_(None))
    incoming = and_(names(row, profile, "callee_"), row.callee_deleted_at.is_(None), ~row.hidden_from_callee)
    query = select(row.id).where(row.call_id == call_id, row.status.in_([ENDED, MISSED]), or_(outgoing, incoming))
    return (await connection.execute(query)).first() is not None


def _which(profile: Profile, *conditions: ColumnElement[bool]) -> Any:
    row = CallRatingRow
    columns: Any = (row.call_id, row.score, row.problems, row.comment, row.rated_at)
    return select(*columns).where(names(row, profile), *conditions)


def _rated(row: Row[Any]) -> RatedCall:
    # A newer relay may know more problems than this one.
    problems = tuple(CallProblem(one) for one in row.problems if one in _KNOWN)
    return RatedCall(row.call_id, CallRating(row.score, problems, row.comment or ""), row.rated_at)

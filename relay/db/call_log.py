"""`call_logs` and `whiteboard_call_history`: one row per call, moved on by conditional updates only."""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, or_, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.cluster.api import NodeIdentity
from relay.db.call_statements import EXPIRED, NOT_ENDED, OPEN, TAKEN_FOR_DEAD, CallStatements
from relay.db.constraints import Constraint, violated
from relay.db.engine import execute
from relay.db.models import OF_KIND
from relay.db.models.calls import ANSWERED, ENDED, INITIATED, MAX_NODE_LENGTH, MISSED
from relay.db.profiles import names
from relay.errors import ConfigurationError, LostRace, TakenOver
from relay.ids import Profile, ScopeKind
from relay.records.profiles import ProfileCard
from relay.signaling.ports import UNKNOWN_PATH, MediaPath, NewCall

logger = logging.getLogger(__name__)

TRANSFERRED = "transferred"

HEARTBEAT_BATCH = 500
"""Calls per statement. Databases limit the parameters of one: SQLite before 3.32 to 999, PostgreSQL to 32,767."""


class SqlCallLog:
    """`relay.signaling.ports.CallLog`.

    Every statement commits by itself, and only a heartbeat changes more than one row: servers cannot deadlock.
    """

    def __init__(self, engine: AsyncEngine, cluster: NodeIdentity, kind: ScopeKind) -> None:
        """
        Args:
            cluster: says whose rows are this server's.
            kind: which calls: those in conversations (`call_logs`) or in whiteboard sessions (`whiteboard_call_history`).

        Raises:
            ConfigurationError: the name does not fit its column.
        """
        if len(cluster.name) > MAX_NODE_LENGTH:
            raise ConfigurationError(f"the node's name is longer than {MAX_NODE_LENGTH} characters: {cluster.name[:20]!r}…")
        self._engine = engine
        self._cluster = cluster
        self._kind = kind
        self._tables = OF_KIND[kind]
        self._row = self._tables.calls
        self._statements = CallStatements(self._tables)

    async def opened(self, call: NewCall) -> None:
        """Insert the call's row with status `initiated`; its scope is null if there is no such scope.

        Raises:
            LostRace: it is there already.
        """
        assert call.scope.kind is self._kind, "each table has the calls of one kind of scope"
        values = {
            **_party("caller", call.caller),
            **_party("callee", call.callee),
            "call_type": call.call_type,
            "status": INITIATED,
            "started_at": call.started_at,
            "participants": [_participant(call.caller, "caller"), _participant(call.callee, "callee")],
            "call_id": call.call_id,
            "node": self._cluster.me.name,
            "owner_epoch": self._cluster.me.incarnation,
            "transferred_from": call.transferred_from,
            "hidden_from_callee": call.hidden_from_callee,
        }
        statements = self._statements
        row = {name: value for name, value in values.items() if name in statements.columns}
        try:
            await execute(self._engine, statements.opened, {**row, "the_scope": call.scope.scope_id})
        except IntegrityError as error:
            if violated(error) is Constraint.FOREIGN_KEY:
                # The scope was deleted since. Or the table is the platform's, and so is the other one that knows it no longer.
                await execute(self._engine, statements.opened_nowhere, row)
            elif violated(error) is Constraint.NOT_NULL and self._tables.key in str(error.orig):
                # The platform's own table, which has no room for a call that belongs nowhere. It is refused in any case.
                logger.warning("call %s is in no %s and cannot be written down", call.call_id, call.scope.kind.replace("_", " "))
            elif violated(error) is Constraint.UNIQUE:
                raise LostRace(f"call {call.call_id} is there already") from None
            else:
                raise

    async def answered(self, call_id: str, at: datetime) -> None:
        """`initiated` → `answered`.

        Raises:
            LostRace: the row was not `initiated`.
            TakenOver: it is another server's.
        """
        if not await execute(self._engine, self._statements.answered, {**self._mine(call_id), "at": at}):
            if await self._taken_over([call_id]):
                raise TakenOver(f"call {call_id} is another server's")
            raise LostRace(f"call {call_id} is not waiting for an answer")

    async def updated(self, call_id: str, call_type: str) -> None:
        """The call is a voice call no more but a video call, or the other way round. Nothing happens if its row is closed."""
        await execute(self._engine, self._statements.updated, {**self._mine(call_id), "new_type": call_type})

    async def ended(
        self,
        call_id: str,
        at: datetime,
        reason: str,
        *,
        answered_at: datetime | None = None,
        caller: MediaPath = UNKNOWN_PATH,
        callee: MediaPath = UNKNOWN_PATH,
        decline_message: str | None = None,
    ) -> int | None:
        """`answered` → `ended`, or `initiated` → `missed`: see `relay.signaling.ports.CallLog`."""
        known = {**_path("caller", caller), **_path("callee", callee), "decline_message": decline_message}
        # Twice: an answer may come in between. After that, only another server's end can.
        for _ in range(2):
            async with self._engine.connect() as connection:
                seen = (await connection.execute(self._statements.seen, {"the_call": call_id})).one_or_none()
            if seen is None:
                break
            if seen.owner_epoch != self._cluster.me.incarnation:
                raise TakenOver(f"call {call_id} is another server's")
            answered = answered_at or seen.answered_at
            duration = _duration(answered, at)
            if (seen.ended_at, seen.end_reason) == (at, reason):  # by an earlier attempt, whose answer did not come
                return duration
            parameters = {**self._mine(call_id), "the_status": seen.status, **_closed(answered, at, reason), **known}
            if await execute(self._engine, self._statements.ended, parameters):
                return duration
        raise LostRace(f"call {call_id} is not open")

    async def was_transferred(self, call_id: str, profile: Profile) -> bool:
        """Whether that is a call of the profile which ended as `transferred`."""
        row = self._row
        own = or_(names(row, profile, "caller_"), names(row, profile, "callee_"))
        query = select(row.id).where(row.call_id == call_id, row.end_reason == TRANSFERRED, own)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).first() is not None

    async def heartbeat(self, call_ids: Sequence[str], at: datetime) -> Collection[str]:
        """Note that these calls were alive at `at`, so that a crash leaves their durations nearly right.

        Those that were closed as `expired` are opened again; others that are closed stay as they are.

        Returns:
            Those that another server has taken over.
        """
        row, lost = self._row, set[str]()
        for start in range(0, len(call_ids), HEARTBEAT_BATCH):
            batch = call_ids[start : start + HEARTBEAT_BATCH]
            mine = (row.call_id.in_(batch), self._is_mine)
            if await execute(self._engine, update(row).where(*mine, OPEN).values(heartbeat_at=at)) < len(batch):
                status = case((row.answered_at.is_(None), INITIATED), else_=ANSWERED)
                opening = update(row).where(*mine, TAKEN_FOR_DEAD)
                await execute(self._engine, opening.values(status=status, heartbeat_at=at, **NOT_ENDED))
                lost |= await self._taken_over(batch)
        return lost

    async def signs(self, beats: Collection[datetime]) -> Mapping[str, datetime]:
        """The last sign of life of each open call, but of those that this server has just noted at one of `beats`."""
        noted = {"the_owner": self._cluster.me.incarnation, "beats": [*beats]}
        async with self._engine.connect() as connection:
            rows = (await connection.execute(self._statements.unheard, noted)).all()
        return {row.call_id: _last_sign(row) for row in rows}

    async def take_over(self, call_ids: Sequence[str]) -> None:
        """Make calls of a server that has ended this one's: it is about to write how they went on."""
        row, me = self._row, self._cluster.me
        for start in range(0, len(call_ids), HEARTBEAT_BATCH):
            theirs = row.call_id.in_(call_ids[start : start + HEARTBEAT_BATCH])
            # Those without an incarnation are of an earlier version, which may have had another name.
            ended = or_(row.owner_epoch.in_(self._cluster.predecessors), row.owner_epoch.is_(None))
            await execute(self._engine, update(row).where(theirs, ended).values(node=me.name, owner_epoch=me.incarnation))

    async def succeed(self, call_id: str, dead: int) -> bool:
        """Make a call of another server, which has lost its lease, this one's: see `relay.signaling.ports.CallLog`."""
        row, me = self._row, self._cluster.me
        theirs = update(row).where(row.call_id == call_id, row.owner_epoch == dead)
        values = {"node": me.name, "owner_epoch": me.incarnation}
        if await execute(self._engine, theirs.where(OPEN).values(**values)):
            return True
        # Taken for abandoned by a server that does not know better.
        status = case((row.answered_at.is_(None), INITIATED), else_=ANSWERED)
        return bool(await execute(self._engine, theirs.where(TAKEN_FOR_DEAD).values(status=status, **values, **NOT_ENDED)))

    async def close_own(self) -> int:
        """Close the calls that earlier incarnations of this server left open. To be called before this one has any.

        They end with reason `expired` at their last sign of life. Those of an incarnation that may be alive stay open.

        Returns:
            How many were closed.
        """
        row, cluster = self._row, self._cluster
        # An earlier version of the relay has only its name in there. Own ones are those that the journal had more of.
        unnumbered = and_(row.node == cluster.name, row.owner_epoch.is_(None))
        ended = row.owner_epoch.in_([*cluster.predecessors, cluster.me.incarnation])
        return await self._close(await self._open_calls(or_(unnumbered, ended)))

    async def close_stale(self, signs: Mapping[str, datetime]) -> int:
        """Close those of these calls, of whatever node, whose last sign of life still is the one given.

        They end with reason `expired` at it.

        Returns:
            How many were closed.
        """
        rows = await self._open_calls(true())
        return await self._close([row for row in rows if signs.get(row.call_id) == _last_sign(row)])

    def _mine(self, call_id: str) -> dict[str, Any]:
        """What the statements need to know of a call of this server, fence included."""
        return {"the_call": call_id, "the_owner": self._cluster.me.incarnation}

    @property
    def _is_mine(self) -> ColumnElement[bool]:
        """The fence: no statement of this server changes how a call of another one goes on."""
        return self._row.owner_epoch == self._cluster.me.incarnation

    async def _taken_over(self, call_ids: Sequence[str]) -> set[str]:
        """Those of the calls that are another server's."""
        row = self._row
        theirs = row.owner_epoch.is_distinct_from(self._cluster.me.incarnation)
        async with self._engine.connect() as connection:
            return {*(await connection.execute(select(row.call_id).where(row.call_id.in_(call_ids), theirs))).scalars()}

    async def _open_calls(self, which: ColumnElement[bool]) -> Sequence[Row[Any]]:
        async with self._engine.connect() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(self._statements.open.where(which))).all()
        return rows

    async def _close(self, abandoned: Sequence[Row[Any]]) -> int:
        closed = 0
        for row in abandoned:
            closing = update(self._row).where(self._row.call_id == row.call_id, self._row.status == row.status)
            # A heartbeat since then: the call is not abandoned after all.
            closing = closing.where(self._row.heartbeat_at.is_not_distinct_from(row.heartbeat_at))
            # Its owner may correct it, so it stays the owner's; one that has taken it over meanwhile knows better already.
            closing = closing.where(self._row.owner_epoch.is_not_distinct_from(row.owner_epoch))
            closed += await execute(self._engine, closing.values(**_closed(row.answered_at, _last_sign(row), EXPIRED)))
        return closed


def _last_sign(row: Row[Any]) -> datetime:
    """When the call was last known to be alive."""
    last: datetime = max(filter(None, (row.started_at, row.answered_at, row.heartbeat_at)))
    return last


def _closed(answered_at: datetime | None, at: datetime, reason: str) -> dict[str, Any]:
    """The columns of a call's end."""
    return {
        "status": MISSED if answered_at is None else ENDED,
        "answered_at": answered_at,
        "ended_at": at,
        "duration_seconds": _duration(answered_at, at),
        "end_reason": reason,
    }


def _duration(answered_at: datetime | None, ended_at: datetime) -> int | None:
    """Whole seconds; None for an unanswered call. Never negative, though clocks may be set back."""
    return None if answered_at is None else max(0, (ended_at - answered_at) // timedelta(seconds=1))


def _party(role: str, card: ProfileCard) -> dict[str, Any]:
    """Columns about one party. Not every table has them all."""
    return {
        f"{role}_profile_type": card.profile.profile_type,
        f"{role}_profile_id": card.profile.profile_id,
        f"{role}_user_id": card.user_id,
        f"{role}_name": card.name,
        f"{role}_avatar": card.avatar,
    }


def _path(role: str, path: MediaPath) -> dict[str, Any]:
    """Columns about the path to one party."""
    return {
        f"{role}_route": None if path.route is None else path.route.transport,
        f"{role}_family": None if path.route is None else path.route.family,
        f"{role}_rtt_ms": None if path.rtt is None else round(path.rtt * 1000, 1),
        f"{role}_score": None if path.score is None else round(path.score, 2),
    }


def _participant(card: ProfileCard, role: str) -> dict[str, Any]:
    return {**card.profile._asdict(), "name": card.name, "role": role}

"""The calls of a profile, read from `call_logs` and `whiteboard_call_history`: its history, and what it has missed."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Row,
    String,
    and_,
    bindparam,
    func,
    literal,
    null,
    or_,
    select,
    text,
    tuple_,
    type_coerce,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from relay.db.cursors import cursor_of, position_of
from relay.db.folding import folded
from relay.db.models import OF_KIND, ChatRow, KnownProfileRow
from relay.db.models.base import UtcDateTime
from relay.db.models.calls import INITIATED, IS_MISSED, IS_UNSEEN, MISSED
from relay.db.profiles import Named, acquainted, columns, names
from relay.ids import Profile, Scope, ScopeKind
from relay.records.calls import CallDetail, CallDirection, CallPage, CallRecord, ChatRecord
from relay.records.profiles import ProfileCard
from relay.signaling.ports import MissedCallRecord, Unseen

BLOCKED = "blocked"
REJECTED = "rejected"

MAX_CHAT_MESSAGES = 1000
"""Chat messages that come with a call: the latest ones."""

SEARCHED: Final = 200
"""Calls that a search reads at a time."""

MAX_SEARCHED: Final = 2000
"""Calls that one request looks through: the names that a party may see are in no index."""

MAX_ROW = 2**31 - 1
"""The highest number of a row: PostgreSQL refuses to compare it with more."""

_CALL_ID = re.compile(r"[0-9a-f]{32}")
_ROW = re.compile(r"[1-9][0-9]{0,9}")

ROLES: Final = {CallDirection.OUTGOING: "caller", CallDirection.INCOMING: "callee"}
"""What the rows call the profile that asks."""

OTHER_ROLES: Final = {CallDirection.OUTGOING: "callee", CallDirection.INCOMING: "caller"}


class SqlHistory:
    """The calls of one table as each of their parties may see them.

    The callee never sees a call that its caller might not make, nor one that has not been answered yet. The caller sees a blocked
    call as rejected, and learns no names by calling strangers. A profile sees its own calls only: of others' calls, as of one
    that does not exist, every method says None.
    """

    def __init__(
        self, engine: AsyncEngine, kind: ScopeKind, *, searched: int = SEARCHED, max_searched: int = MAX_SEARCHED
    ) -> None:
        """
        Args:
            searched: calls that a search by name reads at a time, and `max_searched` those that one request looks through.
        """
        self._engine = engine
        self._kind = kind
        self._searched, self._max_searched = searched, max_searched
        self._tables = OF_KIND[kind]
        self._row: Any = self._tables.calls

    async def calls(
        self, profile: Profile, *, limit: int, cursor: str | None = None, missed: bool = False, name: str = ""
    ) -> CallPage:
        """The calls that the profile made or was called by, newest first.

        Args:
            limit: how many at most; at least 1. (The caller bounds it.)
            cursor: `next_cursor` of the page before; None: from the newest on.
            missed: only those that the profile missed.
            name: only those whose other party is called so, or a part of it, whatever case and accents; empty: all. A page may
                then have fewer than `limit`, or none, though more follow: one request looks through `MAX_SEARCHED` calls.

        Raises:
            ValueError: the cursor is none of ours.
        """
        if name:
            return await self._search(profile, folded(name), limit, cursor, missed)
        rows = await self._rows(profile, limit + 1, cursor, missed)
        found = tuple(self._record(row) for row in rows[:limit])
        return CallPage(found, _cursor_behind(rows[limit - 1]) if len(rows) > limit else None)

    async def _search(self, profile: Profile, name: str, limit: int, cursor: str | None, missed: bool) -> CallPage:
        found: list[CallRecord] = []
        for _ in range(self._max_searched // self._searched):
            rows = await self._rows(profile, self._searched + 1, cursor, missed)
            for row in rows[: self._searched]:
                record = self._record(row)
                if record.other is not None and name in folded(record.other.name):
                    if len(found) == limit:
                        return CallPage(tuple(found), cursor)
                    found.append(record)
                cursor = _cursor_behind(row)
            if len(rows) <= self._searched:
                return CallPage(tuple(found), None)
        return CallPage(tuple(found), cursor)

    async def _rows(self, profile: Profile, limit: int, cursor: str | None, missed: bool) -> list[Row[Any]]:
        conditions: list[Any] = [] if cursor is None else [self._before(*_position(cursor))]
        if missed:
            conditions.append(text(IS_MISSED))
        directions = [CallDirection.INCOMING] if missed else list(CallDirection)
        async with self._engine.connect() as connection:
            return await self._read(connection, profile, directions, conditions, limit)

    async def call(self, profile: Profile, record_id: str) -> CallDetail | None:
        """One call with its chat messages.

        Args:
            record_id: `CallRecord.id`, here and below.
        """
        async with self._engine.connect() as connection:
            row = await self._find(connection, profile, record_id)
            if row is None:
                return None
            query = (
                select(ChatRow.message_id, *columns(ChatRow, "author_"), ChatRow.text, ChatRow.sent_at)
                .where(ChatRow.call_id == row.call_id)
                .order_by(ChatRow.sent_at.desc(), ChatRow.message_id.desc())
                .limit(MAX_CHAT_MESSAGES)
            )
            messages = (await connection.execute(query)).all()
        return CallDetail(self._record(row), tuple(_text(profile, *found) for found in reversed(messages)))

    async def mark_seen(self, profile: Profile, record_id: str, at: datetime) -> bool | None:
        """Note that the profile has seen a call.

        Returns:
            Whether that is new; None if the profile has no such call.
        """
        marked = await self._mark_seen(profile, record_id, at, earlier=False)
        return None if marked is None else marked == 1

    async def mark_seen_up_to(self, profile: Profile, record_id: str, at: datetime) -> int | None:
        """Note that the profile has seen this call, and what it missed or (in whiteboard sessions) began before it.

        Returns:
            How many were new; None if the profile has no such call.
        """
        return await self._mark_seen(profile, record_id, at, earlier=True)

    async def _mark_seen(self, profile: Profile, record_id: str, at: datetime, *, earlier: bool) -> int | None:
        async with self._engine.begin() as connection:
            call = await self._find(connection, profile, record_id)
            if call is None:
                return None
            marked = await self._mark(connection, profile, call.direction, at, self._row.id == call.id)
            if earlier:
                before = self._before(call.started_at, call.id)
                marked += await self._mark(connection, profile, CallDirection.INCOMING, at, before, text(IS_UNSEEN))
                marked += await self._mark(connection, profile, CallDirection.OUTGOING, at, before)
            return marked

    async def unseen_count(self, profile: Profile) -> int:
        """How many calls the profile missed and has not seen yet."""
        query = select(func.count()).select_from(self._row).where(_unseen(self._kind, profile))
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one()

    def _before(self, started_at: datetime, row_id: int) -> ColumnElement[bool]:
        """The calls that began before that one, in the order of the history."""
        before = tuple_(self._row.started_at, self._row.id) < tuple_(literal(started_at, UtcDateTime), literal(row_id))
        if self._engine.dialect.name != "sqlite" or started_at.microsecond:
            return before
        # SQLite compares texts. The replaced backend may have written whole seconds without a fraction, the relay never does.
        whole = literal(started_at.strftime("%Y-%m-%d %H:%M:%S"))
        return and_(before, or_(type_coerce(self._row.started_at, String) != whole, self._row.id < row_id))

    async def _find(self, connection: AsyncConnection, profile: Profile, record_id: str) -> Row[Any] | None:
        if _CALL_ID.fullmatch(record_id):
            which = self._row.call_id == record_id
        elif _ROW.fullmatch(record_id) and int(record_id) <= MAX_ROW:
            which = and_(self._row.id == int(record_id), self._row.call_id.is_(None))
        else:
            return None
        rows = await self._read(connection, profile, list(CallDirection), [which], 1)
        return rows[0] if rows else None

    async def _read(
        self, connection: AsyncConnection, profile: Profile, directions: list[CallDirection], conditions: list[Any], limit: int
    ) -> list[Row[Any]]:
        """The profile's calls that meet the conditions, newest first."""
        # One limited query per direction: each then reads no more of its index than it gives.
        arms = [
            select(
                *self._row.__table__.columns,
                literal(direction.value).label("direction"),
                *(column.label(f"other_{name}") for column, name in zip(self._other(direction), ("type", "id"), strict=True)),
                getattr(self._row, f"{OTHER_ROLES[direction]}_deleted_at").label("other_deleted_at"),
            )
            .where(self._visible(profile, direction), *conditions)
            .order_by(self._row.started_at.desc(), self._row.id.desc())
            .limit(limit)
            .subquery()
            .select()
            for direction in directions
        ]
        own = union_all(*arms).subquery()
        other = (own.c.other_type, own.c.other_id)
        may_know = or_(
            own.c.direction == CallDirection.INCOMING.value, own.c.answered_at.is_not(None), acquainted(profile, other)
        )
        query = (
            select(own, may_know.label("may_know"), KnownProfileRow.name, KnownProfileRow.avatar)
            .outerjoin(KnownProfileRow, names(KnownProfileRow, other))
            .order_by(own.c.started_at.desc(), own.c.id.desc())
            .limit(limit)
        )
        return list((await connection.execute(query)).all())

    def _other(self, direction: CallDirection) -> tuple[Any, Any]:
        return columns(self._row, f"{OTHER_ROLES[direction]}_")

    def _visible(self, profile: Profile, direction: CallDirection) -> ColumnElement[bool]:
        """The calls of one direction that the profile may see."""
        row, role = self._row, ROLES[direction]
        # A call of the replaced backend may have no time, and then it has no scope in a history either.
        own = and_(names(row, profile, f"{role}_"), getattr(row, f"{role}_deleted_at").is_(None), row.started_at.is_not(None))
        if direction is CallDirection.OUTGOING:
            return own
        # One that rings may turn out to be blocked at the next moment.
        return and_(own, row.status != INITIATED, func.coalesce(row.end_reason, "") != BLOCKED, ~row.hidden_from_callee)

    async def _mark(
        self, connection: AsyncConnection, profile: Profile, direction: CallDirection, at: datetime, *conditions: Any
    ) -> int:
        """Mark the profile's calls of one direction that meet the conditions.

        Returns:
            How many were not marked before.
        """
        seen_at = getattr(self._row, f"{ROLES[direction]}_seen_at", None)
        if seen_at is None:  # a conversation does not record whether its caller has seen the call
            return 0
        marking = update(self._row).where(self._visible(profile, direction), seen_at.is_(None), *conditions)
        return (await connection.execute(marking.values({seen_at.key: at}))).rowcount

    def _record(self, row: Row[Any]) -> CallRecord:
        direction = CallDirection(row.direction)
        incoming = direction is CallDirection.INCOMING
        scope_id = self._tables.scope_id(row)
        return CallRecord(
            id=row.call_id or str(row.id),
            scope=None if scope_id is None else Scope(self._kind, scope_id),
            direction=direction,
            other=None if row.other_id is None or row.other_type is None else _other_party(row, OTHER_ROLES[direction]),
            call_type=row.call_type,
            status=row.status,
            reason=REJECTED if row.end_reason == BLOCKED else row.end_reason,
            started_at=row.started_at,
            answered_at=row.answered_at,
            ended_at=row.ended_at,
            duration_seconds=row.duration_seconds,
            missed=incoming and row.status == MISSED and row.end_reason not in (BLOCKED, REJECTED),
            # Without such a column, there is nothing to be marked.
            seen=getattr(row, f"{ROLES[direction]}_seen_at", row.started_at) is not None,
            transferred_from=row.transferred_from,
            recording_id=getattr(row, "recording_id", None),
            route=getattr(row, f"{ROLES[direction]}_route"),
            family=getattr(row, f"{ROLES[direction]}_family"),
            rtt_ms=getattr(row, f"{ROLES[direction]}_rtt_ms"),
            score=getattr(row, f"{ROLES[direction]}_score"),
            decline_message=row.decline_message,
        )


class SqlMissedCalls:
    """`relay.signaling.ports.MissedCallStore`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def unseen(self, profile: Profile, limit: int) -> Unseen:
        """Calls *to* this profile, in either table, that ended as `missed`, were not blocked or refused, and not marked as seen.

        Args:
            limit: how many to give at most; at least 1.
        """
        parameters = {**profile._asdict(), "at_most": limit}
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_UNSEEN_CALLS, parameters)).all()
        found = tuple(
            MissedCallRecord(
                call_id=row.call_id or str(row.id),
                scope=Scope(ScopeKind(row.kind), row.scope_id),
                call_type=row.call_type,
                caller=_other_party(row, "caller"),
                reason=row.end_reason or "",
                started_at=row.started_at,
            )
            for row in rows[:limit]
        )
        # Each row says how many there are of its kind.
        return Unseen(found, sum({row.kind: row.total for row in rows}.values()))


def _unseen(kind: ScopeKind, profile: Named) -> ColumnElement[bool]:
    """What the profile has missed at scopes that still exist, and not seen yet."""
    tables = OF_KIND[kind]
    there = tables.scope_id(tables.calls).is_not(None)
    return and_(names(tables.calls, profile, "callee_"), text(IS_UNSEEN), there, ~tables.calls.hidden_from_callee)


def _unseen_calls() -> Executable:
    """Built once: every connection runs it, it takes a millisecond to build, and only the cyclic garbage collector frees it."""
    the_profile: Named = (bindparam("profile_type"), bindparam("profile_id"))
    arms = []
    for kind, tables in OF_KIND.items():
        row: Any = tables.calls
        arm = (
            select(
                literal(kind.value).label("kind"),
                tables.scope_id(row).label("scope_id"),
                *(row.id, row.call_id, row.call_type, row.end_reason, row.started_at, row.participants),
                *(column.label(f"other_{name}") for column, name in zip(columns(row, "caller_"), ("type", "id"), strict=True)),
                row.caller_deleted_at.label("other_deleted_at"),
                (row.caller_avatar if hasattr(row, "caller_avatar") else null()).label("caller_avatar"),
                func.count().over().label("total"),
            )
            .where(_unseen(kind, the_profile))
            .order_by(row.started_at.desc(), row.id.desc())
            .limit(bindparam("at_most", type_=Integer))
        )
        arms.append(arm.subquery().select())
    both = union_all(*arms).subquery()
    return (
        select(both, literal(True).label("may_know"), KnownProfileRow.name, KnownProfileRow.avatar)
        .outerjoin(KnownProfileRow, names(KnownProfileRow, (both.c.other_type, both.c.other_id)))
        .order_by(both.c.started_at.desc(), both.c.kind, both.c.id.desc())
    )


_UNSEEN_CALLS: Final = _unseen_calls()


def _other_party(row: Row[Any], role: str) -> ProfileCard:
    """Its name as it was then, and its avatar as it is now; where one of them is missing, from the other time."""
    profile = Profile(row.other_type, row.other_id)
    if row.other_deleted_at is not None or not row.may_know:
        return ProfileCard(profile, "", "")
    name = next(_names_then(row.participants, profile), None) or row.name or ""
    return ProfileCard(profile, name, row.avatar or getattr(row, f"{role}_avatar", None) or "")


def _names_then(participants: object, profile: Profile) -> Iterator[str]:
    """The profile's name among the participants, who may be any JSON in a row that the relay did not write."""
    for entry in participants if isinstance(participants, list) else ():
        if isinstance(entry, dict) and (entry.get("profile_type"), entry.get("profile_id")) == profile:
            name = entry.get("name")
            if isinstance(name, str):
                yield name


def _text(reader: Profile, message_id: str, author_type: str, author_id: int, said: str, sent_at: datetime) -> ChatRecord:
    author = Profile(author_type, author_id)
    return ChatRecord(message_id, author, author == reader, said, sent_at)


def _cursor_behind(row: Row[Any]) -> str:
    return cursor_of(row.started_at, row.id)


def _position(cursor: str) -> tuple[datetime, int]:
    started_at, row_id = position_of(cursor, _ROW)
    if int(row_id) > MAX_ROW:
        raise ValueError("not a cursor that came with an earlier page")
    return started_at, int(row_id)

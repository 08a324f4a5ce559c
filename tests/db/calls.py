"""Calls that have been, and what was asked of the database."""

import re
from collections.abc import Awaitable
from typing import Any

from sqlalchemy import Connection, event, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.call_log import SqlCallLog
from relay.db.chat import SqlChatLog
from relay.db.history import SqlHistory
from relay.db.models import OF_KIND, Base
from relay.db.profiles import values
from relay.ids import Profile, Scope, ScopeKind, new_id
from relay.records.calls import CallRecord
from relay.records.profiles import ProfileCard
from relay.signaling.ports import UNKNOWN_PATH, ChatMessage, MediaPath, NewCall
from tests.db.people import STUDENT, T0, TUTOR, after
from tests.kit.cluster import ThisNode


async def call(
    engine: AsyncEngine,
    scope: Scope,
    *,
    caller: ProfileCard = STUDENT,
    callee: ProfileCard = TUTOR,
    started: float = 0,
    answered: float | None = None,
    reason: str | None = "no_answer",
    transferred_from: str | None = None,
    hidden_from_callee: bool = False,
    caller_path: MediaPath = UNKNOWN_PATH,
    callee_path: MediaPath = UNKNOWN_PATH,
    decline_message: str | None = None,
) -> str:
    """A call that lasted 60 s, of which it was answered after some or not at all; with no reason, it has not ended. Its id."""
    log = SqlCallLog(engine, ThisNode("here"), scope.kind)
    call_id = new_id()
    await log.opened(NewCall(call_id, scope, "video", caller, callee, after(started), transferred_from, hidden_from_callee))
    if answered is not None:
        await log.answered(call_id, after(started + answered))
    if reason is not None:
        await log.ended(
            call_id, after(started + 60), reason, caller=caller_path, callee=callee_path, decline_message=decline_message
        )
    return call_id


async def say(
    engine: AsyncEngine, scope: Scope, call_id: str, author: Profile, said: str, *, at: float = 0, message_id: str | None = None
) -> bool:
    """A text within a call."""
    return await SqlChatLog(engine).add(call_id, scope, ChatMessage(message_id or new_id(), author, said, after(at)))


async def row(engine: AsyncEngine, call_id: str) -> dict[str, Any] | None:
    """The call's row, in whichever table it is; None if there is none."""
    async with engine.connect() as connection:
        for tables in OF_KIND.values():
            found = await connection.execute(select(tables.calls.__table__).where(tables.calls.call_id == call_id))
            for columns in found.mappings():
                return dict(columns)
    return None


async def crowd(engine: AsyncEngine) -> None:
    """Two thousand calls in each table, one an hour, all over and seen. The student called the tutor in twenty of them. A planner
    chooses an index by what there is: among one call all indexes are as good."""
    hours = [
        {
            "call_id": f"{hour:032x}",
            **values(STUDENT.profile if hour % 100 == 0 else Profile("student", 10_000 + hour % 500), "caller_"),
            **values(TUTOR.profile if hour % 100 == 0 else Profile("tutor", 10_000 + hour % 500), "callee_"),
            "call_type": "video",
            "status": "ended",
            "started_at": after(hour * 3600),
            "ended_at": after(hour * 3600 + 60),
            "callee_seen_at": after(hour * 3600 + 60),
        }
        for hour in range(2000)
    ]
    async with engine.begin() as connection:
        for tables in OF_KIND.values():
            await connection.execute(insert(tables.calls), hours)


async def plans(engine: AsyncEngine, asking: Awaitable[object]) -> str:
    """How the database finds what is asked for, when it is not left to read a whole (small) table.

    PostgreSQL judges by what is in the tables now, not by what was there when it last looked.
    """
    found: list[str] = []
    if engine.dialect.name == "postgresql":
        async with engine.begin() as connection:
            await connection.execute(text(f"ANALYZE {', '.join(Base.metadata.tables)}"))

    def explain(connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.startswith(("EXPLAIN", "SET")) or many:
            return
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        word = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        found.extend(" ".join(map(str, line)) for line in connection.exec_driver_sql(f"{word} {statement}", parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", explain)
    try:
        await asking
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", explain)
    assert found, "nothing was asked"
    return "\n".join(found)


def scanned(plan: str) -> set[str]:
    """The tables that a plan reads from one end to the other, be it by way of an index."""
    read = re.findall(r"(?:Seq Scan on|SCAN) (\w+)", plan)
    return {table for table in Base.metadata.tables for name in read if re.fullmatch(rf"(known_)?{table}(_\d+)?", name)}


async def foreign(engine: AsyncEngine, kind: ScopeKind, **columns: Any) -> str:
    """A call that the relay did not carry: its name in the API."""
    common = {
        "caller_profile_type": "student",
        "caller_profile_id": 456,
        "call_type": "voice",
        "status": "ended",
        "started_at": T0,
    }
    async with engine.begin() as connection:
        table: Any = OF_KIND[kind].calls
        inserted = await connection.execute(insert(table).values(**{**common, **columns}).returning(table.id))
        return str(inserted.scalar_one())


class Log(SqlCallLog):
    """A log that tests can open calls in by a word."""

    kind: ScopeKind

    async def call(self, started: float = 0, scope_id: int = 1, call_type: str = "video") -> str:
        """Open a call and give its id."""
        call_id = new_id()
        scope = Scope(self.kind, scope_id)
        await self.opened(NewCall(call_id, scope, call_type, STUDENT, TUTOR, after(started)))
        return call_id


def log_of(member: ThisNode, engine: AsyncEngine, kind: ScopeKind) -> Log:
    log = Log(engine, member, kind)
    log.kind = kind
    return log


async def columns(engine: AsyncEngine, call_id: str, *names: str) -> dict[str, Any]:
    found = await row(engine, call_id)
    assert found is not None
    return {name: found[name] for name in names} if names else found


async def the_call(history: SqlHistory, profile: Profile, call_id: str) -> CallRecord:
    detail = await history.call(profile, call_id)
    assert detail is not None
    return detail.call


def public(card: ProfileCard) -> ProfileCard:
    """What others may know."""
    return ProfileCard(card.profile, card.name, card.avatar)

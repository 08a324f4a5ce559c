"""Missed calls: the unseen ones, and those that a connecting device is notified of."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.history import SqlHistory, SqlMissedCalls
from relay.db.platform import SqlPlatform
from relay.ids import Scope, ScopeKind
from relay.signaling.ports import MissedCallRecord, Unseen
from tests.db.calls import call, public, row, the_call
from tests.db.people import PARENT, STUDENT, T0, TUTOR, after

# -- seen and unseen --------------------------------------------------------------------------------------------------


async def test_a_missed_call_is_unseen_until_its_callee_marks_it(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    first, second = await call(engine, scope), await call(engine, scope, started=1)
    assert await history.unseen_count(TUTOR.profile) == 2
    assert await history.unseen_count(STUDENT.profile) == 0
    assert await history.mark_seen(TUTOR.profile, first, after(100)) is True
    assert await history.mark_seen(TUTOR.profile, first, after(200)) is False
    assert await history.unseen_count(TUTOR.profile) == 1
    assert (await the_call(history, TUTOR.profile, first)).seen
    assert not (await the_call(history, TUTOR.profile, second)).seen
    found = await row(engine, first)
    assert found is not None
    assert found["callee_seen_at"] == after(100)


async def test_a_call_that_the_caller_marked_as_seen_is_unseen_for_the_callee(
    history: SqlHistory, scope: Scope, engine: AsyncEngine
) -> None:
    call_id = await call(engine, scope)
    marked = scope.kind is ScopeKind.WHITEBOARD_SESSION
    assert await history.mark_seen(STUDENT.profile, call_id, T0) is marked
    assert (await the_call(history, STUDENT.profile, call_id)).seen
    assert await history.unseen_count(TUTOR.profile) == 1


async def test_everything_missed_up_to_a_call_is_marked_at_once(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    calls = [await call(engine, scope, started=started) for started in (0, 1, 1, 2)]
    others = await call(engine, scope, callee=PARENT)
    assert await history.mark_seen_up_to(TUTOR.profile, calls[1], T0) == 2
    assert [(await the_call(history, TUTOR.profile, one)).seen for one in calls] == [True, True, False, False]
    assert await history.mark_seen_up_to(TUTOR.profile, calls[3], T0) == 2
    assert await history.mark_seen_up_to(TUTOR.profile, calls[3], T0) == 0
    assert await history.unseen_count(TUTOR.profile) == 0
    assert await history.unseen_count(PARENT.profile) == 1
    assert not (await the_call(history, PARENT.profile, others)).seen


async def test_everything_missed_up_to_a_call_of_ones_own_is_marked_too(
    history: SqlHistory, scope: Scope, engine: AsyncEngine
) -> None:
    await call(engine, scope)
    own = await call(engine, scope, caller=TUTOR, callee=STUDENT, started=1)
    await call(engine, scope, started=2)
    await history.mark_seen_up_to(TUTOR.profile, own, T0)
    assert await history.unseen_count(TUTOR.profile) == 1


# -- missed calls, for a device that connects -------------------------------------------------------------------------


@pytest.fixture
def missed(engine: AsyncEngine) -> SqlMissedCalls:
    return SqlMissedCalls(engine)


async def test_missed_calls_of_both_kinds_come_together_newest_first(
    missed: SqlMissedCalls, platform: SqlPlatform, engine: AsyncEngine
) -> None:
    conversation, whiteboard = (Scope(kind, 7) for kind in ScopeKind)
    for scope in (conversation, whiteboard):
        await platform.put_scope(scope, [STUDENT.profile, TUTOR.profile, PARENT.profile])
    first = await call(engine, whiteboard, reason="busy")
    second = await call(engine, conversation, started=1, caller=PARENT)
    third = await call(engine, whiteboard, started=2)
    assert await missed.unseen(TUTOR.profile, 2) == Unseen(
        (
            MissedCallRecord(third, whiteboard, "video", public(STUDENT), "no_answer", after(2)),
            MissedCallRecord(second, conversation, "video", PARENT, "no_answer", after(1)),
        ),
        3,
    )
    assert [record.call_id for record in (await missed.unseen(TUTOR.profile, 50)).calls] == [third, second, first]


async def test_a_refused_answered_or_seen_call_is_not_missed(missed: SqlMissedCalls, scope: Scope, engine: AsyncEngine) -> None:
    for reason in ("rejected", "blocked", None):
        await call(engine, scope, reason=reason)
    await call(engine, scope, answered=1, reason="hangup")
    await call(engine, scope, caller=TUTOR, callee=STUDENT)
    seen = await call(engine, scope)
    await SqlHistory(engine, scope.kind).mark_seen(TUTOR.profile, seen, T0)
    assert await missed.unseen(TUTOR.profile, 50) == Unseen((), 0)


async def test_a_call_missed_at_a_deleted_scope_is_not_unseen(
    missed: SqlMissedCalls, scope: Scope, platform: SqlPlatform, engine: AsyncEngine
) -> None:
    await call(engine, scope)
    await platform.delete_scope(scope)
    assert await missed.unseen(TUTOR.profile, 50) == Unseen((), 0)
    assert await SqlHistory(engine, scope.kind).unseen_count(TUTOR.profile) == 0

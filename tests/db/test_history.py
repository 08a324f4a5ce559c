from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.history import MAX_CHAT_MESSAGES, SqlHistory, SqlMissedCalls
from relay.db.models import OF_KIND, ChatRow
from relay.db.platform import SqlPlatform
from relay.db.profiles import values
from relay.ids import Profile, Scope, ScopeKind
from relay.media.api import Route
from relay.records.calls import CallDirection, CallRecord, ChatRecord
from relay.records.profiles import ProfileCard
from relay.signaling.ports import MediaPath
from tests.db.calls import call, crowd, foreign, plans, public, row, say, scanned, the_call
from tests.db.people import PARENT, STRANGER, STUDENT, T0, TUTOR, after


async def names(history: SqlHistory, profile: Profile, **how: Any) -> list[str]:
    """The ids of the profile's calls, newest first."""
    return [record.id for record in (await history.calls(profile, limit=50, **how)).calls]


# -- one call, from both sides ----------------------------------------------------------------------------------------


async def test_both_parties_have_an_answered_call_in_their_history(
    history: SqlHistory, scope: Scope, engine: AsyncEngine
) -> None:
    call_id = await call(engine, scope, answered=10, reason="hangup", transferred_from="a" * 32)
    outgoing = CallRecord(
        id=call_id,
        scope=scope,
        direction=CallDirection.OUTGOING,
        other=TUTOR,
        call_type="video",
        status="ended",
        reason="hangup",
        started_at=T0,
        answered_at=after(10),
        ended_at=after(60),
        duration_seconds=50,
        missed=False,
        seen=scope.kind is ScopeKind.CONVERSATION,
        transferred_from="a" * 32,
        recording_id=None,
        route=None,
        family=None,
        rtt_ms=None,
    )
    assert (await history.calls(STUDENT.profile, limit=50)).calls == (outgoing,)
    assert await the_call(history, STUDENT.profile, call_id) == outgoing
    [incoming] = (await history.calls(TUTOR.profile, limit=50)).calls
    assert (incoming.id, incoming.direction, incoming.other) == (call_id, CallDirection.INCOMING, public(STUDENT))
    assert not incoming.seen
    assert not incoming.missed


async def test_a_party_sees_the_route_of_its_own_media_and_not_the_others(
    history: SqlHistory, scope: Scope, engine: AsyncEngine
) -> None:
    call_id = await call(
        engine,
        scope,
        answered=10,
        reason="hangup",
        caller_path=MediaPath(Route("turn-tls", "ipv4"), 0.0421),
        callee_path=MediaPath(Route("udp", "ipv6"), None),
    )
    mine, theirs = [await the_call(history, one.profile, call_id) for one in (STUDENT, TUTOR)]
    assert (mine.route, mine.family, mine.rtt_ms) == ("turn-tls", "ipv4", 42.1)
    assert (theirs.route, theirs.family, theirs.rtt_ms) == ("udp", "ipv6", None)


async def test_both_parties_read_what_the_callee_said_by_declining(
    history: SqlHistory, scope: Scope, engine: AsyncEngine
) -> None:
    call_id = await call(engine, scope, reason="rejected", decline_message="In 10 minutes")
    for one in (STUDENT, TUTOR):
        assert (await the_call(history, one.profile, call_id)).decline_message == "In 10 minutes"


async def test_another_profile_cannot_read_or_mark_the_call(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    call_id = await call(engine, scope, answered=10, reason="hangup")
    assert await names(history, PARENT.profile) == []
    assert await history.call(PARENT.profile, call_id) is None
    assert await history.mark_seen(PARENT.profile, call_id, T0) is None
    assert await history.mark_seen_up_to(PARENT.profile, call_id, T0) is None


async def test_a_call_that_does_not_exist_is_none(history: SqlHistory) -> None:
    for record_id in ("", "0", "1", "-1", "99999999999", "f" * 32, "F" * 32, "x", "1\n", "\0", "١", "' OR 1=1"):
        assert await history.call(STUDENT.profile, record_id) is None, record_id
        assert await history.mark_seen(STUDENT.profile, record_id, T0) is None, record_id


async def test_calls_of_the_other_table_are_not_among_these(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    other = SqlHistory(engine, next(kind for kind in ScopeKind if kind is not scope.kind))
    call_id = await call(engine, scope)
    assert await names(other, STUDENT.profile) == []
    assert await other.call(STUDENT.profile, call_id) is None


async def test_a_call_that_rings_is_in_the_history_of_the_caller_only(
    history: SqlHistory, scope: Scope, engine: AsyncEngine
) -> None:
    call_id = await call(engine, scope, reason=None)
    assert (await the_call(history, STUDENT.profile, call_id)).status == "initiated"
    assert await names(history, TUTOR.profile) == []
    assert await history.call(TUTOR.profile, call_id) is None


async def test_a_blocked_call_looks_refused_to_the_caller_and_never_shows_to_the_callee(
    history: SqlHistory, scope: Scope, engine: AsyncEngine
) -> None:
    blocked = await call(engine, scope, reason="blocked")
    rejected = await call(engine, scope, reason="rejected", started=1)
    records = (await history.calls(STUDENT.profile, limit=50)).calls
    assert [(record.id, record.reason, record.status) for record in records] == [
        (rejected, "rejected", "missed"),
        (blocked, "rejected", "missed"),
    ]
    assert await names(history, TUTOR.profile) == [rejected]
    assert await names(history, TUTOR.profile, missed=True) == []
    assert await history.call(TUTOR.profile, blocked) is None
    assert await history.mark_seen(TUTOR.profile, blocked, T0) is None
    assert await history.unseen_count(TUTOR.profile) == 0


async def test_a_call_that_was_not_allowed_is_not_in_the_callees_history(
    history: SqlHistory, scope: Scope, engine: AsyncEngine
) -> None:
    """However it ended: a server that died has closed it as expired."""
    before = await call(engine, scope, started=-100)
    reasons = ("unavailable", "expired", "blocked", "rejected")
    hidden = [await call(engine, scope, reason=reason, hidden_from_callee=True, started=-at) for at, reason in enumerate(reasons)]
    assert await names(history, STUDENT.profile) == [*hidden, before]
    assert await names(history, TUTOR.profile) == await names(history, TUTOR.profile, missed=True) == [before]
    for one, reason in zip(hidden, reasons, strict=True):
        assert await history.call(TUTOR.profile, one) is None, reason
        assert await history.mark_seen(TUTOR.profile, one, T0) is None, reason
    assert await history.unseen_count(TUTOR.profile) == 1
    unseen = await SqlMissedCalls(engine).unseen(TUTOR.profile, 10)
    assert ([one.call_id for one in unseen.calls], unseen.count) == ([before], 1)


async def test_calling_strangers_does_not_tell_their_names(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    call_id = await call(engine, scope, callee=STRANGER, reason="rejected")
    assert (await the_call(history, STUDENT.profile, call_id)).other == ProfileCard(STRANGER.profile, "", "")
    platform = SqlPlatform(engine)
    await platform.connect(STUDENT.profile, STRANGER.profile)
    assert (await the_call(history, STUDENT.profile, call_id)).other == STRANGER


async def test_the_callee_is_still_named_when_the_scope_was_deleted(
    history: SqlHistory, scope: Scope, engine: AsyncEngine
) -> None:
    talked = await call(engine, scope, answered=1, reason="hangup")
    await SqlPlatform(engine).delete_scope(scope)
    record = await the_call(history, STUDENT.profile, talked)
    assert (record.scope, record.other) == (None, TUTOR)


async def test_the_other_party_is_named_as_it_was_called_then(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    call_id = await call(engine, scope)
    platform = SqlPlatform(engine)
    await platform.put_profiles([ProfileCard(STUDENT.profile, "Maya L.", "/avatars/new.png")])
    assert (await the_call(history, TUTOR.profile, call_id)).other == ProfileCard(STUDENT.profile, "Maya", "/avatars/new.png")
    await platform.delete_profile(STUDENT.profile)
    avatar = STUDENT.avatar if scope.kind is ScopeKind.WHITEBOARD_SESSION else ""
    assert (await the_call(history, TUTOR.profile, call_id)).other == ProfileCard(STUDENT.profile, "Maya", avatar)


async def test_a_whiteboard_call_refers_to_its_recording(engine: AsyncEngine, platform: SqlPlatform) -> None:
    scope = Scope(ScopeKind.WHITEBOARD_SESSION, 7)
    await platform.put_scope(scope, [STUDENT.profile, TUTOR.profile])
    call_id = await call(engine, scope, answered=1, reason="hangup")
    async with engine.begin() as connection:
        await connection.execute(update(OF_KIND[scope.kind].calls).values(recording_id="b" * 32))
    assert (await the_call(SqlHistory(engine, scope.kind), TUTOR.profile, call_id)).recording_id == "b" * 32


# -- calls that the relay did not carry -------------------------------------------------------------------------------


async def test_a_call_of_the_replaced_backend_is_named_by_its_row(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    record_id = await foreign(engine, scope.kind, callee_profile_type="tutor", callee_profile_id=789)
    for profile, other in ((STUDENT, TUTOR), (TUTOR, STUDENT)):
        record = await the_call(history, profile.profile, record_id)
        assert (record.id, record.other, record.reason, record.scope) == (record_id, public(other), None, None)
        assert await names(history, profile.profile) == [record_id]
    assert await history.mark_seen(TUTOR.profile, record_id, T0)


async def test_the_row_number_is_no_name_for_a_call_of_the_relay(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    found = await row(engine, await call(engine, scope))
    assert found is not None
    assert await history.call(STUDENT.profile, str(found["id"])) is None


async def test_a_row_with_malformed_participants_can_be_read(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    malformed: list[Any] = [
        *(None, "Maya", 7, {"a": 1}, [], [1, None]),
        [{"name": 5, "profile_type": "tutor", "profile_id": 789}],
    ]
    for participants in malformed:
        unknown = await foreign(engine, scope.kind, participants=participants)
        assert (await the_call(history, STUDENT.profile, unknown)).other is None, participants
        known = await foreign(engine, scope.kind, participants=participants, callee_profile_type="tutor", callee_profile_id=789)
        assert (await the_call(history, STUDENT.profile, known)).other == TUTOR, participants


# -- pages ------------------------------------------------------------------------------------------------------------


async def test_calls_come_newest_first_in_pages_that_neither_repeat_nor_leave_out(
    history: SqlHistory, scope: Scope, engine: AsyncEngine
) -> None:
    made = [
        await call(engine, scope, caller=caller, callee=callee, started=started)
        for started in (0, 1, 1, 1, 2.5)  # three at the same moment
        for caller, callee in ((STUDENT, TUTOR), (TUTOR, STUDENT))
    ]
    seen: list[str] = []
    cursor = None
    for size in (3, 3, 3, 1):
        page = await history.calls(STUDENT.profile, limit=3, cursor=cursor)
        assert len(page.calls) == size
        seen += [record.id for record in page.calls]
        cursor = page.next_cursor
        # What is new in the meantime does not move the pages.
        await call(engine, scope, started=100)
    assert cursor is None
    assert seen == made[::-1]


async def test_a_page_that_ends_with_the_last_call_has_none_after_it(
    history: SqlHistory, scope: Scope, engine: AsyncEngine
) -> None:
    for started in range(4):
        await call(engine, scope, started=started)
    first = await history.calls(STUDENT.profile, limit=2)
    second = await history.calls(STUDENT.profile, limit=2, cursor=first.next_cursor)
    assert (len(first.calls), len(second.calls), second.next_cursor) == (2, 2, None)


async def test_calls_are_found_by_a_part_of_the_other_partys_name(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    with_tutor = [await call(engine, scope, started=started) for started in (0, 2)]
    with_parent = await call(engine, scope, callee=PARENT, started=1)
    first = await history.calls(STUDENT.profile, limit=1, name="EMI")
    second = await history.calls(STUDENT.profile, limit=1, name="emi", cursor=first.next_cursor)
    assert [one.id for page in (first, second) for one in page.calls] == with_tutor[::-1]
    assert [one.id for one in (await history.calls(STUDENT.profile, limit=9, name="Zoe")).calls] == [with_parent]
    none = await history.calls(STUDENT.profile, limit=9, name="%")
    assert (none.calls, none.next_cursor) == ((), None)


async def test_a_search_looks_through_few_calls_at_a_time_and_goes_on_where_it_stopped(scope: Scope, engine: AsyncEngine) -> None:
    history = SqlHistory(engine, scope.kind, searched=2, max_searched=4)
    wanted = await call(engine, scope, callee=PARENT, started=0)
    for started in range(1, 6):
        await call(engine, scope, started=started)
    first = await history.calls(STUDENT.profile, limit=9, name="zoe")
    assert first.calls == ()
    second = await history.calls(STUDENT.profile, limit=9, name="zoe", cursor=first.next_cursor)
    assert ([one.id for one in second.calls], second.next_cursor) == ([wanted], None)


async def test_a_page_may_be_of_missed_calls_only(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    missed = [
        await call(engine, scope, started=started, reason=reason)
        for started, reason in enumerate(("busy", "cancelled", "offline"))
    ]
    await call(engine, scope, answered=1, reason="hangup")
    await call(engine, scope, reason="rejected")
    await call(engine, scope, reason="blocked")
    await call(engine, scope, reason=None)
    await call(engine, scope, caller=TUTOR, callee=STUDENT, reason="no_answer")
    assert await names(history, TUTOR.profile, missed=True) == missed[::-1]
    page = await history.calls(TUTOR.profile, limit=2, missed=True)
    assert all(record.missed for record in page.calls)
    assert await names(history, TUTOR.profile, missed=True, cursor=page.next_cursor) == missed[:1]


async def test_a_cursor_that_is_none_is_refused(history: SqlHistory) -> None:
    for cursor in ("", "x", "=", "MTIz", "é", "MSAw", "MSA5OTk5OTk5OTk5", "MSAx\n", "LTEgMQ", "A" * 1000):
        with pytest.raises(ValueError, match="not a cursor"):
            await history.calls(STUDENT.profile, limit=2, cursor=cursor)


# -- texts ------------------------------------------------------------------------------------------------------------


async def test_a_call_comes_with_its_chat_messages_oldest_first(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    call_id, other = await call(engine, scope), await call(engine, scope)
    await say(engine, scope, call_id, TUTOR.profile, "second", at=2, message_id="b")
    await say(engine, scope, call_id, STUDENT.profile, "first", at=1, message_id="a")
    await say(engine, scope, other, STUDENT.profile, "elsewhere")
    detail = await history.call(STUDENT.profile, call_id)
    assert detail is not None
    assert detail.chat == (
        ChatRecord("a", STUDENT.profile, own=True, text="first", sent_at=after(1)),
        ChatRecord("b", TUTOR.profile, own=False, text="second", sent_at=after(2)),
    )


async def test_a_call_comes_with_its_latest_chat_messages(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    call_id = await call(engine, scope)
    texts = [
        {
            "call_id": call_id,
            **values(STUDENT.profile, "author_"),
            "message_id": str(number),
            "text": f"text {number}",
            "sent_at": after(number),
        }
        for number in range(MAX_CHAT_MESSAGES + 2)
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(ChatRow), texts)
    detail = await history.call(STUDENT.profile, call_id)
    assert detail is not None
    assert [detail.chat[0].text, detail.chat[-1].text, len(detail.chat)] == [
        "text 2",
        f"text {MAX_CHAT_MESSAGES + 1}",
        MAX_CHAT_MESSAGES,
    ]


# -- how it is found --------------------------------------------------------------------------------------------------


async def test_queries_of_a_profiles_calls_read_no_other_calls(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    call_id = await call(engine, scope)
    page = await history.calls(STUDENT.profile, limit=1, cursor="MTAwMDAwMCAx")
    assert page.calls == ()
    tables = {OF_KIND[scope.kind].calls.__tablename__, "call_chat_messages"}
    for asking in (
        history.calls(STUDENT.profile, limit=20),
        history.calls(STUDENT.profile, limit=20, cursor="MTAwMDAwMCAx"),
        history.calls(STUDENT.profile, limit=20, missed=True),
        history.call(STUDENT.profile, call_id),
        history.mark_seen_up_to(TUTOR.profile, call_id, T0),
        history.unseen_count(TUTOR.profile),
        SqlMissedCalls(engine).unseen(TUTOR.profile, 10),
    ):
        assert not scanned(await plans(engine, asking)) & tables


async def test_unseen_calls_have_an_index_of_their_own(scope: Scope, engine: AsyncEngine) -> None:
    await crowd(engine)
    await call(engine, scope)
    plan = await plans(engine, SqlMissedCalls(engine).unseen(TUTOR.profile, 10))
    assert "ix_call_logs_unseen" in plan
    assert "ix_whiteboard_call_history_unseen" in plan


async def test_a_page_reads_the_indexes_in_the_order_of_time(history: SqlHistory, scope: Scope, engine: AsyncEngine) -> None:
    await crowd(engine)
    middle = (await history.calls(STUDENT.profile, limit=10)).next_cursor
    plan = await plans(engine, history.calls(STUDENT.profile, limit=20, cursor=middle))
    table = OF_KIND[scope.kind].calls.__tablename__
    assert f"ix_{table}_caller" in plan
    assert f"ix_{table}_callee" in plan

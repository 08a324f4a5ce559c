from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.history import SqlHistory
from relay.db.platform import SqlPlatform
from relay.db.recordings.accesses import SqlRecordingAccesses
from relay.db.recordings.rows import SqlRecordings
from relay.ids import Scope, ScopeKind, new_id
from relay.records.recordings import (
    AccessAction,
    CaptureResult,
    ConsentAnswer,
    NewRecording,
    RecordingAccess,
    RecordingConsent,
    RecordingEnd,
    RecordingFilter,
    RecordingPolicy,
    RecordingRecord,
    RecordingState,
    RecordingVerdict,
)
from tests.db.calls import call, plans, scanned
from tests.db.people import PARENT, STRANGER, STUDENT, TUTOR, after
from tests.kit.cluster import ThisNode

CAPTURING, CAPTURED, ASSEMBLING, READY, FAILED, DELETING = RecordingState
OFF, CONSENT, ALWAYS = RecordingPolicy
CONVERSATION = Scope(ScopeKind.CONVERSATION, 7)
LEFT = CaptureResult(RecordingEnd.STOPPED, 100, 5000, 2, {"a.pcapng": 5000})


@pytest.fixture
def recordings(engine: AsyncEngine) -> SqlRecordings:
    return SqlRecordings(engine, ThisNode("here"))


@pytest.fixture
def accesses(engine: AsyncEngine) -> SqlRecordingAccesses:
    return SqlRecordingAccesses(engine)


def new(started: float = 0, **fields: object) -> NewRecording:
    made = NewRecording(
        recording_id=new_id(),
        call_id=new_id(),
        scope=CONVERSATION,
        caller=STUDENT.profile,
        callee=TUTOR.profile,
        started_at=after(started),
        policy=CONSENT,
        policy_version="3",
        consented=True,
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of it


async def recorded(recordings: SqlRecordings, started: float = 0, **fields: object) -> str:
    """A recording that was captured for a minute. Its id."""
    made = new(started, **fields)
    await recordings.started(made)
    await recordings.captured(made.recording_id, after(started + 60), LEFT)
    return made.recording_id


async def the(recordings: SqlRecordings, recording_id: str) -> RecordingRecord:
    found = await recordings.get(recording_id)
    assert found is not None
    return found


async def test_a_recording_is_captured_and_then_says_what_there_is(recordings: SqlRecordings) -> None:
    made = new(sealed=True)
    await recordings.started(made)
    await recordings.started(made)  # by the journal of an earlier life
    begun = await the(recordings, made.recording_id)
    assert (begun.state, begun.end_reason, begun.ended_at, begun.files) == (CAPTURING, None, None, {})
    assert (begun.call_id, begun.scope, begun.caller, begun.callee) == (made.call_id, *made_of(made))
    assert (begun.policy, begun.policy_version, begun.consented, begun.sealed, begun.node) == (CONSENT, "3", True, True, "here")
    for at in (60, 90):
        await recordings.captured(made.recording_id, after(at), LEFT)
    over = await the(recordings, made.recording_id)
    assert (over.state, over.end_reason, over.ended_at) == (CAPTURED, "stopped", after(60))
    assert (over.packets, over.bytes, over.dropped, over.files) == (100, 5000, 2, {"a.pcapng": 5000})
    assert (over.verdict, over.legal_hold, over.attempts, over.note) == (RecordingVerdict.NONE, False, 0, None)


def made_of(made: NewRecording) -> tuple[object, ...]:
    return made.scope, made.caller, made.callee


async def test_a_capture_that_wrote_nothing_has_failed(recordings: SqlRecordings) -> None:
    made = new()
    await recordings.started(made)
    await recordings.captured(made.recording_id, after(0), CaptureResult(RecordingEnd.DISK_FULL))
    found = await the(recordings, made.recording_id)
    assert (found.state, found.end_reason) == (FAILED, "disk_full")


async def test_the_history_of_a_whiteboard_call_names_its_recording(engine: AsyncEngine, recordings: SqlRecordings) -> None:
    scope = Scope(ScopeKind.WHITEBOARD_SESSION, 7)
    made = new(scope=scope, call_id=await call(engine, scope, answered=1))
    await recordings.started(made)
    page = await SqlHistory(engine, scope.kind).calls(STUDENT.profile, limit=1)
    assert [one.recording_id for one in page.calls] == [made.recording_id]


async def test_pages_have_each_recording_once_newest_first(recordings: SqlRecordings) -> None:
    ids = [await recorded(recordings, started) for started in (0, 10, 10, 20, 30)]
    found: list[str] = []
    cursor = None
    while True:
        page = await recordings.page(RecordingFilter(), limit=2, cursor=cursor)
        found += [one.recording_id for one in page.entries]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == [ids[4], ids[3], *sorted(ids[1:3], reverse=True), ids[0]]
    with pytest.raises(ValueError, match="not a cursor"):
        await recordings.page(RecordingFilter(), limit=2, cursor="bm90IG9uZQ")


async def test_a_list_has_what_is_asked_for(recordings: SqlRecordings) -> None:
    whiteboard = Scope(ScopeKind.WHITEBOARD_SESSION, 7)
    old = await recorded(recordings, 0, caller=PARENT.profile)
    forced = await recorded(recordings, 100, policy=ALWAYS)
    drawn = await recorded(recordings, 200, scope=whiteboard, callee=PARENT.profile)
    going = new(300)
    await recordings.started(going)

    async def ids(**wanted: object) -> list[str]:
        page = await recordings.page(RecordingFilter(**wanted), limit=9)  # type: ignore[arg-type]  # fields of it
        return [one.recording_id for one in page.entries]

    assert await ids() == [going.recording_id, drawn, forced, old]
    assert await ids(profile=PARENT.profile) == [drawn, old]
    assert await ids(participant=STUDENT.profile) == [going.recording_id, drawn]
    assert await ids(scope=whiteboard) == [drawn]
    assert await ids(call_id=going.call_id) == [going.recording_id]
    assert await ids(started_from=after(100), started_before=after(200)) == [forced]
    assert await ids(states=(CAPTURING,)) == [going.recording_id]
    assert await ids(verdict=RecordingVerdict.PASSED) == []
    assert await ids(node="there") == []


async def test_a_profile_sees_recordings_of_its_own_calls_to_which_it_consented(recordings: SqlRecordings) -> None:
    own, forced = await recorded(recordings), await recorded(recordings, policy=ALWAYS)
    for profile, found in ((STUDENT.profile, True), (TUTOR.profile, True), (STRANGER.profile, False)):
        assert (await recordings.get(own, profile) is not None) is found
        assert await recordings.get(forced, profile) is None
    assert await recordings.begin_deletion(own)
    assert await recordings.get(own, STUDENT.profile) is None
    assert (await recordings.page(RecordingFilter(participant=STUDENT.profile, states=(DELETING,)), limit=9)).entries == ()
    assert await recordings.get("no id") is None


async def test_an_assembly_is_begun_by_one_and_tried_again(recordings: SqlRecordings) -> None:
    one = await recorded(recordings)
    assert [found.recording_id for found in await recordings.unfinished(CAPTURED)] == [one]
    assert await recordings.move(one, [CAPTURED], ASSEMBLING)
    assert not await recordings.move(one, [CAPTURED], ASSEMBLING)
    assert await recordings.assembly_failed(one, "no space", again=True)
    assert await recordings.move(one, [CAPTURED], ASSEMBLING)
    assert await recordings.assembled(one, {"call.mkv": 9})
    assert not await recordings.assembled(one, {})
    found = await the(recordings, one)
    assert (found.state, found.attempts, found.files, found.note) == (READY, 2, {"call.mkv": 9}, None)
    assert await recordings.set_verdict(one, RecordingVerdict.FAILED, files={"call.mkv": 9, "report.html": 1}, note="a freeze")
    found = await the(recordings, one)
    assert (found.verdict, found.files, found.note) == (RecordingVerdict.FAILED, {"call.mkv": 9, "report.html": 1}, "a freeze")
    assert await recordings.move(one, [READY], ASSEMBLING)
    assert await recordings.assembly_failed(one, "broken", again=False)
    assert (await the(recordings, one)).state is FAILED
    assert await SqlRecordings(recordings._engine, ThisNode("there", 2)).unfinished(CAPTURED) == []


async def test_a_recording_under_legal_hold_is_neither_deleted_nor_too_old(recordings: SqlRecordings) -> None:
    held, other, going = await recorded(recordings), await recorded(recordings), new()
    await recordings.started(going)
    assert await recordings.set_legal_hold(held, True)
    assert not await recordings.begin_deletion(held)
    await recordings.discard(held)
    assert await recordings.expire(after(9999)) == 1
    assert [one.recording_id for one in await recordings.unfinished(DELETING)] == [other]
    assert not await recordings.begin_deletion(going.recording_id)
    assert await recordings.removed(other)
    assert not await recordings.removed(held)
    assert await recordings.get(other) is None
    assert await recordings.set_legal_hold(held, False)
    assert await recordings.begin_deletion(held)
    assert not await recordings.begin_deletion(held)
    assert not await recordings.set_verdict(held, RecordingVerdict.PASSED)


async def test_a_withdrawal_discards_a_recording_that_still_is_captured(recordings: SqlRecordings) -> None:
    made = new()
    await recordings.started(made)
    await recordings.discard(made.recording_id)
    await recordings.captured(made.recording_id, after(5), LEFT)
    found = await the(recordings, made.recording_id)
    assert (found.state, found.end_reason, found.files) == (DELETING, "stopped", {"a.pcapng": 5000})


async def test_recordings_of_a_server_that_died_end_with_their_calls(engine: AsyncEngine, recordings: SqlRecordings) -> None:
    over = await call(engine, CONVERSATION, started=0, answered=1, reason="expired")
    gone, going, unknown = new(call_id=over), new(), new(10)
    for one in (gone, going, unknown):
        await recordings.started(one)
    assert sorted(await recordings.close_lost(going.recording_id.__eq__, after(61))) == sorted(
        [gone.recording_id, unknown.recording_id]
    )
    assert await recordings.close_lost(going.recording_id.__eq__, after(61)) == []
    found = await the(recordings, gone.recording_id)
    assert (found.state, found.end_reason, found.ended_at) == (CAPTURED, "server_lost", after(60))
    assert (await the(recordings, unknown.recording_id)).ended_at == after(10)
    assert (await the(recordings, going.recording_id)).state is CAPTURING


async def test_another_server_closes_a_recording_whose_call_ended_long_ago(
    engine: AsyncEngine, recordings: SqlRecordings
) -> None:
    over, open_call = await call(engine, CONVERSATION, answered=1), await call(engine, CONVERSATION, answered=1, reason=None)
    ended, going = new(call_id=over), new(call_id=open_call)
    for one in (ended, going):
        await recordings.started(one)
    there = SqlRecordings(engine, ThisNode("there", 2))
    assert await there.close_lost(lambda _: False, after(100)) == []
    assert await there.close_lost(lambda _: False, after(1000)) == [ended.recording_id]


async def test_a_server_of_the_same_name_leaves_the_recording_of_a_call_that_goes_on_elsewhere(
    engine: AsyncEngine, recordings: SqlRecordings
) -> None:
    open_call, over = await call(engine, CONVERSATION, reason=None), await call(engine, CONVERSATION, answered=1)
    going, ended = new(call_id=open_call), new(call_id=over)
    for one in (going, ended):
        await recordings.started(one)
    namesake = SqlRecordings(engine, ThisNode("here", 2))
    assert await namesake.close_lost(lambda _: False, after(100)) == [ended.recording_id]
    assert await recordings.close_lost(lambda _: False, after(100)) == [going.recording_id], "its call is its own"


async def test_what_parties_have_said_is_kept_once_and_in_order(recordings: SqlRecordings) -> None:
    recording_id, call_id = new_id(), new_id()
    asked = RecordingConsent(new_id(), recording_id, call_id, STUDENT.profile, ConsentAnswer.REQUESTED, after(0), "3", "ab" * 32)
    given = RecordingConsent(new_id(), recording_id, call_id, TUTOR.profile, ConsentAnswer.ACCEPTED, after(5), "3")
    for one in (given, asked, given):
        await recordings.answered(one)
    assert await recordings.consents(recording_id) == [asked, given]


async def test_a_scope_has_a_policy_until_it_is_taken_away(recordings: SqlRecordings) -> None:
    assert await recordings.policy(CONVERSATION) is None
    for policy in (CONSENT, OFF, None):
        await recordings.set_policy(CONVERSATION, policy)
        assert await recordings.policy(CONVERSATION) is policy
        assert await recordings.policy(Scope(ScopeKind.WHITEBOARD_SESSION, 7)) is None


async def test_a_scope_that_is_deleted_leaves_no_policy_to_the_next_one(engine: AsyncEngine, recordings: SqlRecordings) -> None:
    platform = SqlPlatform(engine)
    await platform.put_scope(CONVERSATION, [])
    await recordings.set_policy(CONVERSATION, OFF)
    assert await platform.delete_scope(CONVERSATION)
    assert await recordings.policy(CONVERSATION) is None


async def test_accesses_are_kept_for_their_time_and_with_a_recording_under_legal_hold(
    recordings: SqlRecordings, accesses: SqlRecordingAccesses
) -> None:
    one, held = await recorded(recordings), await recorded(recordings)
    await recordings.set_legal_hold(held, True)
    looked = RecordingAccess(one, STUDENT.profile, AccessAction.VIEW, after(0))
    taken = RecordingAccess(one, None, AccessAction.DOWNLOAD, after(1), "call.mkv", 0, 4095, "cd" * 32)
    kept = RecordingAccess(held, TUTOR.profile, AccessAction.VIEW, after(0))
    for used in (looked, taken, kept, RecordingAccess(None, TUTOR.profile, AccessAction.LIST, after(0))):
        await accesses.add(used)
    assert await accesses.of(one) == [taken, looked]
    assert await accesses.forget(after(1)) == 2
    assert await accesses.of(one) == [taken]
    assert await accesses.of(held) == [kept]


async def test_no_list_reads_the_whole_table(recordings: SqlRecordings, engine: AsyncEngine) -> None:
    await recorded(recordings)
    for wanted in (RecordingFilter(participant=STUDENT.profile), RecordingFilter(scope=CONVERSATION), RecordingFilter()):
        plan = await plans(engine, recordings.page(wanted, limit=10))
        assert scanned(plan) <= {"recordings"}
        assert "ix_recordings" in plan
    assert "ix_recordings" in await plans(engine, recordings.unfinished(CAPTURED))

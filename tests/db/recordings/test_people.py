"""Recordings go when they are too old, or when a party of them is erased; unless they are held."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.personal_data import SqlPersonalData
from relay.db.recordings.accesses import SqlRecordingAccesses
from relay.db.recordings.people import BATCH, SqlRecordingPeople
from relay.db.recordings.retention import SqlRecordingRetention
from relay.db.recordings.rows import SqlRecordings
from relay.ids import Profile, Scope, ScopeKind, new_id
from relay.records.calls import Purged
from relay.records.recordings import (
    AccessAction,
    CaptureResult,
    ConsentAnswer,
    NewRecording,
    RecordingAccess,
    RecordingConsent,
    RecordingEnd,
    RecordingPolicy,
    RecordingState,
)
from relay.settings.retention import RecordingRetentionSettings
from tests.db.people import PARENT, STUDENT, T0, TUTOR
from tests.kit.cluster import ThisNode

DAYS = RecordingRetentionSettings(retain_recordings_days=30, retain_recording_accesses_days=60)


def day(number: float) -> datetime:
    return T0 + timedelta(days=number)


class Recordings:
    def __init__(self, engine: AsyncEngine) -> None:
        self.store = SqlRecordings(engine, ThisNode("here"))
        self.accesses = SqlRecordingAccesses(engine)
        self.people = SqlRecordingPeople(engine)
        self.woken = 0
        self.retention = SqlRecordingRetention(engine, self.store, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def add(
        self,
        at: datetime = T0,
        *,
        parties: tuple[Profile, Profile] = (STUDENT.profile, TUTOR.profile),
        policy: RecordingPolicy = RecordingPolicy.CONSENT,
        ended: bool = True,
    ) -> str:
        """A recording that both have consented to."""
        recording_id, call_id = new_id(), new_id()
        scope = Scope(ScopeKind.CONVERSATION, 7)
        await self.store.started(NewRecording(recording_id, call_id, scope, *parties, at, policy, "1", consented=True))
        for party in parties:
            await self.store.answered(RecordingConsent(new_id(), recording_id, call_id, party, ConsentAnswer.ACCEPTED, at, "1"))
        if ended:
            result = CaptureResult(RecordingEnd.CALL_ENDED, 1, 7, 0, {f"{recording_id}.pcapng": 7})
            await self.store.captured(recording_id, at + timedelta(minutes=1), result)
        return recording_id

    async def states(self, *recording_ids: str) -> Sequence[RecordingState | None]:
        found = [await self.store.get(one) for one in recording_ids]
        return [None if one is None else one.state for one in found]


@pytest.fixture
def recordings(engine: AsyncEngine) -> Recordings:
    return Recordings(engine)


async def test_recordings_that_ended_too_long_ago_are_marked_and_the_files_go_next(recordings: Recordings) -> None:
    old, young, held = await recordings.add(), await recordings.add(day(2)), await recordings.add()
    running = await recordings.add(ended=False)
    await recordings.store.set_legal_hold(held, True)
    assert await recordings.retention.apply(DAYS, day(31)) == Purged(recordings=1)
    assert recordings.woken == 1
    captured, capturing = RecordingState.CAPTURED, RecordingState.CAPTURING
    assert await recordings.states(old, young, held, running) == [RecordingState.DELETING, captured, captured, capturing]
    assert await recordings.retention.apply(DAYS, day(31)) == Purged()
    assert recordings.woken == 1


async def test_with_zero_days_recordings_are_kept_for_ever(recordings: Recordings) -> None:
    recording_id = await recordings.add()
    await recordings.accesses.add(RecordingAccess(recording_id, None, AccessAction.VIEW, T0))
    forever = RecordingRetentionSettings(retain_recordings_days=0, retain_recording_accesses_days=0)
    assert await recordings.retention.apply(forever, day(10_000)) == Purged()
    assert await recordings.states(recording_id) == [RecordingState.CAPTURED]


async def test_the_log_of_accesses_and_consents_to_what_is_gone_are_kept_longer(recordings: Recordings) -> None:
    gone, there = await recordings.add(), await recordings.add(day(50))
    for recording_id, at in ((gone, T0), (there, day(50))):
        await recordings.accesses.add(RecordingAccess(recording_id, STUDENT.profile, AccessAction.VIEW, at))
    await recordings.retention.apply(DAYS, day(31))
    await recordings.store.removed(gone)
    assert await recordings.retention.apply(DAYS, day(59)) == Purged()
    assert len(await recordings.store.consents(gone)) == 2
    assert await recordings.retention.apply(DAYS, day(61)) == Purged(recording_accesses=3)
    assert await recordings.accesses.of(gone) == []
    assert len(await recordings.accesses.of(there)) == 1
    assert await recordings.store.consents(gone) == []
    assert len(await recordings.store.consents(there)) == 2


async def test_an_export_has_the_recordings_that_the_profile_may_see_and_what_it_consented_to(
    recordings: Recordings, engine: AsyncEngine
) -> None:
    own = await recordings.add()
    always = await recordings.add(policy=RecordingPolicy.ALWAYS)
    await recordings.add(parties=(PARENT.profile, TUTOR.profile))
    found = await SqlPersonalData(engine).export(STUDENT.profile)
    assert found is not None
    [recording] = found["recordings"]
    assert (recording["recording_id"], recording["started_at"], recording["policy"]) == (own, T0.isoformat(), "consent")
    assert recording["files"] == {f"{own}.pcapng": 7}
    assert {one["recording_id"] for one in found["recording_consents"]} == {own, always}
    assert {(one["answer"], one["answered_at"]) for one in found["recording_consents"]} == {("accepted", T0.isoformat())}


async def test_erasing_a_profile_deletes_every_recording_of_it_that_is_not_held(
    recordings: Recordings, engine: AsyncEngine
) -> None:
    own, always, running = (
        await recordings.add(),
        await recordings.add(policy=RecordingPolicy.ALWAYS),
        await recordings.add(ended=False),
    )
    held, others = await recordings.add(), await recordings.add(parties=(PARENT.profile, TUTOR.profile))
    await recordings.store.set_legal_hold(held, True)
    data = SqlPersonalData(engine)
    assert await data.erase(STUDENT.profile, day(1))
    deleting, captured = RecordingState.DELETING, RecordingState.CAPTURED
    assert await recordings.states(own, always, running, held, others) == [deleting, deleting, deleting, captured, captured]
    left = {one: len(await recordings.store.consents(one)) for one in (own, always, held, others)}
    assert left == {own: 1, always: 1, held: 2, others: 2}
    assert not await data.erase(STUDENT.profile, day(1))


async def test_a_profile_that_erases_its_history_deletes_what_it_may_delete(recordings: Recordings, engine: AsyncEngine) -> None:
    own, always = await recordings.add(), await recordings.add(policy=RecordingPolicy.ALWAYS)
    held, running = await recordings.add(), await recordings.add(ended=False)
    await recordings.store.set_legal_hold(held, True)
    data = SqlPersonalData(engine)
    assert await data.erase_history(STUDENT.profile, day(1))
    captured = RecordingState.CAPTURED
    states = [RecordingState.DELETING, captured, captured, RecordingState.CAPTURING]
    assert await recordings.states(own, always, held, running) == states
    assert len(await recordings.store.consents(own)) == 2, "who has consented stays on record"
    assert not await data.erase_history(STUDENT.profile, day(1))


async def test_more_consents_than_a_batch_are_all_erased(recordings: Recordings) -> None:
    recording_id = await recordings.add()
    for _ in range(BATCH + 1):
        said = RecordingConsent(new_id(), recording_id, new_id(), STUDENT.profile, ConsentAnswer.WITHDRAWN, T0, "1")
        await recordings.store.answered(said)
    await recordings.people.erase(STUDENT.profile)
    assert [one.profile for one in await recordings.store.consents(recording_id)] == [TUTOR.profile]

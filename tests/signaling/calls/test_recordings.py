"""Recording by consent, as two clients see it, in virtual time."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from relay.errors import SignalingError
from relay.records.recordings import RecordingPolicy
from tests.signaling.calls.recorded import (
    AGREE,
    HOLD,
    REFUSE,
    REJOIN,
    RESUME,
    START,
    STOP,
    media_flows,
    recorded,
    said,
    seen,
    talking,
)
from tests.signaling.harness import MOMENT, MemoryHarness, recording
from tests.signaling.people import AGREE as AGREE_TO_TRANSFER
from tests.signaling.people import (
    HANG_UP,
    LESSON,
    PARENT,
    STUDENT,
    TO_PARENT,
    TUTOR,
    Client,
    answer,
    answered,
    error,
    frame,
    invitation,
)


@recording()
async def test_a_call_is_recorded_once_the_other_party_agrees(harness: MemoryHarness) -> None:
    caller, callee = await talking(harness)
    idle = callee.last("call_state")["recording"]
    assert (idle["state"], idle["can_record"], idle["policy"], idle["recording_id"]) == ("idle", True, "consent", None)
    await harness.say(caller, START)
    told, asked = caller.last("call_recording"), callee.last("call_recording")
    assert (told["state"], told["yours"], told["needs_answer"], told["can_record"]) == ("asked", True, False, False)
    assert (asked["state"], asked["yours"], asked["needs_answer"], asked["by"]) == ("asked", False, True, "party")
    request = callee.last("call_record_request")
    assert request["expires_at"] - request["server_time"] == 30_000
    assert request["recording_id"] == told["recording_id"] == asked["recording_id"]
    assert request["from_name"] == "Maya Lindgren"
    assert harness.engine.captured == []
    await harness.say(callee, AGREE)
    assert [seen(one) for one in (caller, callee)] == ["recording", "recording"]
    [order] = harness.engine.orders
    assert (order.recording_id, order.directory, order.policy) == (told["recording_id"], "/srv/recordings", "consent")
    assert order.parties == dict(zip(harness.engine.opened, "AB", strict=True))
    await harness.say(callee, STOP)
    assert [seen(one) for one in (caller, callee)] == ["stopped stopped", "stopped stopped"]
    await asyncio.sleep(MOMENT)
    [entry] = harness.recordings.entries.values()
    assert (entry.state, entry.recording.caller, entry.recording.callee) == ("captured", STUDENT, TUTOR)
    assert (entry.recording.consented, entry.recording.policy) == (True, "consent")
    assert entry.result is not None
    assert (entry.result.packets, entry.result.files) == (7, {f"{order.recording_id}.pcapng": 700})
    assert await said(harness) == [("student", "requested"), ("tutor", "accepted")]
    assert caller.last("call_recording")["can_record"]


@recording()
async def test_a_call_may_be_recorded_twice_and_each_is_a_recording(harness: MemoryHarness) -> None:
    caller, callee = await recorded(harness)
    await harness.say(caller, STOP)
    await harness.say(callee, START)
    await harness.say(caller, AGREE)
    await harness.say(callee, HANG_UP)
    await asyncio.sleep(MOMENT)
    assert harness.recordings.ends == [("captured", "stopped"), ("captured", "call_ended")]
    assert seen(caller) == "stopped call_ended"
    assert caller.types()[-1] == "call_ended hangup"


@recording()
async def test_a_party_that_declines_is_not_recorded(harness: MemoryHarness) -> None:
    caller, callee = await talking(harness)
    await harness.say(caller, START)
    await harness.say(callee, REFUSE)
    assert [seen(one) for one in (caller, callee)] == ["declined declined"] * 2
    await asyncio.sleep(60)
    assert [seen(one) for one in (caller, callee)] == ["declined declined"] * 2
    assert harness.engine.captured == []
    assert harness.recordings.entries == {}
    assert await said(harness) == [("student", "requested"), ("tutor", "declined")]


@recording()
async def test_a_request_that_is_not_answered_is_declined_after_30_s(harness: MemoryHarness) -> None:
    caller, callee = await talking(harness)
    await harness.say(caller, START)
    await asyncio.sleep(29.9)
    assert seen(caller) == "asked"
    await asyncio.sleep(0.2)
    assert [seen(one) for one in (caller, callee)] == ["declined expired"] * 2
    assert (await said(harness))[-1] == ("tutor", "expired")
    await harness.say(callee, AGREE)
    assert error(callee) == "wrong_state"
    assert harness.engine.captured == []


@pytest.mark.parametrize("taken_back", [STOP, REFUSE])
@recording()
async def test_a_request_may_be_taken_back(harness: MemoryHarness, taken_back: str) -> None:
    caller, callee = await talking(harness)
    await harness.say(caller, START)
    await harness.say(caller, taken_back)
    assert [seen(one) for one in (caller, callee)] == ["declined cancelled"] * 2
    await harness.say(callee, AGREE)
    assert error(callee) == "wrong_state"


@pytest.mark.parametrize("side", [0, 1])
@recording()
async def test_either_party_may_withdraw_its_consent(harness: MemoryHarness, side: int) -> None:
    parties = await recorded(harness)
    await harness.say(parties[side], REFUSE)
    assert [seen(one) for one in parties] == ["stopped consent_withdrawn"] * 2
    await asyncio.sleep(MOMENT)
    assert harness.engine.captured == ["start consent", "stop consent_withdrawn"]
    assert harness.recordings.ends == [("captured", "consent_withdrawn")]
    assert (await said(harness))[-1] == (parties[side].profile.profile_type, "withdrawn")


@recording(recording_on_withdrawal="delete")
async def test_a_withdrawal_deletes_what_there_is_where_the_operator_wants_that(harness: MemoryHarness) -> None:
    _, callee = await recorded(harness)
    woken: list[bool] = []
    harness.calls.writes.on_recorded = lambda: woken.append(True)
    await harness.say(callee, REFUSE)
    await asyncio.sleep(MOMENT)
    assert harness.recordings.ends == [("deleting", "consent_withdrawn")]
    assert woken, "or its files would stay until the next start"


@pytest.mark.parametrize(("caller", "callee"), [(False, True), (True, False)])
@recording()
async def test_a_call_of_a_client_that_cannot_show_it_is_not_recorded(harness: MemoryHarness, caller: bool, callee: bool) -> None:
    parties = await talking(harness, caller=caller, callee=callee)
    assert "recording" not in parties[0].last("call_state")
    for one in parties:
        await harness.say(one, START)
        assert error(one) == "not_supported"
    assert harness.engine.captured == []


@recording()
async def test_a_client_of_version_1_is_never_asked_and_talks_on(harness: MemoryHarness) -> None:
    caller, callee = await harness.answered(version=1)
    await harness.say(caller, START)
    assert error(caller) == "not_supported"
    assert callee.types() == ["call_invitation", "call_state answered"]


@recording()
async def test_a_conversation_may_be_stricter_than_the_server(harness: MemoryHarness) -> None:
    harness.recordings.policies[LESSON] = RecordingPolicy.OFF
    caller, _ = await talking(harness)
    await harness.say(caller, START)
    assert error(caller) == "not_allowed"


@recording("always")
async def test_a_conversation_with_consent_is_not_recorded_without_it(harness: MemoryHarness) -> None:
    harness.recordings.policies[LESSON] = RecordingPolicy.CONSENT
    caller, callee = await talking(harness)
    assert not callee.last("call_invitation")["will_be_recorded"]
    assert harness.engine.captured == []
    call_id = caller.last("call_state")["call_id"]
    with pytest.raises(SignalingError, match="may not be recorded"):
        await harness.calls.recordings.order(call_id)
    await harness.say(caller, START)
    await harness.say(callee, AGREE)
    assert seen(callee) == "recording"


@recording()
async def test_what_is_wrong_with_a_wish_is_answered_and_nothing_is_disturbed(harness: MemoryHarness) -> None:
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(caller, START)
    assert error(caller) == "no_call"
    await harness.say(caller, invitation(TUTOR, can_show_recording=True))
    await harness.say(caller, START)
    assert error(caller) == "wrong_state"
    await harness.say(callee, answer(can_show_recording=True))
    for wrong in (STOP, AGREE, REFUSE):
        await harness.say(caller, wrong)
        assert error(caller) == "wrong_state"
    await harness.say(caller, START)
    await harness.say(callee, START)
    assert error(callee) == "wrong_state"
    await harness.say(caller, AGREE)
    assert error(caller) == "wrong_state"
    await harness.say(callee, frame("call_record_answer", accepted=True, recording_id="0" * 32))
    assert error(callee) == "wrong_state"
    await harness.say(callee, AGREE)
    assert seen(caller) == "recording"


# -- what pauses it ---------------------------------------------------------------------------------------------------


@recording()
async def test_a_held_call_is_paused_for_both(harness: MemoryHarness) -> None:
    caller, callee = await recorded(harness)
    await harness.say(caller, HOLD)
    assert [seen(one) for one in (caller, callee)] == ["paused hold"] * 2
    await harness.say(callee, HOLD)
    await harness.say(caller, RESUME)
    assert seen(caller) == "paused hold"
    await harness.say(callee, RESUME)
    assert [seen(one) for one in (caller, callee)] == ["recording"] * 2


@recording()
async def test_a_call_that_is_held_begins_to_be_recorded_paused(harness: MemoryHarness) -> None:
    caller, callee = await talking(harness)
    await harness.say(caller, HOLD)
    await harness.say(caller, START)
    await harness.say(callee, AGREE)
    assert seen(callee) == "paused hold"
    await harness.say(caller, RESUME)
    assert seen(callee) == "recording"


@recording()
async def test_a_page_that_was_loaded_anew_sees_the_recording_and_is_not_asked(harness: MemoryHarness) -> None:
    caller, callee = await recorded(harness)
    await harness.lose(callee)
    await harness.resume(callee)
    assert callee.last("call_state")["recording"]["state"] == "recording"
    await harness.say(callee, REJOIN)
    await harness.say(callee, answered(update_id=callee.last("call_update")["update_id"]))
    assert len(callee.said("call_record_request")) == 1
    assert harness.engine.captured == ["start consent", "party B"]
    assert seen(caller) == "recording"


async def joined_by_another_device(harness: MemoryHarness, callee: Client) -> Client:
    await harness.lose(callee)
    other = await harness.connect(TUTOR)
    await harness.say(other, frame("call_rejoin", can_show_recording=True))
    return other


@recording()
async def test_another_device_pauses_the_recording_until_it_has_consented(harness: MemoryHarness) -> None:
    caller, callee = await recorded(harness)
    other = await joined_by_another_device(harness, callee)
    assert harness.engine.captured == ["start consent", "pause consent"]
    state = other.last("call_state")["recording"]
    assert (state["state"], state["reason"], state["needs_answer"]) == ("paused", "consent", True)
    assert state["expires_at"] == other.last("call_record_request")["expires_at"]
    assert seen(caller) == "paused consent"
    await harness.say(other, answered(update_id=other.last("call_update")["update_id"]))
    assert harness.engine.captured[-1] == "party B"
    await harness.say(other, AGREE)
    assert harness.engine.captured[-1] == "continue consent"
    assert [seen(one) for one in (caller, other)] == ["recording", "recording"]
    assert (await said(harness))[-1] == ("tutor", "accepted")


@pytest.mark.parametrize("answers", [True, False])
@recording()
async def test_another_device_that_does_not_consent_ends_the_recording(harness: MemoryHarness, answers: bool) -> None:
    caller, callee = await recorded(harness)
    other = await joined_by_another_device(harness, callee)
    await harness.say(other, answered(update_id=other.last("call_update")["update_id"]))
    if answers:
        await harness.say(other, REFUSE)
    else:
        await media_flows(harness)
        await asyncio.sleep(30.1)
    assert [seen(one) for one in (caller, other)] == ["stopped consent_withdrawn"] * 2
    assert (await said(harness))[-1] == ("tutor", "withdrawn" if answers else "expired")


@recording()
async def test_a_request_comes_again_to_a_device_that_takes_the_place_of_the_one_that_was_asked(harness: MemoryHarness) -> None:
    caller, callee = await talking(harness)
    await harness.say(caller, START)
    await asyncio.sleep(3)
    other = await joined_by_another_device(harness, callee)
    assert other.last("call_record_request")["expires_at"] == callee.last("call_record_request")["expires_at"]
    await harness.say(other, AGREE)
    assert seen(caller) == "recording"


@recording()
async def test_a_transfer_leads_to_a_call_that_is_not_recorded(harness: MemoryHarness) -> None:
    parent = await harness.connect(PARENT)
    caller, callee = await recorded(harness)
    await harness.say(callee, TO_PARENT)
    await harness.say(caller, AGREE_TO_TRANSFER)
    assert seen(callee) == "stopped call_ended"
    target = caller.last("call_ended")["transfer"]
    scope = LESSON._replace(scope_id=target["conversation_id"])
    await harness.say(caller, invitation(PARENT, scope, can_show_recording=True))
    await harness.say(parent, answer(scope, can_show_recording=True))
    assert parent.last("call_state")["recording"]["state"] == "idle"
    await asyncio.sleep(MOMENT)
    assert harness.recordings.ends == [("captured", "call_ended")]


# -- what is kept of a consent ----------------------------------------------------------------------------------------


@recording(recording_policy_version="2026-03", recording_policy_text="We keep it for 30 days.")
async def test_a_consent_is_kept_with_what_was_shown(harness: MemoryHarness) -> None:
    caller, callee = await talking(harness)
    await asyncio.sleep(2)
    await harness.say(caller, frame("call_record", action="start", text_hash="ab" * 32))
    request = callee.last("call_record_request")
    assert (request["policy_version"], request["policy_text"]) == ("2026-03", "We keep it for 30 days.")
    assert caller.last("call_recording").items() >= {"policy_version": "2026-03"}.items()
    await asyncio.sleep(5)
    await harness.say(callee, frame("call_record_answer", accepted=True, recording_id=request["recording_id"]))
    await harness.calls.written()
    asked, given = harness.recordings.consents
    assert asked.recording_id == given.recording_id == request["recording_id"]
    assert asked.call_id == given.call_id == request["call_id"]
    assert (asked.policy_version, asked.text_hash) == ("2026-03", "ab" * 32)
    assert given.text_hash == hashlib.sha256(b"We keep it for 30 days.").hexdigest()
    assert given.at - asked.at == timedelta(seconds=5)

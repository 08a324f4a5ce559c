"""Recording by consent, as two clients see it, in virtual time."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from relay.ids import Profile
from relay.media.api import TransportUp
from relay.signaling.recording_records import RecordingPolicy
from tests.signaling.harness import EPOCH, MOMENT, MemoryHarness, recording
from tests.signaling.people import (
    AGREE as AGREE_TO_TRANSFER,
)
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

START, STOP = (frame("call_record", action=action) for action in ("start", "stop"))
AGREE, REFUSE = (frame("call_record_answer", accepted=accepted) for accepted in (True, False))
HOLD, RESUME, REJOIN = (frame(kind) for kind in ("call_hold", "call_resume", "call_rejoin"))

MEDIA = ("call_state answered", "call_state connected")


async def talking(harness: MemoryHarness, *, caller: bool = True, callee: bool = True) -> tuple[Client, Client]:
    """The tutor has answered the student.

    Args:
        caller: its client shows recordings; `callee` likewise.
    """
    parties = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(parties[0], invitation(TUTOR, can_show_recording=caller))
    await harness.say(parties[1], answer(can_show_recording=callee))
    await media_flows(harness)
    return parties


async def media_flows(harness: MemoryHarness) -> None:
    """The transports of both parties are up."""
    transports = (harness.transport_of(STUDENT), harness.transport_of(TUTOR))
    await harness.media(*(TransportUp(one) for one in transports if one is not None))


async def said(harness: MemoryHarness) -> list[tuple[str, str]]:
    """Who has said what, as it is written down."""
    await harness.calls.written()
    return harness.recordings.answers


async def recorded(harness: MemoryHarness) -> tuple[Client, Client]:
    """The student has asked, and the tutor has agreed."""
    caller, callee = await talking(harness)
    await harness.say(caller, START)
    await harness.say(callee, AGREE)
    assert [seen(one) for one in (caller, callee)] == ["recording", "recording"]
    return caller, callee


def seen(client: Client) -> str:
    """What the client shows about the recording, by its latest message."""
    told = client.last("call_recording")
    return " ".join(filter(None, (told["state"], told["reason"])))


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
    with pytest.raises(Exception, match="may not be recorded"):
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


# -- what ends it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["disk_full", "write_failed", "too_long", "worker_lost"])
@recording()
async def test_both_see_why_a_recording_ended_by_itself_and_talk_on(harness: MemoryHarness, reason: str) -> None:
    caller, callee = await recorded(harness)
    harness.engine.end_capture(caller.last("call_state")["call_id"], reason)
    await asyncio.sleep(MOMENT)
    assert [seen(one) for one in (caller, callee)] == [f"stopped {reason}"] * 2
    assert harness.recordings.ends == [("captured", reason)]
    assert harness.calls.call_count == 1


@pytest.mark.parametrize("reason", ["disk_full", "write_failed"])
@recording()
async def test_a_recording_that_cannot_begin_says_why(harness: MemoryHarness, reason: str) -> None:
    harness.engine.refuses_captures = reason
    caller, callee = await talking(harness)
    await harness.say(caller, START)
    await harness.say(callee, AGREE)
    assert [seen(one) for one in (caller, callee)] == [f"stopped {reason}"] * 2
    assert [one["state"] for one in caller.said("call_recording")] == ["asked", "stopped"]
    await asyncio.sleep(MOMENT)
    assert harness.recordings.ends == [("failed", reason)]


@recording()
async def test_a_server_that_stops_leaves_no_recording_open(harness: MemoryHarness) -> None:
    await recorded(harness)
    await harness.calls.close()
    assert harness.recordings.ends == [("captured", "call_ended")]


@recording()
async def test_a_capture_that_outlives_its_call_is_ended_and_then_given_up(harness: MemoryHarness) -> None:
    caller, _ = await recorded(harness)
    captures, call_id = harness.calls.recordings.captures, caller.last("call_state")["call_id"]
    capturing = harness.engine._capturing.pop(call_id)  # the media plane forgets to say that it has ended
    await harness.say(caller, HANG_UP)
    assert list(captures.recording_ids) == [capturing]
    harness.engine._capturing[call_id] = capturing
    for at in (1000, 1030):
        await captures.watch(at)
        assert harness.engine.captured == ["start consent"]
    await captures.watch(1061)
    await asyncio.sleep(MOMENT)
    assert harness.recordings.ends == [("captured", "call_ended")]
    assert not captures.recording_ids


@recording()
async def test_a_capture_of_which_nothing_is_heard_is_left_to_the_database(harness: MemoryHarness) -> None:
    caller, _ = await recorded(harness)
    captures = harness.calls.recordings.captures
    harness.engine._capturing.clear()
    await harness.say(caller, HANG_UP)
    for at in (1000, 1061, 1121):
        await captures.watch(at)
    assert not captures.recording_ids
    await harness.calls.written()
    await harness.recordings.close_lost(captures.recording_ids, EPOCH)
    assert harness.recordings.ends == [("captured", "server_lost")]


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


# -- always -----------------------------------------------------------------------------------------------------------


@recording("always")
async def test_both_see_that_a_call_is_recorded_before_media_flows(harness: MemoryHarness) -> None:
    caller, callee = await talking(harness)
    assert callee.last("call_invitation")["will_be_recorded"]
    assert caller.received[0]["will_be_recorded"]
    assert caller.types() == ["call_state ringing", "call_recording recording", "call_answer", *MEDIA]
    assert callee.types() == ["call_invitation", "call_recording recording", *MEDIA]
    told = callee.last("call_recording")
    assert (told["by"], told["yours"], told["can_record"], told["policy"]) == ("service", False, False, "always")
    assert harness.engine.captured == ["start always"]
    for wish in (REFUSE, STOP):
        await harness.say(callee, wish)
        assert error(callee) == "not_allowed"
    await asyncio.sleep(MOMENT)
    [entry] = harness.recordings.entries.values()
    assert (entry.recording.policy, entry.recording.consented) == ("always", False)
    assert harness.recordings.consents == []


@recording("always")
async def test_an_old_client_does_not_call_where_all_calls_are_recorded(harness: MemoryHarness) -> None:
    caller, callee = await harness.connect(STUDENT, version=1), await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR))
    assert caller.types() == ["call_declined not_supported"]
    assert "call_invitation" not in callee.types()
    assert await harness.ends() == [(456, "missed", "not_supported")]


@recording("always")
async def test_an_old_client_does_not_answer_where_all_calls_are_recorded(harness: MemoryHarness) -> None:
    caller, callee = await talking(harness, callee=False)
    assert caller.types()[-1] == "call_declined not_supported"
    assert callee.types()[1] == "call_ended not_supported"
    assert harness.engine.captured == []


@recording("always", recording_legacy_clients=True)
async def test_calls_of_old_clients_are_recorded_where_the_operator_wants_that(harness: MemoryHarness) -> None:
    await talking(harness, caller=False, callee=False)
    assert harness.engine.captured == ["start always"]


@pytest.mark.parametrize("reason", ["disk_full", "write_failed"])
@recording("always")
async def test_a_disk_that_fails_keeps_no_call_from_being_made(harness: MemoryHarness, reason: str) -> None:
    harness.engine.refuses_captures = reason
    caller, callee = await talking(harness)
    assert [seen(one) for one in (caller, callee)] == [f"stopped {reason}"] * 2
    assert caller.types()[-1] == "call_state connected"


@recording("always")
async def test_a_device_that_shows_it_takes_over_a_recorded_call_without_being_asked(harness: MemoryHarness) -> None:
    caller, callee = await talking(harness)
    await harness.lose(callee)
    old = await harness.connect(TUTOR)
    await harness.say(old, REJOIN)
    assert error(old) == "not_supported"
    await harness.say(old, frame("call_rejoin", can_show_recording=True))
    assert old.last("call_state")["recording"]["state"] == "recording"
    assert "call_record_request" not in old.types()
    assert seen(caller) == "recording"


# -- the service ------------------------------------------------------------------------------------------------------


def call_of(harness: MemoryHarness, profile: Profile = STUDENT) -> str:
    live = harness.calls._context.live.of(profile)
    assert live is not None
    return live.call.call_id


@recording()
async def test_the_service_records_a_call_that_goes_on(harness: MemoryHarness) -> None:
    caller, callee = await talking(harness)
    recordings, call_id = harness.calls.recordings, call_of(harness)
    assert await recordings.order("0" * 32) is None
    recording_id = await recordings.order(call_id)
    assert callee.last("call_recording").items() >= {"recording_id": recording_id, "by": "service"}.items()
    await harness.say(callee, REFUSE)
    assert error(callee) == "not_allowed"
    with pytest.raises(Exception, match="recording"):
        await recordings.order(call_id)
    assert await recordings.stop(call_id)
    assert not await recordings.stop(call_id)
    assert [seen(one) for one in (caller, callee)] == ["stopped stopped"] * 2


@recording()
async def test_the_service_orders_a_recording_before_the_answer(harness: MemoryHarness) -> None:
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR, can_show_recording=True))
    assert await harness.calls.recordings.order(call_of(harness)) == ""
    await harness.say(callee, answer(can_show_recording=True))
    assert seen(callee) == "recording"


@recording()
async def test_the_service_does_not_record_a_client_that_cannot_show_it(harness: MemoryHarness) -> None:
    await talking(harness, callee=False)
    with pytest.raises(Exception, match="cannot show"):
        await harness.calls.recordings.order(call_of(harness))
    assert harness.engine.captured == []


@pytest.mark.parametrize("policy", [RecordingPolicy.OFF, RecordingPolicy.CONSENT])
@recording()
async def test_a_stricter_policy_ends_what_it_does_not_allow(harness: MemoryHarness, policy: RecordingPolicy) -> None:
    caller, callee = await recorded(harness)
    await harness.calls.recordings.set_policy(LESSON, policy)
    assert seen(caller) == ("stopped stopped" if policy is RecordingPolicy.OFF else "recording")
    assert callee.last("call_state" if policy is RecordingPolicy.CONSENT else "call_recording")["type"]

"""Calls that are recorded without asking, and what ends recordings, as two clients see it, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from relay.errors import SignalingError
from relay.ids import Profile
from relay.records.recordings import RecordingPolicy
from tests.signaling.calls.recorded import (
    AGREE,
    REFUSE,
    REJOIN,
    START,
    STOP,
    recorded,
    seen,
    talking,
)
from tests.signaling.harness import EPOCH, MOMENT, MemoryHarness, recording
from tests.signaling.people import (
    HANG_UP,
    LESSON,
    STUDENT,
    TUTOR,
    answer,
    error,
    frame,
    invitation,
)

MEDIA = ("call_state answered", "call_state connected")


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
    assert captures.concerns(capturing)
    harness.engine._capturing[call_id] = capturing
    for at in (1000, 1030):
        await captures.watch(at)
        assert harness.engine.captured == ["start consent"]
    await captures.watch(1061)
    await asyncio.sleep(MOMENT)
    assert harness.recordings.ends == [("captured", "call_ended")]
    assert len(captures) == 0


@recording()
async def test_a_capture_of_which_nothing_is_heard_is_written_down_as_failed(harness: MemoryHarness) -> None:
    caller, _ = await recorded(harness)
    captures = harness.calls.recordings.captures
    harness.engine._capturing.clear()
    await harness.say(caller, HANG_UP)
    for at in (1000, 1061, 1121):
        await captures.watch(at)
    assert len(captures) == 0
    await harness.calls.written()
    assert harness.recordings.ends == [("captured", "write_failed")]


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
    with pytest.raises(SignalingError, match="recording"):
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
    with pytest.raises(SignalingError, match="cannot show"):
        await harness.calls.recordings.order(call_of(harness))
    assert harness.engine.captured == []


@pytest.mark.parametrize("policy", [RecordingPolicy.OFF, RecordingPolicy.CONSENT])
@recording()
async def test_a_stricter_policy_ends_what_it_does_not_allow(harness: MemoryHarness, policy: RecordingPolicy) -> None:
    caller, callee = await recorded(harness)
    await harness.calls.recordings.set_policy(LESSON, policy)
    assert seen(caller) == ("stopped stopped" if policy is RecordingPolicy.OFF else "recording")
    assert callee.last("call_state" if policy is RecordingPolicy.CONSENT else "call_recording")["type"]


@recording()
async def test_a_policy_that_another_server_has_changed_is_noticed(harness: MemoryHarness) -> None:
    caller, _ = await recorded(harness)
    heard = len(caller.received)
    await harness.calls.recordings.review()
    assert len(caller.received) == heard, "nothing has changed"
    harness.recordings.policies[LESSON] = RecordingPolicy.OFF
    await harness.calls.recordings.review()
    assert seen(caller) == "stopped stopped"


@recording()
async def test_an_order_before_the_answer_is_void_where_the_policy_has_changed(harness: MemoryHarness) -> None:
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR, can_show_recording=True))
    await harness.calls.recordings.order(call_of(harness))
    await harness.calls.recordings.set_policy(LESSON, RecordingPolicy.CONSENT)
    await harness.say(callee, answer(can_show_recording=True))
    assert callee.types()[-1] == "call_state answered"
    assert harness.engine.captured == []


@recording("always")
async def test_a_call_is_not_made_again_from_a_client_that_cannot_show_it(harness: MemoryHarness) -> None:
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR, can_show_recording=True))
    old = await harness.connect(STUDENT, version=1)
    await harness.say(old, invitation(TUTOR))
    assert callee.types()[-2:] == ["call_ended not_supported", "call_missed not_supported"]
    assert harness.calls.call_count == 0


@recording()
async def test_a_recording_whose_end_waits_for_the_database_is_not_taken_for_lost(harness: MemoryHarness) -> None:
    caller, callee = await recorded(harness)
    await harness.calls.written()
    recording_id = caller.last("call_recording")["recording_id"]
    writing = asyncio.Event()
    taking, harness.recordings.captured = harness.recordings.captured, lambda *given: later(writing, taking, *given)  # type: ignore[method-assign]
    await harness.say(callee, STOP)
    await asyncio.sleep(MOMENT)
    captures = harness.calls.recordings.captures
    assert len(captures) == 0
    assert await harness.recordings.close_lost(captures.concerns, EPOCH) == []
    writing.set()
    await asyncio.sleep(MOMENT)
    assert harness.recordings.ends == [("captured", "stopped")]
    assert not captures.concerns(recording_id)


async def later(when: asyncio.Event, taking: Callable[..., Awaitable[None]], *given: Any) -> None:
    await when.wait()
    await taking(*given)

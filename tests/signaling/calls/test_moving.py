"""A call moves from one device of a profile to another one, which the first one allows; in virtual time."""

import asyncio

import pytest

from relay.media.api import TransportUp
from relay.signaling.calls.live import MAX_REJOIN_REQUESTS
from tests.sdp.descriptions import VOICE_ANSWER
from tests.signaling.calls.negotiating import PASSIVE_ANSWER, REJOIN
from tests.signaling.harness import MemoryHarness, in_memory, recording
from tests.signaling.people import (
    HANG_UP,
    PARENT,
    STUDENT,
    TUTOR,
    Client,
    answer,
    answered,
    error,
    frame,
    invitation,
)

TAKES = ("call_elsewhere", "call_rejoin_request")
MOVE = frame("call_rejoin", move=True)
WITHDRAW = frame("call_rejoin_answer", accepted=False)


def reply(laptop: Client, *, accepted: bool) -> str:
    """The answer of the device in the call to the latest request."""
    return frame("call_rejoin_answer", accepted=accepted, request_id=laptop.last("call_rejoin_request")["request_id"])


async def talking(harness: MemoryHarness) -> tuple[Client, Client, Client]:
    """The student talks to the tutor on a laptop, and has a telephone; the laptop, the tutor and the telephone."""
    laptop = await harness.connect(STUDENT, takes=TAKES)
    phone, tutor = await harness.connect(STUDENT, takes=TAKES), await harness.connect(TUTOR)
    await harness.say(laptop, invitation(TUTOR))
    await harness.say(tutor, answer())
    await harness.media(*(TransportUp(transport) for transport in harness.engine.opened))
    assert laptop.types()[-1] == tutor.types()[-1] == "call_state connected"
    return laptop, tutor, phone


@in_memory
async def test_another_device_of_the_profile_has_the_call_once_the_one_in_it_allows_that(harness: MemoryHarness) -> None:
    laptop, tutor, phone = await talking(harness)
    heard = len(tutor.received)
    await harness.say(phone, MOVE)
    assert phone.types() == ["call_elsewhere"], "it waits"
    asked = laptop.last("call_rejoin_request")
    assert asked["expires_at"] - asked["server_time"] == 30_000
    assert len(tutor.received) == heard

    await harness.say(laptop, reply(laptop, accepted=True))
    assert laptop.types()[-2:] == ["call_ended answered_elsewhere", "call_elsewhere"]
    assert phone.types()[1:] == ["call_update offer", "call_state connected"]
    assert phone.last("call_state")["yours"] is True
    await harness.say(phone, answered(PASSIVE_ANSWER))
    await harness.say(tutor, answered(VOICE_ANSWER))
    new = harness.transport_of(STUDENT)
    assert new == harness.engine.opened[-1]
    await harness.media(TransportUp(new))
    assert phone.types()[-1] == tutor.types()[-1] == "call_state connected"

    await harness.say(phone, HANG_UP)
    assert tutor.types()[-1] == "call_ended hangup"
    assert laptop.last("call_elsewhere")["over"] is True
    assert await harness.ends() == [(456, "ended", "hangup")]


@in_memory
async def test_a_call_moves_there_and_back(harness: MemoryHarness) -> None:
    laptop, _, phone = await talking(harness)
    for one, other in ((phone, laptop), (laptop, phone)):
        await harness.say(one, MOVE)
        await harness.say(other, reply(other, accepted=True))
        await harness.say(one, answered(PASSIVE_ANSWER))
        assert one.last("call_state")["yours"] is True
    assert phone.types()[-2:] == ["call_ended answered_elsewhere", "call_elsewhere"]


@in_memory
async def test_a_device_hears_that_its_profile_is_in_a_call_elsewhere_if_it_wants_to(harness: MemoryHarness) -> None:
    laptop, _, phone = await talking(harness)
    tablet, old = await harness.connect(STUDENT, takes=TAKES), await harness.connect(STUDENT)
    for one in (phone, tablet):
        said = one.last("call_elsewhere")
        assert (said["call_id"], said["from_name"]) == (laptop.last("call_state")["call_id"], "Daniel Okafor")
        assert (said["call_type"], said["can_move"], said["over"]) == ("voice", True, False)
        assert "seq" not in said, "of the moment"
    assert old.types() == []
    assert laptop.said("call_elsewhere") == [], "it is in the call"


@in_memory
async def test_a_device_that_rang_hears_where_the_call_is(harness: MemoryHarness) -> None:
    caller = await harness.connect(STUDENT)
    first, second = await harness.connect(TUTOR, takes=TAKES), await harness.connect(TUTOR, takes=TAKES)
    await harness.say(caller, invitation(TUTOR))
    await harness.say(first, answer())
    assert second.types() == ["call_invitation", "call_ended answered_elsewhere", "call_elsewhere"]
    assert first.said("call_elsewhere") == []


@in_memory
async def test_the_device_in_the_call_may_keep_it(harness: MemoryHarness) -> None:
    laptop, tutor, phone = await talking(harness)
    await harness.say(phone, MOVE)
    await harness.say(laptop, reply(laptop, accepted=False))
    over = phone.last("call_rejoin_answer")
    assert (over["accepted"], over["reason"]) == (False, "refused")
    await harness.say(laptop, reply(laptop, accepted=True))
    assert error(laptop) == "wrong_state", "it has said no"
    await harness.say(tutor, HANG_UP)
    assert phone.types()[-1] == "call_elsewhere"
    assert "call_ended hangup" not in phone.types()


@in_memory
async def test_a_device_that_does_not_say_keeps_the_call(harness: MemoryHarness) -> None:
    laptop, _, phone = await talking(harness)
    await harness.say(phone, MOVE)
    await asyncio.sleep(29.9)
    assert phone.said("call_rejoin_answer") == []
    await asyncio.sleep(0.2)
    assert [one.last("call_rejoin_answer")["reason"] for one in (phone, laptop)] == ["expired", "expired"]
    await harness.say(laptop, reply(laptop, accepted=True))
    assert error(laptop) == "wrong_state"


@in_memory
async def test_the_device_that_asks_may_take_that_back(harness: MemoryHarness) -> None:
    laptop, _, phone = await talking(harness)
    await harness.say(phone, MOVE)
    await harness.say(phone, WITHDRAW)
    assert laptop.last("call_rejoin_answer")["reason"] == "withdrawn"
    await harness.say(laptop, reply(laptop, accepted=True))
    assert error(laptop) == "wrong_state"
    await harness.say(phone, WITHDRAW)
    assert error(phone) == "not_in_call"


@in_memory
async def test_a_device_that_asks_and_goes_away_does_not_get_the_call(harness: MemoryHarness) -> None:
    laptop, _, phone = await talking(harness)
    await harness.say(phone, MOVE)
    await harness.lose(phone)
    assert laptop.last("call_rejoin_answer")["reason"] == "withdrawn"
    await harness.say(laptop, reply(laptop, accepted=True))
    assert error(laptop) == "wrong_state"


@in_memory
async def test_a_device_in_the_call_that_goes_away_is_not_waited_for(harness: MemoryHarness) -> None:
    laptop, _, phone = await talking(harness)
    await harness.say(phone, MOVE)
    await harness.lose(laptop)
    assert phone.types()[-2:] == ["call_update offer", "call_state connected"]
    await harness.resume(laptop)
    assert laptop.types()[-2:] == ["call_ended answered_elsewhere", "call_elsewhere"]


@in_memory
async def test_of_two_devices_that_ask_at_once_the_second_is_refused(harness: MemoryHarness) -> None:
    laptop, _, phone = await talking(harness)
    tablet = await harness.connect(STUDENT, takes=TAKES)
    await asyncio.gather(harness.say(phone, MOVE), harness.say(tablet, MOVE))
    assert error(tablet) == "wrong_state"
    assert len(laptop.said("call_rejoin_request")) == 1
    await harness.say(phone, MOVE)
    assert phone.said("error") == [], "a button was pressed twice"
    stale = reply(laptop, accepted=True)
    await harness.say(laptop, reply(laptop, accepted=False))
    await harness.say(tablet, MOVE)
    await harness.say(laptop, stale)
    assert error(laptop) == "wrong_state", "an answer to the telephone is none to the tablet"
    await harness.say(laptop, reply(laptop, accepted=True))
    assert tablet.types()[-2:] == ["call_update offer", "call_state connected"]


@in_memory
async def test_another_profile_neither_takes_a_call_nor_answers_for_it(harness: MemoryHarness) -> None:
    laptop, tutor, phone = await talking(harness)
    stranger = await harness.connect(PARENT, takes=TAKES)
    await harness.say(stranger, MOVE)
    assert error(stranger) == "no_call"
    await harness.say(phone, MOVE)
    for one, code in ((stranger, "no_call"), (tutor, "wrong_state")):
        await harness.say(one, reply(laptop, accepted=True))
        assert error(one) == code
    tablet = await harness.connect(STUDENT, takes=TAKES)
    await harness.say(tablet, reply(laptop, accepted=True))
    assert error(tablet) == "not_in_call"
    assert stranger.said("call_elsewhere") == []


@in_memory
async def test_a_call_that_is_over_or_not_answered_moves_nowhere(harness: MemoryHarness) -> None:
    laptop, phone = await harness.connect(STUDENT, takes=TAKES), await harness.connect(STUDENT, takes=TAKES)
    tutor = await harness.connect(TUTOR)
    await harness.say(laptop, invitation(TUTOR))
    await harness.say(phone, MOVE)
    assert error(phone) == "wrong_state"
    await harness.say(tutor, answer())
    await harness.say(phone, MOVE)
    await harness.say(tutor, HANG_UP)
    assert phone.types()[-2:] == ["call_ended hangup", "call_elsewhere"], "it asked, so it hears how the call ended"
    await harness.say(laptop, reply(laptop, accepted=True))
    assert error(laptop) == "no_call"
    await harness.say(phone, MOVE)
    assert error(phone) == "no_call"


@pytest.mark.parametrize("version", [1, 2])
@in_memory
async def test_a_client_that_does_not_know_the_question_is_not_asked(harness: MemoryHarness, version: int) -> None:
    caller, _ = await harness.connected(version)
    phone = await harness.connect(STUDENT, takes=TAKES)
    assert phone.last("call_elsewhere")["can_move"] is False
    heard = len(caller.received)
    await harness.say(phone, MOVE)
    assert error(phone) == "unsupported"
    await harness.say(phone, REJOIN)
    assert error(phone) == "not_in_call"
    assert len(caller.received) == heard


@in_memory
async def test_a_device_is_not_asked_again_and_again(harness: MemoryHarness) -> None:
    laptop, _, phone = await talking(harness)
    for _ in range(MAX_REJOIN_REQUESTS):
        await harness.say(phone, MOVE)
        await harness.say(laptop, reply(laptop, accepted=False))
    await harness.say(phone, MOVE)
    assert error(phone) == "not_allowed"


@in_memory
async def test_a_page_of_the_device_in_the_call_that_is_loaded_anew_may_still_allow_it(harness: MemoryHarness) -> None:
    laptop, _, phone = await talking(harness)
    await harness.say(phone, MOVE)
    await harness.say(laptop, REJOIN)
    await harness.say(laptop, reply(laptop, accepted=True))
    assert phone.types()[-2:] == ["call_update offer", "call_state connected"]
    counters = await harness.engine.counters()
    assert counters["transports_closed"] == 1, "what the old page was offered is given up"


@in_memory
async def test_a_held_call_stays_held_on_the_other_device(harness: MemoryHarness) -> None:
    laptop, _, phone = await talking(harness)
    await harness.say(laptop, frame("call_hold"))
    await harness.say(phone, MOVE)
    await harness.say(laptop, reply(laptop, accepted=True))
    await harness.say(phone, answered(PASSIVE_ANSWER))
    assert phone.last("call_state")["held_by"] == ["you"]
    assert not harness.engine.flows()
    await harness.say(phone, frame("call_resume"))
    assert harness.engine.flows()


@recording()
async def test_a_recording_goes_on_once_the_other_device_has_agreed_too(harness: MemoryHarness) -> None:
    laptop = await harness.connect(STUDENT, takes=TAKES)
    phone, tutor = await harness.connect(STUDENT, takes=TAKES), await harness.connect(TUTOR)
    await harness.say(laptop, invitation(TUTOR, can_show_recording=True))
    await harness.say(tutor, answer(can_show_recording=True))
    await harness.say(tutor, frame("call_record", action="start"))
    await harness.say(laptop, frame("call_record_answer", accepted=True))
    assert harness.engine.captured == ["start consent"]
    await harness.say(phone, frame("call_rejoin", move=True, can_show_recording=True))
    await harness.say(laptop, reply(laptop, accepted=True))
    assert harness.engine.captured[-1] == "pause consent"
    await harness.say(phone, answered(PASSIVE_ANSWER))
    await harness.say(phone, frame("call_record_answer", accepted=True))
    assert harness.engine.captured[-1] == "continue consent"
    assert tutor.last("call_recording")["state"] == "recording"
    [order] = harness.engine.orders
    assert phone.last("call_recording")["recording_id"] == order.recording_id


@recording("always")
async def test_a_recorded_call_does_not_move_to_a_device_that_cannot_show_that(harness: MemoryHarness) -> None:
    laptop = await harness.connect(STUDENT, takes=TAKES)
    phone, tutor = await harness.connect(STUDENT, takes=TAKES), await harness.connect(TUTOR)
    await harness.say(laptop, invitation(TUTOR, can_show_recording=True))
    await harness.say(tutor, answer(can_show_recording=True))
    await harness.say(phone, MOVE)
    assert error(phone) == "not_supported"
    assert laptop.said("call_rejoin_request") == []

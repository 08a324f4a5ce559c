"""Who answers a call, and with what."""

import asyncio

import pytest

from tests.sdp.descriptions import VOICE_ANSWER, description, plain, seen
from tests.signaling.conftest import SqlHarness
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import (
    DECLINE,
    HANG_UP,
    LESSON,
    PARENT,
    PARENTS_EVENING,
    STUDENT,
    TUTOR,
    answer,
    error,
    frame,
    invitation,
)


async def test_the_answer_that_the_caller_gets_is_the_relays_own(harness: SqlHarness) -> None:
    caller, callee = await harness.answered()
    received = caller.last("call_answer")["answer"]
    assert received["type"] == "answer"
    [audio] = seen(received["sdp"])
    assert (audio.lite, audio.dtls_role) == (True, "client"), "what the callee chose to be"
    assert audio.ufrag != "Abcd"
    [offered] = seen(callee.last("call_invitation")["offer"]["sdp"])
    assert offered.ufrag != audio.ufrag
    assert caller.last("call_state")["answered_at"] == callee.last("call_state")["answered_at"] is not None
    assert [row.status for row in await harness.rows()] == ["answered"]


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param("v=0\r\n", id="no description"),
        pytest.param(VOICE_ANSWER.replace("active", "actpass"), id="no decision on the role"),
        pytest.param(description("chromium_video_answer"), id="more sections than the offer"),
        pytest.param(plain("video", setup="active"), id="another kind"),
        pytest.param(VOICE_ANSWER.replace("mid:0", "mid:a").replace("BUNDLE 0", "BUNDLE a"), id="another mid"),
        pytest.param(VOICE_ANSWER + "a=ice-ufrag EVIL\r\n", id="an attribute that is none"),
    ],
)
async def test_an_answer_that_cannot_be_taken_lets_the_call_ring_on(harness: SqlHarness, spoilt: str) -> None:
    caller, callee = await harness.ringing()
    await harness.say(callee, answer(sdp=spoilt))
    assert error(callee) == "invalid_sdp"
    assert caller.types() == ["call_state ringing"]
    await harness.say(callee, answer())
    assert caller.types()[-1] == "call_state answered"


@pytest.mark.parametrize("said", [answer(), DECLINE], ids=["answered", "declined"])
async def test_what_was_answered_is_not_answered_again(harness: SqlHarness, said: str) -> None:
    caller, callee = await harness.answered()
    for device in (callee, caller):
        await harness.say(device, said)
        assert error(device) == "wrong_state"
    assert harness.calls.call_count == 1
    assert [row.status for row in await harness.rows()] == ["answered"]


@pytest.mark.parametrize("said", [answer(), DECLINE], ids=["answers", "declines"])
async def test_a_caller_cannot_answer_its_own_call(harness: SqlHarness, said: str) -> None:
    caller, callee = await harness.ringing()
    await harness.say(caller, said)
    assert error(caller) == "wrong_state"
    assert callee.types() == ["call_invitation"]


async def test_a_call_that_another_server_took_for_abandoned_goes_on_and_its_row_is_corrected(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.rows()
    assert await harness.ports.logs[LESSON.kind].close_own() == 1
    await harness.say(callee, answer())
    assert caller.types() == ["call_state ringing", "call_answer", "call_state answered"]
    assert await harness.ends() == [(456, "answered", None)]
    assert await harness.ports.logs[LESSON.kind].close_own() == 1
    await harness.say(callee, HANG_UP)
    assert await harness.ends() == [(456, "ended", "hangup")]


async def test_a_call_whose_row_another_hand_closed_ends_at_its_answer(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.rows()
    await harness.execute("UPDATE call_logs SET status = 'missed', end_reason = 'by hand'")
    await harness.say(callee, answer())
    await harness.all_ended()
    assert caller.types()[-1] == "call_ended expired"
    assert callee.types()[-1] == "call_ended expired"
    assert await harness.ends() == [(456, "missed", "by hand")]


@pytest.mark.parametrize("said", [answer(), DECLINE, HANG_UP, frame("ice_candidate", candidate=None)])
async def test_a_call_is_out_of_reach_of_everybody_else(harness: SqlHarness, said: str) -> None:
    caller, callee = await harness.answered()
    third = await harness.connect(PARENT)
    await harness.say(third, said)
    assert error(third) == "no_call"
    for device in (caller, callee):
        await harness.say(device, said.replace("123", "124"))
        assert error(device) == "no_call"
    assert harness.calls.call_count == 1


async def test_candidates_are_looked_at_and_go_nowhere(harness: SqlHarness) -> None:
    caller, callee = await harness.answered()
    heard = len(callee.received)
    good = {"candidate": "candidate:1 1 udp 1 203.0.113.4 5 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
    for candidate in (good, None, {"candidate": ""}):
        await harness.say(caller, frame("ice_candidate", candidate=candidate))
    assert caller.types()[-1] == "call_state answered"
    await harness.say(caller, frame("ice_candidate", candidate={"candidate": "nonsense"}))
    assert error(caller) == "invalid_message"
    assert len(callee.received) == heard


# -- what a callee says by declining ----------------------------------------------------------------------------------


async def test_what_a_callee_says_by_declining_comes_to_the_caller_and_is_written_down(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.say(callee, frame("call_declined", reason="rejected", message="Call you back in 10 minutes"))
    declined = caller.last("call_declined")
    assert (declined["reason"], declined["message"]) == ("rejected", "Call you back in 10 minutes")
    [row] = await harness.rows()
    assert (row.status, row.end_reason, row.decline_message) == ("missed", "rejected", "Call you back in 10 minutes")


async def test_what_is_said_by_declining_is_kept_where_chat_messages_are_and_the_callee_knows(harness: SqlHarness) -> None:
    for caller, callee, scope, kept in ((STUDENT, TUTOR, LESSON, True), (PARENT, TUTOR, PARENTS_EVENING, False)):
        hers, his = await harness.connect(caller), await harness.connect(callee)
        await harness.say(hers, invitation(callee, scope))
        assert his.last("call_invitation")["chat_kept"] is kept
        await harness.say(his, frame("call_declined", scope, reason="rejected", message="Call you back in 10 minutes"))
        assert hers.last("call_declined")["message"] == "Call you back in 10 minutes"
    rows = {row.conversation_id: row.decline_message for row in await harness.rows()}
    assert rows == {LESSON.scope_id: "Call you back in 10 minutes", PARENTS_EVENING.scope_id: None}


async def test_a_callee_may_decline_without_a_word(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.say(callee, DECLINE)
    assert "message" not in caller.last("call_declined")
    assert (await harness.rows())[0].decline_message is None


@pytest.mark.parametrize("message", ["", "x" * 201, 7])
async def test_words_that_cannot_be_taken_decline_nothing(harness: SqlHarness, message: object) -> None:
    caller, callee = await harness.ringing()
    await harness.say(callee, frame("call_declined", message=message))
    assert error(callee) == "invalid_message"
    assert caller.types() == ["call_state ringing"]


async def test_a_device_that_fails_to_answer_is_no_refusal_and_the_other_devices_ring_on(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    other = await harness.connect(callee.profile)
    assert other.types() == ["call_invitation"]
    await harness.say(callee, frame("call_declined", reason="media_unavailable"))
    assert callee.types()[-1] == "call_ended media_unavailable"
    assert caller.types() == ["call_state ringing"]
    await harness.say(callee, answer())
    assert error(callee) == "wrong_state"
    await harness.say(other, answer())
    assert caller.types()[-1] == "call_state answered"


async def test_a_device_that_is_away_does_not_ring_on(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    other = await harness.connect(callee.profile)
    await harness.lose(other)
    await harness.say(callee, frame("call_declined", reason="media_unavailable"))
    assert caller.types()[-1] == "call_declined media_unavailable"


async def test_the_caller_is_told_that_the_last_device_could_not_take_the_call(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.say(callee, frame("call_declined", reason="media_unavailable"))
    assert caller.types()[-1] == "call_declined media_unavailable"
    assert await harness.ends() == [(456, "missed", "media_unavailable")]
    assert callee.types()[-1] == "call_missed media_unavailable"
    await harness.nothing_is_left()


async def test_a_call_that_another_server_has_taken_over_is_dropped_without_a_word_or_a_write(
    harness: SqlHarness,
) -> None:
    caller, callee = await harness.ringing()
    await harness.rows()
    await harness.execute("UPDATE call_logs SET owner_epoch = 2")
    await harness.say(callee, answer())
    await harness.all_ended()
    assert caller.types() == ["call_state ringing", "call_answer", "call_state answered"]
    assert callee.types() == ["call_invitation", "call_state answered"]
    assert await harness.ends() == [(456, "initiated", None)]
    assert harness.calls.ended.total() == 0, "it goes on elsewhere"


@in_memory
async def test_a_call_that_was_taken_over_unnoticed_is_dropped_at_the_next_heartbeat(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    said = caller.types(), callee.types()
    [row] = await harness.rows()
    harness.logs[LESSON.kind].taken_over.add(row.call_id)
    await asyncio.sleep(6)
    assert harness.calls.call_count == 0
    assert (caller.types(), callee.types()) == said
    [row] = await harness.rows()
    assert (row.status, row.heartbeat_at) == ("answered", None)
    await harness.say(caller, invitation(TUTOR))
    assert callee.types()[-1] == "call_invitation", "both are free"

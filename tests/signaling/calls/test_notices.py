"""What each party gets about its call."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.ids import Scope
from relay.signaling.calls import notices
from relay.signaling.calls.call import Call, EndReason, Party
from relay.signaling.messages.common import MediaState
from relay.signaling.messages.outgoing import ToClient, TransferTarget, encode
from relay.signaling.ports import Unseen
from tests.signaling.people import LESSON, STUDENT, TIMERS, TUTOR, WHITEBOARD

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NOW_MS = 1_772_366_400_250


def new_call(ended: EndReason | None = None, scope: Scope = LESSON) -> Call:
    call = Call("c1", scope, "voice", Party(STUDENT, "Maya", "/maya.png"), Party(TUTOR, "Daniel", "/daniel.png"), TIMERS, 0.0)
    if ended is not None:
        call.end(ended, 1.0)
    return call


def told(message: ToClient) -> dict[str, Any]:
    fields = json.loads(encode(message))
    assert isinstance(fields, dict)
    return fields


def test_the_callee_is_told_who_calls_and_for_how_long_it_rings() -> None:
    message = told(notices.invitation(new_call(), "v=0", NOW + timedelta(seconds=45), NOW))
    assert message == {
        "type": "call_invitation",
        "conversation_id": 123,
        "call_id": "c1",
        "from_profile_id": 456,
        "from_profile_type": "student",
        "from_name": "Maya",
        "from_avatar": "/maya.png",
        "to_profile_id": 789,
        "to_profile_type": "tutor",
        "call_type": "voice",
        "offer": {"type": "offer", "sdp": "v=0"},
        "expires_at": NOW_MS + 45_000,
        "server_time": NOW_MS,
        "can_update": False,
        "will_be_recorded": False,
        "chat_kept": False,
    }


def test_the_answer_goes_to_the_caller() -> None:
    message = told(notices.answer(new_call(), "v=0"))
    assert (message["from_profile_type"], message["to_profile_type"]) == ("tutor", "student")
    assert message["answer"] == {"type": "answer", "sdp": "v=0"}


@pytest.mark.parametrize("reason", EndReason)
def test_only_the_caller_is_told_of_a_refusal_as_a_refusal(reason: EndReason) -> None:
    call = new_call(reason)
    declined = reason in {"rejected", "busy", "offline", "blocked", "not_supported", "media_unavailable"}
    to_caller, to_callee = told(notices.final(call, call.caller, None)), told(notices.final(call, call.callee, None))
    assert to_caller["type"] == ("call_declined" if declined else "call_ended")
    assert to_callee["type"] == "call_ended"
    said = "rejected" if reason is EndReason.BLOCKED else reason.value
    assert to_caller["reason"] == said


def test_the_last_word_names_the_other_party_and_the_duration() -> None:
    call = new_call(EndReason.HANGUP)
    message = told(notices.final(call, call.callee, 61))
    assert (message["from_name"], message["to_profile_type"]) == ("Maya", "tutor")
    assert message["duration_seconds"] == 61


def test_who_ended_the_call_is_told_so_in_a_way_that_old_clients_ignore() -> None:
    call = new_call(EndReason.HANGUP)
    message = told(notices.ended_by_you(call, call.caller, NOW, NOW + timedelta(seconds=61), 61))
    assert (message["type"], message["state"], message["reason"]) == ("call_state", "ended", "hangup")
    assert (message["answered_at"], message["server_time"], message["duration_seconds"]) == (NOW_MS, NOW_MS + 61_000, 61)


def test_a_missed_call_has_no_time_of_answer_and_no_duration() -> None:
    call = new_call(EndReason.CANCELLED)
    message = told(notices.ended_by_you(call, call.caller, None, NOW, None))
    assert (message["answered_at"], message["duration_seconds"]) == (None, None)


def test_a_running_call_has_no_reason_and_no_duration() -> None:
    call = new_call()
    message = told(notices.state(call, call.callee, None, NOW))
    assert (message["type"], message["state"], message["call_type"]) == ("call_state", "invited", "voice")
    assert not {"reason", "duration_seconds"} & message.keys()


def test_each_party_sees_the_others_media_and_who_holds_the_call() -> None:
    call = new_call()
    call.caller.media = MediaState(muted=True)
    call.callee.holds = True
    to_caller, to_callee = (told(notices.state(call, party, None, NOW)) for party in call.parties)
    assert (to_caller["media"]["muted"], to_callee["media"]["muted"]) == (False, True)
    assert (to_caller["held_by"], to_callee["held_by"]) == (["other"], ["you"])


def test_who_agreed_to_a_transfer_is_told_whom_to_call() -> None:
    call = new_call(EndReason.TRANSFERRED)
    target = TransferTarget(125, 321, "parent", "Elena", "")
    assert told(notices.final(call, call.caller, 5, target))["transfer"]["conversation_id"] == 125
    assert "transfer" not in told(notices.final(call, call.callee, 5))


def test_a_missed_call_says_who_called_where_and_when() -> None:
    record = notices.missed_record(new_call(scope=WHITEBOARD), "no_answer", NOW)
    message = told(notices.missed_calls(Unseen((record,), 7)))
    assert message == {
        "type": "missed_calls",
        "unseen_count": 7,
        "calls": [
            {
                "call_id": "c1",
                "call_type": "voice",
                "from_profile_id": 456,
                "from_profile_type": "student",
                "from_name": "Maya",
                "from_avatar": "/maya.png",
                "reason": "no_answer",
                "started_at": NOW_MS,
                "whiteboard_session_id": 7,
            }
        ],
    }


def test_a_call_of_a_whiteboard_session_names_it() -> None:
    message = told(notices.answer(new_call(scope=WHITEBOARD), "v=0"))
    assert message["whiteboard_session_id"] == 7
    assert "conversation_id" not in message


def test_a_device_that_lost_the_race_is_told_why() -> None:
    call = new_call()
    message = told(notices.ended(call, call.callee, EndReason.ANSWERED_ELSEWHERE))
    assert (message["type"], message["reason"], message["duration_seconds"]) == ("call_ended", "answered_elsewhere", None)


def test_a_call_that_goes_on_has_no_last_word() -> None:
    call = new_call()
    with pytest.raises(AssertionError, match="the call has ended"):
        notices.final(call, call.caller, None)
    with pytest.raises(AssertionError, match="the call has ended"):
        notices.ended_by_you(call, call.caller, None, NOW, None)

"""The messages that the server sends."""

import json

import pytest

from relay.signaling.messages import outgoing
from relay.signaling.messages.common import Answer, MediaState, Offer
from tests.signaling.frames import RECEIVER, SENDER, about

ABOUT = {
    "conversation_id": 123,
    "call_id": "c1",
    "from_profile_id": 456,
    "from_profile_type": "student",
    "from_name": "Maya",
    "from_avatar": "/maya.png",
    "to_profile_id": 789,
    "to_profile_type": "tutor",
}
CONTRACT = {
    "call_invitation": {"call_type", "conversation_id", *SENDER, *RECEIVER, "offer"},
    "call_answer": {"conversation_id", "from_profile_id", *RECEIVER, "answer"},
    "call_declined": {"conversation_id", "reason"},
    "call_ended": {"conversation_id", "from_profile_id", *RECEIVER},
}
DELIVERIES: dict[str, outgoing.CallMessage] = {
    "call_invitation": outgoing.InvitationDelivery(
        **ABOUT,  # type: ignore[arg-type]
        call_type="voice",
        offer=Offer(sdp="v=0"),
        expires_at=2,
        server_time=1,
        can_update=True,
    ),
    "call_answer": outgoing.AnswerDelivery(**ABOUT, answer=Answer(sdp="v=0"), can_update=True),  # type: ignore[arg-type]
    "call_declined": outgoing.DeclinedDelivery(**ABOUT, reason="busy"),  # type: ignore[arg-type]
    "call_ended": outgoing.EndedDelivery(**ABOUT, reason="hangup", duration_seconds=None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("kind", DELIVERIES)
def test_a_delivery_has_every_field_of_the_contract_under_its_name(kind: str) -> None:
    sent = json.loads(outgoing.encode(DELIVERIES[kind]))
    assert sent["type"] == kind
    assert CONTRACT[kind] <= sent.keys()
    assert sent.items() >= ABOUT.items()


def test_descriptions_are_delivered_as_browsers_want_them() -> None:
    assert json.loads(outgoing.encode(DELIVERIES["call_invitation"]))["offer"] == {"type": "offer", "sdp": "v=0"}
    assert json.loads(outgoing.encode(DELIVERIES["call_answer"]))["answer"] == {"type": "answer", "sdp": "v=0"}


def test_a_missed_calls_duration_is_null_and_not_left_out() -> None:
    assert json.loads(outgoing.encode(DELIVERIES["call_ended"]))["duration_seconds"] is None


@pytest.mark.parametrize("kind", ["call_invitation", "call_answer", "call_declined", "call_ended"])
def test_a_delivery_would_itself_be_a_good_message(kind: str) -> None:
    """So that a client that forwards what it got, or tests with two of itself, speaks one language."""
    assert about(outgoing.encode(DELIVERIES[kind], 1).decode()).conversation_id == 123


def test_a_call_state_says_no_more_than_it_knows() -> None:
    state = outgoing.CallStateMessage(
        **ABOUT,  # type: ignore[arg-type]
        state="ringing",
        call_type="voice",
        answered_at=None,
        server_time=1,
        media=MediaState(),
    )
    assert json.loads(outgoing.encode(state)).keys() == {
        *{"type", "state", "call_type", "answered_at", "server_time", "media", "held_by", "yours", "can_update"},
        *ABOUT,
    }


def test_a_number_comes_beside_the_other_fields() -> None:
    plain, numbered = outgoing.encode(DELIVERIES["call_ended"]), outgoing.encode(DELIVERIES["call_ended"], 12)
    assert json.loads(numbered) == {**json.loads(plain), "seq": 12}


def test_a_call_of_a_whiteboard_session_names_no_conversation() -> None:
    about = {**ABOUT, "whiteboard_session_id": 7}
    del about["conversation_id"]
    sent = json.loads(outgoing.encode(outgoing.HoldDelivery(**about)))  # type: ignore[arg-type]
    assert sent["whiteboard_session_id"] == 7
    assert "conversation_id" not in sent


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        DELIVERIES["call_ended"].conversation_id = 7  # type: ignore[misc]


def types_of(base: type[outgoing.ToClient]) -> set[type[outgoing.ToClient]]:
    return {base}.union(*(types_of(one) for one in base.__subclasses__()))


def test_every_type_of_the_server_has_a_name_of_its_own() -> None:
    bases = {outgoing.ToClient, outgoing.Transient, outgoing.CallMessage}
    tags = [one.__struct_config__.tag for one in types_of(outgoing.ToClient) - bases]
    assert len(tags) == len(set(tags)) == 25
    assert {"welcome", "pong", "call_quality", "call_elsewhere"} == {
        one.__struct_config__.tag for one in types_of(outgoing.Transient) - bases
    }

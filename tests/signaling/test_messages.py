"""The messages: what is taken, what is refused with which code, and what the server's own look like."""

import json

import pytest

from relay.errors import SignalingError
from relay.ids import Scope, ScopeKind
from relay.signaling.messages import incoming
from relay.signaling.messages.common import Answer, IceCandidate, MediaState, Offer
from relay.signaling.messages.incoming import (
    MAX_CHAT_LENGTH,
    MAX_DECLINE_LENGTH,
    MAX_FRAME_LENGTH,
    AnyFromClient,
    CallAnswer,
    CallChat,
    CallDeclined,
    CallEnded,
    CallHold,
    CallInvitation,
    CallMediaState,
    CallRecordAnswer,
    CallRejoin,
    CallRejoinAnswer,
    CallRestart,
    CallResume,
    CallTransfer,
    CallTransferAnswer,
    CallTransferTargets,
    CallUpdate,
    FromClient,
    Ping,
    RecordCall,
    TrickledCandidate,
)
from tests.signaling.frames import CANDIDATE, CODES, EXAMPLES, SENDER, about

DECODED: dict[str, FromClient] = {
    "call_invitation": CallInvitation(
        conversation_id=123, call_type="video", to_profile_id=789, to_profile_type="tutor", offer=Offer(sdp="v=0\r\n")
    ),
    "call_answer": CallAnswer(conversation_id=123, answer=Answer(sdp="v=0\r\n")),
    "ice_candidate": TrickledCandidate(
        conversation_id=123,
        candidate=IceCandidate(CANDIDATE["candidate"], "0", 0),  # type: ignore[arg-type]
    ),
    "call_declined": CallDeclined(conversation_id=123, reason="busy"),
    "call_ended": CallEnded(conversation_id=123),
    "call_update": CallUpdate(conversation_id=123, offer=Offer(sdp="v=0\r\n"), call_type="video"),
    "call_restart": CallRestart(conversation_id=123),
    "call_rejoin": CallRejoin(conversation_id=123),
    "call_rejoin_answer": CallRejoinAnswer(conversation_id=123, accepted=True, request_id="c0" * 16),
    "call_media_state": CallMediaState(conversation_id=123, muted=True, camera_off=True, sharing=True),
    "call_hold": CallHold(conversation_id=123),
    "call_resume": CallResume(conversation_id=123),
    "call_transfer": CallTransfer(conversation_id=123, target_profile_id=321, target_profile_type="parent"),
    "call_transfer_answer": CallTransferAnswer(conversation_id=123, accepted=True),
    "call_transfer_targets": CallTransferTargets(conversation_id=123),
    "call_chat": CallChat(conversation_id=123, text="hello", message_id="m-1"),
    "call_record": RecordCall(conversation_id=123, action="start", text_hash="ab" * 32),
    "call_record_answer": CallRecordAnswer(conversation_id=123, accepted=True, recording_id="c0" * 16, text_hash="ab" * 32),
    "ping": Ping(last_seq=7),
}

NEEDED = {
    "call_invitation": ["conversation_id", "call_type", "to_profile_id", "to_profile_type", "offer"],
    "call_answer": ["conversation_id", "answer"],
    "ice_candidate": ["conversation_id", "candidate"],
    "call_declined": ["conversation_id"],
    "call_ended": ["conversation_id"],
    "call_update": ["conversation_id", "offer"],
    "call_restart": ["conversation_id"],
    "call_rejoin": ["conversation_id"],
    "call_rejoin_answer": ["conversation_id", "accepted", "request_id"],
    "call_media_state": ["conversation_id"],
    "call_hold": ["conversation_id"],
    "call_resume": ["conversation_id"],
    "call_transfer": ["conversation_id", "target_profile_id", "target_profile_type"],
    "call_transfer_answer": ["conversation_id", "accepted"],
    "call_transfer_targets": ["conversation_id"],
    "call_chat": ["conversation_id", "text"],
    "call_record": ["conversation_id", "action"],
    "call_record_answer": ["conversation_id", "accepted"],
    "ping": [],
}
OPTIONAL = {
    "call_declined": ["reason", "message"],
    "call_invitation": ["transferred_from"],
    "call_media_state": ["muted", "camera_off", "sharing", "no_microphone", "no_camera"],
    "call_update": ["call_type"],
    "call_chat": ["message_id"],
    "call_record": ["text_hash"],
    "call_record_answer": ["recording_id", "text_hash"],
    "ping": ["last_seq"],
}

every_type = pytest.mark.parametrize("kind", EXAMPLES)
about_a_call = pytest.mark.parametrize("kind", [kind for kind in EXAMPLES if kind != "ping"])


def test_these_are_all_the_types() -> None:
    assert {one.__struct_config__.tag for one in AnyFromClient.__args__} == EXAMPLES.keys()


def code_of(frame: str | bytes) -> str:
    with pytest.raises(SignalingError) as refused:
        incoming.decode(frame)
    assert str(refused.value)
    return refused.value.code


# -- what is taken ----------------------------------------------------------------------------------------------------


@every_type
def test_a_message_of_the_contract_is_taken(kind: str) -> None:
    assert incoming.decode(json.dumps(EXAMPLES[kind])) == DECODED[kind]
    assert incoming.decode(json.dumps(EXAMPLES[kind]).encode()) == DECODED[kind]


@every_type
def test_a_client_may_leave_out_who_it_is(kind: str) -> None:
    example = {name: value for name, value in EXAMPLES[kind].items() if not name.startswith("from_")}
    assert incoming.decode(json.dumps(example)) == DECODED[kind]


@every_type
def test_what_a_client_says_of_itself_is_not_even_looked_at(kind: str) -> None:
    values: list[object] = [None, "x", 2**100, [], {}]
    for value in values:
        example = {**EXAMPLES[kind], **dict.fromkeys(SENDER, value)}
        assert incoming.decode(json.dumps(example)) == DECODED[kind]


@every_type
def test_fields_of_the_future_are_ignored(kind: str) -> None:
    assert incoming.decode(json.dumps({**EXAMPLES[kind], "seq": 7, "mood": ["?"]})) == DECODED[kind]


@pytest.mark.parametrize("candidate", [None, {}, {"candidate": None}, {"candidate": ""}, {"candidate": "", "sdpMid": "0"}])
def test_the_end_of_candidates_has_many_spellings(candidate: object) -> None:
    message = incoming.decode(json.dumps({**EXAMPLES["ice_candidate"], "candidate": candidate}))
    assert isinstance(message, TrickledCandidate)
    assert message.candidate is None or not message.candidate.candidate


def test_a_candidate_may_carry_its_ufrag_as_browsers_write_it() -> None:
    candidate = {**CANDIDATE, "usernameFragment": "Abcd"}
    assert incoming.decode(json.dumps({**EXAMPLES["ice_candidate"], "candidate": candidate})) == DECODED["ice_candidate"]


@pytest.mark.parametrize("reason", ["offline", "busy", "rejected", "on_fire"])
def test_a_reason_to_decline_may_be_a_new_one(reason: str) -> None:
    message = incoming.decode(json.dumps({**EXAMPLES["call_declined"], "reason": reason}))
    assert isinstance(message, CallDeclined)
    assert message.reason == reason


def test_declining_without_a_reason_is_rejecting() -> None:
    assert incoming.decode('{"type":"call_declined","conversation_id":1}') == CallDeclined(conversation_id=1, reason="rejected")


@pytest.mark.parametrize("profile_type", ["tutor", "student", "parent", "advertiser"])
@pytest.mark.parametrize("call_type", ["voice", "video"])
def test_all_of_the_contracts_values_are_taken(profile_type: str, call_type: str) -> None:
    example = {**EXAMPLES["call_invitation"], "to_profile_type": profile_type, "call_type": call_type}
    message = incoming.decode(json.dumps(example))
    assert isinstance(message, CallInvitation)
    assert (message.to_profile_type, message.call_type) == (profile_type, call_type)


@pytest.mark.parametrize("number", [1, 2**31 - 1])
def test_ids_fill_their_column(number: int) -> None:
    assert about(json.dumps({**EXAMPLES["call_ended"], "conversation_id": number})).conversation_id == number


@about_a_call
def test_a_call_may_belong_to_a_whiteboard_session(kind: str) -> None:
    example = {**EXAMPLES[kind], "whiteboard_session_id": 7}
    del example["conversation_id"]
    assert about(json.dumps(example)).scope == Scope(ScopeKind.WHITEBOARD_SESSION, 7)


@about_a_call
def test_a_call_may_be_named(kind: str) -> None:
    assert about(json.dumps({**EXAMPLES[kind], "call_id": "c1"})).call_id == "c1"
    assert about(json.dumps(EXAMPLES[kind])).call_id is None


def test_media_are_on_until_a_message_says_otherwise() -> None:
    message = incoming.decode('{"type":"call_media_state","conversation_id":1,"muted":true}')
    assert isinstance(message, CallMediaState)
    assert message.state == MediaState(muted=True, camera_off=False, sharing=False)


def test_a_text_fills_its_limit() -> None:
    text = "\N{GRINNING FACE}" * MAX_CHAT_LENGTH
    message = incoming.decode(json.dumps({**EXAMPLES["call_chat"], "text": text}))
    assert isinstance(message, CallChat)
    assert message.text == text


def test_a_device_that_does_not_work_is_said_beside_what_a_user_has_turned_off() -> None:
    message = incoming.decode('{"type":"call_media_state","conversation_id":1,"muted":true,"no_microphone":true}')
    assert isinstance(message, CallMediaState)
    assert message.state == MediaState(muted=True, no_microphone=True)


def test_what_is_said_by_declining_fills_its_limit() -> None:
    said = "\N{GRINNING FACE}" * MAX_DECLINE_LENGTH
    message = incoming.decode(json.dumps({**EXAMPLES["call_declined"], "message": said}))
    assert isinstance(message, CallDeclined)
    assert message.message == said


# -- what is refused --------------------------------------------------------------------------------------------------


@every_type
def test_a_field_that_is_missing_is_named(kind: str) -> None:
    for field in NEEDED[kind]:
        example = {name: value for name, value in EXAMPLES[kind].items() if name != field}
        with pytest.raises(SignalingError, match=field) as refused:
            incoming.decode(json.dumps(example))
        assert refused.value.code == "invalid_message"


WRONG: dict[str, list[object]] = {
    "action": [None, "pause", 1],
    "recording_id": [1, "c0", "C0" * 16],
    "request_id": [1, "c0", "C0" * 16],
    "text_hash": [1, "", "ab" * 31, "AB" * 32],
    "conversation_id": [None, "123", 1.5, True, 0, -1, 2**31, 2**70, [], {}],
    "whiteboard_session_id": [None, "7", 7],
    "call_id": [1, [], "x" * 65],
    "target_profile_id": [None, "789", 0, -1, 2**31],
    "target_profile_type": [None, 1, "teacher", "TUTOR", ""],
    "accepted": [None, 1, "true", []],
    "text": [None, 1, "", [], "x" * (MAX_CHAT_LENGTH + 1)],
    "message_id": [1, "", [], "x" * 65],
    "transferred_from": [1, [], "x" * 32, "a" * 31, "a" * 33, "A" * 32, "a\0b", "a" * 31 + "\0", "a" * 32 + "\n"],
    "muted": [None, 1, "yes"],
    "camera_off": [None, 0],
    "sharing": [None, "no"],
    "no_microphone": [None, 1, "yes"],
    "no_camera": [None, 0, "no"],
    "message": [1, [], "", "x" * (MAX_DECLINE_LENGTH + 1)],
    "last_seq": ["1", -1, 1.5, []],
    "to_profile_id": [None, "789", 0, -1, 2**31],
    "to_profile_type": [None, 1, "teacher", "TUTOR", ""],
    "call_type": [None, 1, "smell", ""],
    "offer": [None, "v=0", [], {}, {"type": "offer"}, {"type": "answer", "sdp": ""}, {"type": "offer", "sdp": 1}],
    "answer": [None, "v=0", [], {}, {"type": "answer"}, {"type": "offer", "sdp": ""}, {"type": "pranswer", "sdp": ""}],
    "candidate": ["x", 1, [], {"candidate": 1}, {"candidate": "x" * 1025}, {"sdpMid": 0}, {"sdpMLineIndex": "0"}],
    "reason": [None, 1, [], "x" * 65],
    "ref": [1, [], "x" * 201],
}

NOT_WRONG = [("call_update", "offer", None), ("call_update", "call_type", None)]
"""Left out, in effect. (An update without an offer is wrong for another reason: see below.)"""


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"offer": None},
        {"rejected": False},
        {"offer": {"type": "offer", "sdp": ""}, "answer": {"type": "answer", "sdp": ""}},
        {"offer": {"type": "offer", "sdp": ""}, "rejected": True},
        {"answer": {"type": "answer", "sdp": ""}, "rejected": True},
    ],
)
def test_an_update_carries_one_thing(fields: dict[str, object]) -> None:
    assert code_of(json.dumps({"type": "call_update", "conversation_id": 123, **fields})) == "invalid_message"


@about_a_call
def test_a_call_belongs_to_one_scope(kind: str) -> None:
    example = {name: value for name, value in EXAMPLES[kind].items() if name != "conversation_id"}
    for scopes in ({}, {"conversation_id": 1, "whiteboard_session_id": 1}):
        assert code_of(json.dumps({**example, **scopes})) == "invalid_message"


@every_type
def test_a_field_of_the_wrong_kind_is_refused(kind: str) -> None:
    needed = NEEDED[kind]
    for field in [*needed, "ref", *OPTIONAL.get(kind, []), *(["call_id", "whiteboard_session_id"] if needed else [])]:
        for value in WRONG[field]:
            if (kind, field, value) not in NOT_WRONG:
                assert code_of(json.dumps({**EXAMPLES[kind], field: value})) == "invalid_message", (field, value)


@pytest.mark.parametrize(("frame", "code"), CODES.values(), ids=CODES.keys())
def test_what_makes_no_sense_has_a_code_that_says_so(frame: str | bytes, code: str) -> None:
    assert code_of(frame) == code


def test_a_type_that_is_missing_in_an_offer_is_no_unknown_message() -> None:
    """Old clients may send a description that they made from its text alone."""
    message = {**EXAMPLES["call_invitation"], "offer": {"sdp": "v=0\r\n"}}
    try:
        decoded = incoming.decode(json.dumps(message))
    except SignalingError as error:
        assert error.code == "invalid_message"
    else:
        assert decoded == DECODED["call_invitation"]


def test_the_largest_frame_is_64_kib() -> None:
    frame = '{"type":"call_ended","conversation_id":1,"note":"%s"}'
    fits = frame % ("x" * (MAX_FRAME_LENGTH - len(frame) + 2))
    assert len(fits) == MAX_FRAME_LENGTH == 65536
    assert incoming.decode(fits) == CallEnded(conversation_id=1)
    assert code_of(fits.replace("xx", "xxx", 1)) == "too_large"


def test_a_frame_is_measured_in_bytes() -> None:
    frame = json.dumps({**EXAMPLES["call_ended"], "note": "\N{GRINNING FACE}" * 20_000}, ensure_ascii=False)
    assert len(frame.encode()) > MAX_FRAME_LENGTH
    assert code_of(frame) == "too_large"

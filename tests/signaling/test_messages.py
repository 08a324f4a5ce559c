"""The messages: what is taken, what is refused with which code, and what the server's own look like."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import SignalingError
from relay.ids import Place, PlaceKind
from relay.signaling.messages import incoming, outgoing
from relay.signaling.messages.common import Answer, IceCandidate, MediaState, Offer
from relay.signaling.messages.incoming import (
    MAX_CHAT_LENGTH,
    MAX_FRAME_LENGTH,
    AboutCall,
    AnyFromClient,
    CallAnswer,
    CallChat,
    CallDeclined,
    CallEnded,
    CallHold,
    CallInvitation,
    CallMediaState,
    CallRejoin,
    CallRestart,
    CallResume,
    CallTransfer,
    CallTransferAnswer,
    CallUpdate,
    FromClient,
    Ping,
    TrickledCandidate,
)

SENDER = {"from_profile_id": 456, "from_profile_type": "student", "from_name": "Maya", "from_avatar": "/maya.png"}
RECEIVER = {"to_profile_id": 789, "to_profile_type": "tutor"}
CANDIDATE = {"candidate": "candidate:1 1 udp 1 203.0.113.4 5 typ host", "sdpMid": "0", "sdpMLineIndex": 0}

EXAMPLES: dict[str, dict[str, Any]] = {
    "call_invitation": {
        "type": "call_invitation",
        "call_type": "video",
        "conversation_id": 123,
        **SENDER,
        **RECEIVER,
        "offer": {"type": "offer", "sdp": "v=0\r\n"},
    },
    "call_answer": {
        "type": "call_answer",
        "conversation_id": 123,
        "from_profile_id": 789,
        "to_profile_id": 456,
        "to_profile_type": "student",
        "answer": {"type": "answer", "sdp": "v=0\r\n"},
    },
    "ice_candidate": {
        "type": "ice_candidate",
        "conversation_id": 123,
        "from_profile_id": 456,
        **RECEIVER,
        "candidate": CANDIDATE,
    },
    "call_declined": {"type": "call_declined", "conversation_id": 123, "reason": "busy"},
    "call_ended": {"type": "call_ended", "conversation_id": 123, "from_profile_id": 456, **RECEIVER},
    "call_update": {
        "type": "call_update",
        "conversation_id": 123,
        "offer": {"type": "offer", "sdp": "v=0\r\n"},
        "call_type": "video",
    },
    "call_restart": {"type": "call_restart", "conversation_id": 123},
    "call_rejoin": {"type": "call_rejoin", "conversation_id": 123},
    "call_media_state": {"type": "call_media_state", "conversation_id": 123, "muted": True, "camera_off": True, "sharing": True},
    "call_hold": {"type": "call_hold", "conversation_id": 123},
    "call_resume": {"type": "call_resume", "conversation_id": 123},
    "call_transfer": {
        "type": "call_transfer",
        "conversation_id": 123,
        "target_profile_id": 321,
        "target_profile_type": "parent",
    },
    "call_transfer_answer": {"type": "call_transfer_answer", "conversation_id": 123, "accepted": True},
    "call_chat": {"type": "call_chat", "conversation_id": 123, "text": "hello", "message_id": "m-1"},
    "ping": {"type": "ping", "last_seq": 7},
}
"""The five as in the contract, every field of it there."""

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
    "call_media_state": CallMediaState(conversation_id=123, muted=True, camera_off=True, sharing=True),
    "call_hold": CallHold(conversation_id=123),
    "call_resume": CallResume(conversation_id=123),
    "call_transfer": CallTransfer(conversation_id=123, target_profile_id=321, target_profile_type="parent"),
    "call_transfer_answer": CallTransferAnswer(conversation_id=123, accepted=True),
    "call_chat": CallChat(conversation_id=123, text="hello", message_id="m-1"),
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
    "call_media_state": ["conversation_id"],
    "call_hold": ["conversation_id"],
    "call_resume": ["conversation_id"],
    "call_transfer": ["conversation_id", "target_profile_id", "target_profile_type"],
    "call_transfer_answer": ["conversation_id", "accepted"],
    "call_chat": ["conversation_id", "text"],
    "ping": [],
}
OPTIONAL = {
    "call_declined": ["reason"],
    "call_invitation": ["transferred_from"],
    "call_media_state": ["muted", "camera_off", "sharing"],
    "call_update": ["call_type"],
    "call_chat": ["message_id"],
    "ping": ["last_seq"],
}

every_type = pytest.mark.parametrize("kind", EXAMPLES)
about_a_call = pytest.mark.parametrize("kind", [kind for kind in EXAMPLES if kind != "ping"])


def about(frame: str) -> AboutCall:
    """A message about a call."""
    message = incoming.decode(frame)
    assert isinstance(message, AboutCall)
    return message


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
    assert about(json.dumps(example)).place == Place(PlaceKind.WHITEBOARD_SESSION, 7)


@about_a_call
def test_a_call_may_be_named(kind: str) -> None:
    assert about(json.dumps({**EXAMPLES[kind], "call_id": "c1"})).call_id == "c1"
    assert about(json.dumps(EXAMPLES[kind])).call_id is None


def test_media_are_on_until_somebody_says_otherwise() -> None:
    message = incoming.decode('{"type":"call_media_state","conversation_id":1,"muted":true}')
    assert isinstance(message, CallMediaState)
    assert message.state == MediaState(muted=True, camera_off=False, sharing=False)


def test_a_text_fills_its_limit() -> None:
    text = "\N{GRINNING FACE}" * MAX_CHAT_LENGTH
    message = incoming.decode(json.dumps({**EXAMPLES["call_chat"], "text": text}))
    assert isinstance(message, CallChat)
    assert message.text == text


# -- what is refused --------------------------------------------------------------------------------------------------


@every_type
def test_a_field_that_is_missing_is_named(kind: str) -> None:
    for field in NEEDED[kind]:
        example = {name: value for name, value in EXAMPLES[kind].items() if name != field}
        with pytest.raises(SignalingError, match=field) as refused:
            incoming.decode(json.dumps(example))
        assert refused.value.code == "invalid_message"


WRONG: dict[str, list[object]] = {
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
def test_a_call_belongs_to_one_place(kind: str) -> None:
    example = {name: value for name, value in EXAMPLES[kind].items() if name != "conversation_id"}
    for places in ({}, {"conversation_id": 1, "whiteboard_session_id": 1}):
        assert code_of(json.dumps({**example, **places})) == "invalid_message"


@every_type
def test_a_field_of_the_wrong_kind_is_refused(kind: str) -> None:
    needed = NEEDED[kind]
    for field in [*needed, "ref", *OPTIONAL.get(kind, []), *(["call_id", "whiteboard_session_id"] if needed else [])]:
        for value in WRONG[field]:
            if (kind, field, value) not in NOT_WRONG:
                assert code_of(json.dumps({**EXAMPLES[kind], field: value})) == "invalid_message", (field, value)


CODES = {
    "nothing": ("", "malformed"),
    "prose": ("hello", "malformed"),
    "half a message": ('{"type":"call_ended"', "malformed"),
    "two messages": ('{"type":"call_ended","conversation_id":1}{}', "malformed"),
    "an array": ("[1, 2]", "malformed"),
    "a string": ('"call_ended"', "malformed"),
    "a number": ("7", "malformed"),
    "null": ("null", "malformed"),
    "not a number": ('{"type":"call_ended","conversation_id":NaN}', "malformed"),
    "not a number, in a field of the future": ('{"type":"call_ended","conversation_id":1,"x":NaN}', "malformed"),
    "infinity": ('{"type":"call_ended","conversation_id":Infinity}', "malformed"),
    "an integer of 5,000 digits": (f'{{"type":"call_ended","conversation_id":{"9" * 5000}}}', "invalid_message"),
    "a float beyond all floats": ('{"type":"call_ended","conversation_id":1e999}', "invalid_message"),
    "arrays in arrays": ("[" * 60_000, "malformed"),
    "objects in objects": ('{"a":' * 10_000, "malformed"),
    "an offer of objects in objects": (
        '{"type":"call_answer","conversation_id":1,"answer":' + '{"a":' * 10_000 + "1" + "}" * 10_001,
        "malformed",
    ),
    "half a surrogate pair, escaped": ('{"type":"call_ended","conversation_id":1,"ref":"\\ud800"}', "invalid_message"),
    "the other half": ('{"type":"call_ended","conversation_id":1,"x":["\\uDE00"]}', "invalid_message"),
    "both halves the wrong way round": ('{"type":"call_ended","conversation_id":1,"x":"\\ude00\\ud83d"}', "invalid_message"),
    "half a surrogate pair in half a message": ('{"type":"call_ended","x":"\\ud800"', "malformed"),
    "half a surrogate pair in no object": ('["\\ud800"]', "malformed"),
    "half a surrogate pair, plain": ('{"type":"call_ended","conversation_id":1,"ref":"\ud800"}', "malformed"),
    "bytes that are no UTF-8": (b'{"type":"call_ended","conversation_id":1,"ref":"\xff"}', "malformed"),
    "bytes in UTF-16": ('{"type":"call_ended","conversation_id":1}'.encode("utf-16"), "malformed"),
    "no type": ('{"conversation_id":1}', "unknown_type"),
    "an unknown type": ('{"type":"dance","conversation_id":1}', "unknown_type"),
    "a type of the server's own": ('{"type":"welcome","conversation_id":1}', "unknown_type"),
    "a type that is no text": ('{"type":{"type":"call_ended"},"conversation_id":1}', "unknown_type"),
    "a megabyte": (json.dumps({**EXAMPLES["call_ended"], "note": "x" * 2**20}), "too_large"),
    "a megabyte of nonsense": (b"\xff" * 2**20, "too_large"),
}


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


# -- whatever comes ---------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
FIELDS = sorted({name for example in EXAMPLES.values() for name in example} | {"ref"})
NEARLY = st.builds(
    lambda kind, changes: {**EXAMPLES[kind], **changes},
    st.sampled_from(sorted(EXAMPLES)),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3),
)
FRAMES = st.one_of(
    st.binary(), st.text(), JSON.map(json.dumps), NEARLY.map(json.dumps), NEARLY.map(lambda one: json.dumps(one)[:-1])
)


@given(FRAMES)
def test_no_frame_is_too_strange(frame: str | bytes) -> None:
    try:
        message = incoming.decode(frame)
    except SignalingError as error:
        assert error.code in {"malformed", "unknown_type", "invalid_message"}
        assert str(error)
    else:
        assert isinstance(message, FromClient)


@pytest.mark.parametrize(
    ("escaped", "text"),
    [("\\ud83d\\ude00", "\U0001f600"), ("\\\\ud83d", "\\ud83d"), ("\\uD83D\\uDE00\\ude00"[:12], "\U0001f600")],
)
def test_a_whole_character_is_taken_however_it_is_written(escaped: str, text: str) -> None:
    message = incoming.decode(f'{{"type":"call_chat","conversation_id":1,"text":"{escaped}"}}')
    assert isinstance(message, incoming.CallChat)
    assert message.text == text


@given(FRAMES)
def test_every_frame_has_a_reference_or_none(frame: str | bytes) -> None:
    ref = incoming.ref_of(frame)
    assert ref is None or 0 < len(ref) <= 200


@pytest.mark.parametrize("frame", [frame for frame, _ in CODES.values()], ids=CODES.keys())
def test_a_reference_to_nonsense_can_be_sent(frame: str | bytes) -> None:
    error = outgoing.Error(code="malformed", message="", ref=incoming.ref_of(frame))
    assert json.loads(outgoing.encode(error))["type"] == "error"


@pytest.mark.parametrize(
    ("frame", "ref"),
    [
        ('{"type":"dance","ref":"my-7"}', "my-7"),
        ('{"type":"call_chat","text":"well done \\ud83d","ref":"my-7"}', "my-7"),
        (b'{"type":"call_chat","text":"\\ude00\\ud83d\\\\","ref":"my-7"}', "my-7"),
        ('{"type":"dance"}', "dance"),
        ('{"type":"dance","ref":""}', "dance"),
        ('{"type":"dance","ref":7}', "dance"),
        ('{"type":7}', None),
        ("{}", None),
        ("hello", None),
        (json.dumps({"ref": "x" * 300}), "x" * 200),
        (json.dumps({"ref": "my-7", "note": "x" * MAX_FRAME_LENGTH}), None),
    ],
)
def test_an_error_refers_to_the_messages_ref_or_else_its_type(frame: str, ref: str | None) -> None:
    assert incoming.ref_of(frame) == ref


# -- what the server sends --------------------------------------------------------------------------------------------

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
    bases = {outgoing.ToClient, outgoing.Momentary, outgoing.CallMessage}
    tags = [one.__struct_config__.tag for one in types_of(outgoing.ToClient) - bases]
    assert len(tags) == len(set(tags)) == 19
    assert {"welcome", "pong", "call_quality"} == {one.__struct_config__.tag for one in types_of(outgoing.Momentary) - bases}

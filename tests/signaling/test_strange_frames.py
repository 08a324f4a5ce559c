"""Whatever a client sends: it is taken, or refused with a code."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import SignalingError
from relay.signaling.messages import incoming, outgoing
from relay.signaling.messages.incoming import (
    MAX_FRAME_LENGTH,
    FromClient,
)
from tests.signaling.frames import CODES, EXAMPLES

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

"""Messages out of a stream: whole, in order, and an end to it when there are none."""

import pytest
from aioice import stun
from aioice.stun import Class, Method
from hypothesis import given
from hypothesis import strategies as st

from relay.turn.messages import MAX_LENGTH, build, channel_data
from relay.turn.stream import NotTurn, split_stream

BINDING = build(Method.BINDING, Class.REQUEST, bytes(12), {})
INDICATION = build(
    Method.SEND, Class.INDICATION, bytes(12), {"DATA": b"12345", "XOR-PEER-ADDRESS": ("192.0.2.1", 1)}, fingerprint=True
)

messages = st.one_of(
    st.sampled_from([BINDING, INDICATION]),
    st.binary(max_size=200).map(lambda data: channel_data(0x4001, data, padded=True)),
)


@given(st.lists(messages, max_size=10), st.lists(st.integers(1, 60)))
def test_messages_come_out_whole_and_in_order_wherever_the_stream_is_cut(sent: list[bytes], cuts: list[int]) -> None:
    stream, buffer, found = b"".join(sent), bytearray(), []
    for cut in cuts:
        buffer += stream[:cut]
        stream = stream[cut:]
        found += split_stream(buffer)
    buffer += stream
    found += split_stream(buffer)
    assert found == sent
    assert not buffer


def test_the_beginning_of_a_message_waits_for_its_end() -> None:
    buffer = bytearray(BINDING[:19])
    assert split_stream(buffer) == []
    assert buffer == BINDING[:19]
    buffer += BINDING[19:] + b"\x40"
    assert split_stream(buffer) == [BINDING]
    assert buffer == b"\x40"


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET ",
        b"\x16\x03\x01",
        b"\xff",
        b"\x80\x00",
        b"\x00\x01\x00\x01",
        b"\x00\x01\x00\x00\x21\x12\xa4\x43",
        b"\x00\x01\xff\xfc",
        b"\x40\x00\xff\xff",
        bytes(8),
    ],
)
def test_garbage_is_refused_at_its_first_byte_that_does_not_fit(garbage: bytes) -> None:
    with pytest.raises(NotTurn):
        split_stream(bytearray(garbage))
    with pytest.raises(NotTurn):
        split_stream(bytearray(BINDING + garbage))


def test_the_longest_message_passes_and_a_longer_one_is_not_waited_for() -> None:
    longest = channel_data(0x4000, bytes(MAX_LENGTH - 4), padded=True)
    assert split_stream(bytearray(longest)) == [longest]
    with pytest.raises(NotTurn):
        split_stream(bytearray(channel_data(0x4000, bytes(MAX_LENGTH - 3), padded=True)[:4]))
    with pytest.raises(NotTurn):
        split_stream(bytearray(stun.set_body_length(BINDING, MAX_LENGTH)))


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=40))
def test_at_most_one_message_is_buffered_for_any_input(chunks: list[bytes]) -> None:
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        try:
            split_stream(buffer)
        except NotTurn:
            return
        assert len(buffer) < MAX_LENGTH

"""Datagrams on a stream (RFC 4571)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.edge.tcp.framing import MAX_FRAME, Frames, FrameTooLong, frame

DATAGRAMS = st.lists(st.binary(min_size=1, max_size=MAX_FRAME), max_size=8)


def test_a_frame_is_its_length_and_the_datagram() -> None:
    assert frame(b"abc") == b"\x00\x03abc"
    assert frame(bytes(300))[:2] == b"\x01\x2c"


@given(DATAGRAMS, st.data())
def test_what_was_framed_comes_out_again_however_the_stream_was_cut(datagrams: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, datagrams))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    frames = Frames()
    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += frames.feed(stream[start:end])
    assert found == datagrams


def test_an_empty_frame_is_a_datagram_too() -> None:
    assert list(Frames().feed(b"\x00\x00\x00\x01a\x00\x00")) == [b"", b"a", b""]


def test_the_datagrams_before_a_frame_that_is_too_long_still_count() -> None:
    found = []
    with pytest.raises(FrameTooLong):
        for one in Frames().feed(frame(b"good") + (MAX_FRAME + 1).to_bytes(2)):
            found.append(one)
    assert found == [b"good"]


@given(st.lists(st.binary(max_size=64), max_size=40))
def test_bytes_of_any_kind_give_datagrams_or_an_error_and_never_pile_up(chunks: list[bytes]) -> None:
    frames, fed, given_out = Frames(), 0, 0
    try:
        for chunk in chunks:
            fed += len(chunk)
            given_out += sum(len(one) + 2 for one in frames.feed(chunk))
            assert given_out <= fed
            assert len(frames._buffer) < MAX_FRAME + 2
    except FrameTooLong:
        pass

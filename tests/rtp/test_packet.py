"""Headers as RFC 3550 and RFC 8285 lay them out, checked against aiortc's own implementation."""

from aiortc.rtp import HeaderExtensionsMap, RtpPacket, unpack_header_extensions
from aiortc.rtp import is_rtcp as aiortc_is_rtcp
from hypothesis import given
from hypothesis import strategies as st

from relay.rtp.packet import (
    MARKER,
    PAYLOAD_TYPE,
    DatagramKind,
    SequenceUnwrapper,
    classify,
    extensions,
    header_length,
    is_rtcp,
    is_rtp,
    payload_range,
    peek,
)

UINT16 = st.integers(0, 0xFFFF)
UINT32 = st.integers(0, 0xFFFFFFFF)
SPARE = b"left over from a longer datagram"


@st.composite
def rtp_packets(draw: st.DrawFn) -> RtpPacket:
    packet = RtpPacket(
        payload_type=draw(st.integers(0, 127)),
        marker=draw(st.integers(0, 1)),
        sequence_number=draw(UINT16),
        timestamp=draw(UINT32),
        ssrc=draw(UINT32),
        payload=draw(st.binary(max_size=50)),
    )
    packet.csrc = draw(st.lists(UINT32, max_size=15))
    packet.padding_size = draw(st.integers(0, 255))
    return packet


def with_extension(profile: int, elements: bytes) -> bytes:
    """An RTP packet without payload that has this header extension."""
    elements += bytes(-len(elements) % 4)
    header = bytes([0x90, 96]) + bytes(10)
    return header + profile.to_bytes(2) + (len(elements) // 4).to_bytes(2) + elements


def found(packet: bytes) -> list[tuple[int, bytes]]:
    return [(key, packet[begin:end]) for key, begin, end in extensions(packet, len(packet))]


@given(rtp_packets())
def test_headers_written_by_aiortc_are_read_back(packet: RtpPacket) -> None:
    data = packet.serialize(HeaderExtensionsMap())
    _, second, sequence, timestamp, ssrc = peek(data)
    assert is_rtp(data, len(data))
    assert (bool(second & MARKER), second & PAYLOAD_TYPE) == (bool(packet.marker), packet.payload_type)
    assert (sequence, timestamp, ssrc) == (packet.sequence_number, packet.timestamp, packet.ssrc)
    assert header_length(data, len(data)) == 12 + 4 * len(packet.csrc)
    begin, end = payload_range(data + SPARE, len(data))
    assert data[begin:end] == packet.payload


def test_a_packet_is_found_at_an_offset_of_the_buffer() -> None:
    assert peek(b"###" + bytes([0x80, 0xE0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]), 3) == (0x80, 0xE0, 1, 2, 3)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes_have_a_payload_inside_them_or_none(data: bytes, length: int) -> None:
    length = min(length, len(data))
    begin, end = payload_range(data, length)
    assert (begin, end) == (0, 0) or 12 <= begin <= end <= length
    assert header_length(data, length) <= length
    for _, value_begin, value_end in extensions(data, length):
        assert 12 <= value_begin <= value_end <= header_length(data, length)


def test_only_version_2_is_rtp() -> None:
    assert [first for first in range(256) if is_rtp(bytes([first]) + bytes(200), 201)] == list(range(0x80, 0xC0))


def test_a_header_that_is_cut_off_is_no_rtp() -> None:
    with_csrcs = bytes([0x82]) + bytes(19)
    assert is_rtp(with_csrcs, 20)
    assert not is_rtp(with_csrcs, 19)
    extended = with_extension(0xBEDE, b"\x10\x01")
    assert not is_rtp(extended, len(extended) - 1)
    assert not is_rtp(extended, 15)


def test_padding_longer_than_the_payload_leaves_no_packet() -> None:
    padded = bytes([0xA0]) + bytes(11) + b"payload"
    assert payload_range(padded + b"\x08", 20) == (12, 12)
    assert payload_range(padded + b"\x09", 20) == (0, 0)
    assert payload_range(padded + b"\x00", 20) == (0, 0)


ONE_BYTE_ELEMENTS = st.lists(st.tuples(st.integers(1, 14), st.binary(min_size=1, max_size=16)), max_size=8)
TWO_BYTE_ELEMENTS = st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=255)), max_size=5)


@given(ONE_BYTE_ELEMENTS)
def test_one_byte_extensions_are_read_as_aiortc_reads_them(elements: list[tuple[int, bytes]]) -> None:
    body = b"".join(bytes([key << 4 | len(value) - 1]) + value for key, value in elements)
    assert found(with_extension(0xBEDE, body)) == elements == unpack_header_extensions(0xBEDE, body)


@given(TWO_BYTE_ELEMENTS)
def test_two_byte_extensions_are_read_as_aiortc_reads_them(elements: list[tuple[int, bytes]]) -> None:
    body = b"".join(bytes([key, len(value)]) + value for key, value in elements)
    assert found(with_extension(0x1000, body)) == elements == unpack_header_extensions(0x1000, body)


def test_padding_between_extensions_is_skipped() -> None:
    assert found(with_extension(0xBEDE, b"\x10A\0\0\x20B")) == [(1, b"A"), (2, b"B")]
    assert found(with_extension(0x1000, b"\x01\x01A\0\0\x02\x01B")) == [(1, b"A"), (2, b"B")]


def test_reserved_ids_end_the_extensions() -> None:
    assert found(with_extension(0xBEDE, b"\x10A\xf0B\x20C")) == [(1, b"A")]
    assert found(with_extension(0xBEDE, b"\x10A\x01BB\x20C")) == [(1, b"A")]


def test_extensions_stop_where_a_value_is_cut_off() -> None:
    assert found(with_extension(0xBEDE, b"\x10A\x2fB")) == [(1, b"A")]
    assert found(with_extension(0x1000, b"\x01\x01A\x02\x05BCD")) == [(1, b"A")]
    assert found(with_extension(0x1000, b"\x01\x02AB\x02\x01C\x03")) == [(1, b"AB"), (2, b"C")]


def test_extensions_of_an_unknown_profile_are_left_alone() -> None:
    assert found(with_extension(0x1234, b"\x10A")) == []


def test_datagrams_are_told_apart_by_their_first_byte() -> None:
    kinds = {kind: [first for first in range(256) if classify(first) is kind] for kind in DatagramKind}
    assert kinds[DatagramKind.STUN] == [0, 1, 2, 3]
    assert kinds[DatagramKind.DTLS] == list(range(20, 64))
    assert kinds[DatagramKind.TURN_CHANNEL] == list(range(64, 80))
    assert kinds[DatagramKind.RTP] == list(range(128, 192))
    assert sum(map(len, kinds.values())) == 256


def test_rtcp_is_told_from_rtp_as_rfc_5761_says() -> None:
    assert [second for second in range(256) if is_rtcp(second)] == list(range(192, 224))
    assert all(is_rtcp(second) for second in range(200, 208) if aiortc_is_rtcp(bytes([0x80, second])))


@given(st.integers(0, 0xFFFF), st.lists(st.integers(-0x8000, 0x7FFF), max_size=300))
def test_sequence_numbers_are_unwrapped_across_cycles_and_reordering(first: int, steps: list[int]) -> None:
    unwrapper = SequenceUnwrapper(first)
    assert unwrapper.unwrap(first) == 0x10000 + first
    newest = 0x10000 + first
    for step in steps:
        actual = newest + step
        assert unwrapper.unwrap(actual & 0xFFFF) == actual
        newest = max(newest, actual)
        assert unwrapper.highest == newest


def test_packets_from_before_the_first_are_not_negative() -> None:
    unwrapper = SequenceUnwrapper(0)
    assert [unwrapper.unwrap(sequence) for sequence in (0, 0x8001, 0xFFFF)] == [0x10000, 0x8001, 0xFFFF]

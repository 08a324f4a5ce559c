"""Headers as RFC 3550 and RFC 8285 lay them out, checked against aiortc's own implementation."""

from aiortc.rtp import HeaderExtensionsMap, RtcpRrPacket, RtpPacket
from aiortc.rtp import is_rtcp as aiortc_is_rtcp
from hypothesis import given
from hypothesis import strategies as st

from relay.rtp.packet import PAYLOAD_TYPE, header_length, is_rtcp, payload_range, peek, ssrc_of

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


@given(rtp_packets())
def test_headers_written_by_aiortc_are_read_back(packet: RtpPacket) -> None:
    data = packet.serialize(HeaderExtensionsMap())
    _, second, sequence, timestamp, ssrc = peek(data)
    assert (bool(second & ~PAYLOAD_TYPE), second & PAYLOAD_TYPE) == (bool(packet.marker), packet.payload_type)
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


def test_only_version_2_is_rtp() -> None:
    assert [first for first in range(256) if header_length(bytes([first]) + bytes(200), 201)] == list(range(0x80, 0xC0))


def test_a_header_that_is_cut_off_is_no_rtp() -> None:
    with_csrcs = bytes([0x82]) + bytes(19)
    assert header_length(with_csrcs, 20) == 20
    assert not header_length(with_csrcs, 19)
    extended = with_extension(0xBEDE, b"\x10\x01")
    assert not header_length(extended, len(extended) - 1)
    assert not header_length(extended, 15)


def test_padding_longer_than_the_payload_leaves_no_packet() -> None:
    padded = bytes([0xA0]) + bytes(11) + b"payload"
    assert payload_range(padded + b"\x08", 20) == (12, 12)
    assert payload_range(padded + b"\x09", 20) == (0, 0)
    assert payload_range(padded + b"\x00", 20) == (0, 0)


def test_rtcp_is_told_from_rtp_as_rfc_5761_says() -> None:
    assert [second for second in range(256) if is_rtcp(second)] == list(range(192, 224))
    assert all(is_rtcp(second) for second in range(200, 208) if aiortc_is_rtcp(bytes([0x80, second])))


@given(rtp_packets().filter(lambda packet: not 64 <= packet.payload_type < 96))  # RFC 5761, 4
def test_the_ssrc_of_a_packet_is_where_its_kind_has_it(packet: RtpPacket) -> None:
    assert ssrc_of(b"##" + packet.serialize(HeaderExtensionsMap()), 2) == packet.ssrc
    assert ssrc_of(bytes(RtcpRrPacket(ssrc=packet.ssrc)) + bytes(4)) == packet.ssrc

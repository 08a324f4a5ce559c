"""RTCP: what the relay reads as compound packets pass, and the few packets that it writes itself.

Reduced-size compounds (RFC 5506) are compounds like any other here: parts in any order, and any number of them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from struct import Struct

from relay.errors import RelayError
from relay.rtp.packet import Buffer

_SENDER_REPORT = 200
_RECEIVER_REPORT = 201
BYE = 203
TRANSPORT_FEEDBACK = 205
PAYLOAD_FEEDBACK = 206

NACK = 1
PLI = 1
FIR = 4

part_header = Struct("!BBH")
_sender_info = Struct("!IQIII")
_report_block = Struct("!IIIIII")
feedback_header = Struct("!II")
nack_entry = Struct("!HH")
_fir_entry = Struct("!IBxxx")
word = Struct("!I")


class RtcpError(RelayError, ValueError):
    """A peer's bytes are no compound RTCP packet, or a part of it is not what its type says."""


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says of one stream (RFC 3550, 6.4.1)."""

    ssrc: int
    fraction_lost: int
    """Of 256, since the report before."""
    packets_lost: int
    """Since the beginning; negative when there were duplicates."""
    highest_sequence: int
    """Unwrapped by the receiver: cycles in the upper 16 bits."""
    jitter: int
    """In units of the stream's clock."""
    last_sender_report: int
    """The middle 32 bits of the NTP time in the last `SenderReport` that arrived; 0 when none has."""
    delay: int
    """Since that report arrived, in 1/65536 seconds."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR (RFC 3550, 6.4.1)."""

    ssrc: int
    ntp_time: int
    """64 bits: seconds since 1900 in the upper half, fraction in the lower."""
    rtp_timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...]


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR (RFC 3550, 6.4.2)."""

    ssrc: int
    blocks: tuple[ReportBlock, ...]


@dataclass(frozen=True, slots=True)
class Bye:
    """BYE (RFC 3550, 6.6)."""

    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Nack:
    """Generic NACK (RFC 4585, 6.2.1)."""

    sender_ssrc: int
    media_ssrc: int
    sequences: tuple[int, ...]
    """16 bits each, in the order of the packet."""


@dataclass(frozen=True, slots=True)
class PictureLoss:
    """PLI (RFC 4585, 6.3.1)."""

    sender_ssrc: int
    media_ssrc: int


@dataclass(frozen=True, slots=True)
class FullIntraRequest:
    """FIR (RFC 5104, 4.3.1)."""

    sender_ssrc: int
    media_ssrcs: tuple[int, ...]


RtcpPacket = SenderReport | ReceiverReport | Bye | Nack | PictureLoss | FullIntraRequest


# -- reading ----------------------------------------------------------------------------------------------------------


def parse(compound: Buffer) -> list[RtcpPacket]:
    """The parts of a decrypted compound packet that mean something to the relay; others are left out: SDES, APP, XR,
    congestion control.

    Raises:
        RtcpError: any part is not what its header says.
    """
    packets: list[RtcpPacket] = []
    for packet_type, count, begin, _, body_end in walk(compound):
        parser = _PARSERS.get(packet_type)
        if parser is not None:
            packet = parser(compound, count, begin + 4, body_end)
            if packet is not None:
                packets.append(packet)
    return packets


def walk(compound: Buffer) -> Iterator[tuple[int, int, int, int, int]]:
    """Type, count or format, begin, end, and end without padding, of each part (RFC 3550, 6.4.1 and A.2)."""
    length = len(compound)
    begin = 0
    while begin < length:
        if begin + 4 > length:
            raise RtcpError("a part's header is cut off")
        flags, packet_type, words = part_header.unpack_from(compound, begin)
        if flags >> 6 != 2:
            raise RtcpError("a part's version is not 2")
        end = body_end = begin + 4 + words * 4
        if end > length:
            raise RtcpError("a part is longer than the packet")
        if flags & 0x20:
            padding = compound[end - 1]
            body_end -= padding
            if not padding or body_end < begin + 4:
                raise RtcpError("a part's padding is longer than itself, or empty")
        yield packet_type, flags & 0x1F, begin, end, body_end
        begin = end


def _parse_sender_report(data: Buffer, count: int, begin: int, end: int) -> SenderReport:
    blocks = begin + _sender_info.size
    if blocks > end:
        raise RtcpError("SR is cut off")
    ssrc, ntp_time, rtp_timestamp, packets, octets = _sender_info.unpack_from(data, begin)
    return SenderReport(ssrc, ntp_time, rtp_timestamp, packets, octets, _parse_blocks(data, count, blocks, end))


def _parse_receiver_report(data: Buffer, count: int, begin: int, end: int) -> ReceiverReport:
    if begin + 4 > end:
        raise RtcpError("RR is cut off")
    (ssrc,) = word.unpack_from(data, begin)
    return ReceiverReport(ssrc, _parse_blocks(data, count, begin + 4, end))


def _parse_blocks(data: Buffer, count: int, begin: int, end: int) -> tuple[ReportBlock, ...]:
    # Bytes beyond the blocks are a profile-specific extension (RFC 3550, 6.4.3).
    if begin + count * _report_block.size > end:
        raise RtcpError("a report block is cut off")
    blocks = []
    for position in range(begin, begin + count * _report_block.size, _report_block.size):
        ssrc, loss, highest, jitter, last, delay = _report_block.unpack_from(data, position)
        lost = loss & 0xFFFFFF
        # RFC 3550, 6.4.1: the cumulative loss is a signed 24-bit number.
        blocks.append(
            ReportBlock(ssrc, loss >> 24, lost - (lost >> 23 << 24), highest, jitter, last, delay),
        )
    return tuple(blocks)


def _parse_bye(data: Buffer, count: int, begin: int, end: int) -> Bye:
    return Bye(_parse_ssrcs(data, count, begin, end))


def _parse_ssrcs(data: Buffer, count: int, begin: int, end: int) -> tuple[int, ...]:
    if begin + count * 4 > end:
        raise RtcpError("a list of SSRCs is cut off")
    return tuple(word.unpack_from(data, begin + 4 * index)[0] for index in range(count))


def _parse_transport_feedback(data: Buffer, kind: int, begin: int, end: int) -> Nack | None:
    sender, media = feedback_ssrcs(data, begin, end)
    if kind != NACK:
        return None
    return Nack(sender, media, tuple(nacked(data, begin + 8, end)))


def _parse_payload_feedback(data: Buffer, kind: int, begin: int, end: int) -> PictureLoss | FullIntraRequest | None:
    sender, media = feedback_ssrcs(data, begin, end)
    if kind == PLI:
        return PictureLoss(sender, media)
    if kind == FIR:
        entries = range(begin + 8, end - _fir_entry.size + 1, _fir_entry.size)
        return FullIntraRequest(sender, tuple(_fir_entry.unpack_from(data, entry)[0] for entry in entries))
    return None


def feedback_ssrcs(data: Buffer, begin: int, end: int) -> tuple[int, int]:
    """RFC 4585, 6.1: the SSRCs of the sender of the feedback and of the media it concerns."""
    if begin + feedback_header.size > end:
        raise RtcpError("a feedback message is cut off")
    sender, media = feedback_header.unpack_from(data, begin)
    return sender, media


def nacked(data: Buffer, begin: int, end: int) -> Iterator[int]:
    """RFC 4585, 6.2.1: a sequence number, and a bit for each of the sixteen that follow it."""
    for position in range(begin, end - 3, 4):
        first, following = nack_entry.unpack_from(data, position)
        yield first
        while following:
            lowest = following & -following
            yield (first + lowest.bit_length()) & 0xFFFF
            following ^= lowest


_PARSERS: Mapping[int, Callable[[Buffer, int, int, int], RtcpPacket | None]] = {
    _SENDER_REPORT: _parse_sender_report,
    _RECEIVER_REPORT: _parse_receiver_report,
    BYE: _parse_bye,
    TRANSPORT_FEEDBACK: _parse_transport_feedback,
    PAYLOAD_FEEDBACK: _parse_payload_feedback,
}


# -- writing ----------------------------------------------------------------------------------------------------------


def pli(sender_ssrc: int, media_ssrc: int) -> bytes:
    """A request for a keyframe, by itself (RFC 4585, 6.3.1; reduced-size, RFC 5506)."""
    return make_part(PLI, PAYLOAD_FEEDBACK, feedback_header.pack(sender_ssrc, media_ssrc))


def nack(sender_ssrc: int, media_ssrc: int, sequences: Collection[int]) -> bytes:
    """A request for packets, by itself (RFC 4585, 6.2.1; reduced-size, RFC 5506), in the fewest entries.

    Args:
        sequences: at least one, 16 bits each, in any order.
    """
    base = next(iter(sequences)) - 0x8000
    entries: list[list[int]] = []
    for sequence in sorted(sequences, key=lambda sequence: (sequence - base) & 0xFFFF):
        behind = (sequence - entries[-1][0]) & 0xFFFF if entries else 0xFFFF
        if behind > 16:
            entries.append([sequence, 0])
        elif behind:
            entries[-1][1] |= 1 << (behind - 1)
    body = b"".join(nack_entry.pack(first, following) for first, following in entries)
    return make_part(NACK, TRANSPORT_FEEDBACK, feedback_header.pack(sender_ssrc, media_ssrc) + body)


def make_part(count: int, packet_type: int, body: bytes) -> bytes:
    return part_header.pack(0x80 | count, packet_type, len(body) // 4) + body

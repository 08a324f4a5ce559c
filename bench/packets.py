"""RTP packets encrypted before the clock starts, so that the generator only has to send bytes."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pylibsrtp import Error
from pylibsrtp._binding import ffi as srtp_ffi
from pylibsrtp._binding import lib as srtp

from bench.kernel import Messages, ffi
from bench.legs import Flow
from relay.media.net.mmsg import address_of

RTP_HEADER: Final = struct.Struct("!BBHII")
_CHANNEL_HEADER: Final = struct.Struct("!HH")
TAG_SIZE: Final = 16
"""Bytes that AES-GCM appends (RFC 7714). Packets that are not encrypted are longer by as much, so that all are of one size."""
_MARKER: Final = 0x80


@dataclass(frozen=True, slots=True)
class Packet:
    """What one packet of a flow carries."""

    payload: bytes
    payload_type: int
    ticks: int = 0
    """RTP clock ticks since the flow's previous packet."""
    marker: bool = False


class Batch:
    """Packets of one flow, ready to send in their order."""

    def __init__(self, flow: Flow, packets: Sequence[Packet]) -> None:
        offset = flow.source.rtp_offset
        longest = max((len(packet.payload) for packet in packets), default=0)
        slot = (offset + RTP_HEADER.size + longest + TAG_SIZE + 7) & ~7
        self.count = len(packets)
        self.first_sequence = flow.next_sequence
        self._data = ffi.new("char[]", max(1, self.count * slot))
        lengths = _fill(flow, packets, memoryview(ffi.buffer(self._data)).cast("B"), slot)
        if flow.source.srtp is not None:
            _encrypt(flow.source.srtp, address_of(self._data), slot, lengths)
        self._messages = Messages(self._data, slot, lengths)
        self.headers: Any = self._messages.headers
        self.sent = 0


def _fill(flow: Flow, packets: Sequence[Packet], view: memoryview, slot: int) -> list[int]:
    """Write the packets in clear, and return the length of each datagram (before encryption)."""
    channel, offset = flow.source.channel, flow.source.rtp_offset
    padding = b"" if flow.source.srtp is not None else bytes(TAG_SIZE)
    lengths = []
    sequence, timestamp = flow.next_sequence, flow.next_timestamp
    start = 0
    for packet in packets:
        timestamp += packet.ticks
        body = packet.payload + padding
        size = RTP_HEADER.size + len(body)
        if channel is not None:
            _CHANNEL_HEADER.pack_into(view, start, channel, size)
        RTP_HEADER.pack_into(
            view,
            start + offset,
            0x80,
            packet.payload_type | (_MARKER if packet.marker else 0),
            sequence & 0xFFFF,
            timestamp & 0xFFFFFFFF,
            flow.ssrc,
        )
        head = start + offset + RTP_HEADER.size
        view[head : head + len(body)] = body
        lengths.append(offset + size)
        sequence += 1
        start += slot
    flow.next_sequence, flow.next_timestamp = sequence, timestamp
    return lengths


def _encrypt(session: Any, start: int, slot: int, lengths: list[int]) -> None:
    """Encrypt each packet where it lies, and correct its length."""
    protect = srtp.srtp_protect
    length = srtp_ffi.new("int *")
    for i in range(len(lengths)):
        length[0] = lengths[i]
        status = protect(session, srtp_ffi.cast("char *", start + i * slot), length)
        if status:
            raise Error(f"srtp_protect: status {status}")
        lengths[i] = length[0]

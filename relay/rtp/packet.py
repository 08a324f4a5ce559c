"""RTP packets, seen from outside: where the header's fields are and what they say.

Nothing here raises on a peer's bytes. A packet is a buffer, whose first byte is the packet's first, and a length, since
receive buffers are longer than what arrived.
"""

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct

Buffer = bytes | bytearray | memoryview

FIXED_HEADER_LENGTH = 12
"""Bytes (RFC 3550, 5.1)."""

peek = Struct("!BBHII").unpack_from
"""`peek(buffer, offset=0)` → flags, marker and payload type, sequence number, timestamp, SSRC (RFC 3550, 5.1).

Of any 12 bytes: `is_rtp` says whether they begin an RTP packet.
"""

MARKER = 0x80
"""In the second value of `peek`; the other seven bits are the payload type."""
PAYLOAD_TYPE = 0x7F

_VERSION = 0xC0
_VERSION_2 = 0x80
_PADDING = 0x20
_EXTENSION = 0x10
_CSRC_COUNT = 0x0F

_extension_header = Struct("!HH").unpack_from


class DatagramKind(IntEnum):
    """What shares the relay's UDP port (RFC 7983)."""

    UNKNOWN = 0
    STUN = 1
    DTLS = 2
    TURN_CHANNEL = 3
    RTP = 4
    """RTP or RTCP: `is_rtcp` tells which."""


_KINDS = tuple(
    # RFC 7983, 7.
    DatagramKind.STUN
    if first <= 3
    else DatagramKind.DTLS
    if 20 <= first <= 63
    else DatagramKind.TURN_CHANNEL
    if 64 <= first <= 79
    else DatagramKind.RTP
    if 128 <= first <= 191
    else DatagramKind.UNKNOWN
    for first in range(256)
)


def classify(first_byte: int) -> DatagramKind:
    """The protocol of a datagram, by its first byte (0 to 255)."""
    return _KINDS[first_byte]


def is_rtcp(second_byte: int) -> bool:
    """Whether a datagram of kind `RTP` is RTCP, by its second byte.

    RFC 5761, 4: with rtcp-mux the payload types 64 to 95 are not used, so 192 to 223 can only be RTCP packet types.
    """
    return 192 <= second_byte <= 223


def ssrc_of(buffer: Buffer, offset: int = 0) -> int:
    """The SSRC of the sender of an RTP or RTCP packet of at least 12 bytes.

    RFC 3550, 5.1 and 6.4.1: RTCP has it where RTP has the timestamp.
    """
    ssrc: int
    _, second, _, third, fourth = peek(buffer, offset)
    ssrc = third if is_rtcp(second) else fourth
    return ssrc


def is_rtp(buffer: Buffer, length: int) -> bool:
    """Whether the first `length` bytes are an RTP packet whose header is complete."""
    return header_length(buffer, length) != 0


def header_length(buffer: Buffer, length: int) -> int:
    """Bytes before the payload: fixed header, CSRCs and header extension. 0 when it is no RTP packet."""
    if length < FIXED_HEADER_LENGTH:
        return 0
    first = buffer[0]
    if first & _VERSION != _VERSION_2:
        return 0
    end = FIXED_HEADER_LENGTH + (first & _CSRC_COUNT) * 4
    if first & _EXTENSION:
        if end + 4 > length:
            return 0
        # RFC 3550, 5.3.1: the length counts 32-bit words after the extension's own four bytes.
        end += 4 + ((buffer[end + 2] << 8) | buffer[end + 3]) * 4
    return end if end <= length else 0


def payload_range(buffer: Buffer, length: int) -> tuple[int, int]:
    """Where the payload of a decrypted packet begins and ends, without padding. (0, 0) when it is no RTP packet."""
    begin = header_length(buffer, length)
    if not begin:
        return 0, 0
    if not buffer[0] & _PADDING:
        return begin, length
    # RFC 3550, 5.1: the last byte counts the padding, itself included.
    padding = buffer[length - 1]
    end = length - padding
    return (begin, end) if padding and end >= begin else (0, 0)


def extensions(buffer: Buffer, length: int) -> Iterator[tuple[int, int, int]]:
    """The header extension elements of a packet (RFC 8285), in order: id, where its value begins, where it ends.

    Stops at the first element that does not fit; yields nothing when there are none, or when it is no RTP packet.
    """
    end = header_length(buffer, length)
    if not end or not buffer[0] & _EXTENSION:
        return
    begin = FIXED_HEADER_LENGTH + (buffer[0] & _CSRC_COUNT) * 4
    profile, _ = _extension_header(buffer, begin)
    if profile == 0xBEDE:
        yield from _one_byte_elements(buffer, begin + 4, end)
    elif profile & 0xFFF0 == 0x1000:
        yield from _two_byte_elements(buffer, begin + 4, end)


def _one_byte_elements(buffer: Buffer, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """RFC 8285, 4.2: four bits of id, four bits of length minus one."""
    while position < end:
        head = buffer[position]
        position += 1
        if head == 0:
            continue
        extension_id = head >> 4
        # RFC 8285, 4.2: 15 is reserved and ends the list; so does an id of 0 with a length.
        if extension_id in (0, 15):
            return
        value_end = position + (head & 0x0F) + 1
        if value_end > end:
            return
        yield extension_id, position, value_end
        position = value_end


def _two_byte_elements(buffer: Buffer, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """RFC 8285, 4.3: one byte of id, one byte of length."""
    while position < end:
        extension_id = buffer[position]
        position += 1
        if extension_id == 0:
            continue
        if position == end:
            return
        value = position + 1
        value_end = value + buffer[position]
        if value_end > end:
            return
        yield extension_id, value, value_end
        position = value_end


class SequenceUnwrapper:
    """Makes RTP's 16-bit sequence numbers countable: once, at the boundary, so that nothing behind it wraps.

    Counts from the cycle after the first, so that what was sent before the first packet that arrived is not negative.
    """

    __slots__ = ("highest",)

    highest: int
    """The newest sequence number so far, unwrapped. Before the first packet: the one before it."""

    def __init__(self, first: int) -> None:
        """`first`: the first sequence number to be unwrapped, 16 bits."""
        self.highest = 0xFFFF + first

    def unwrap(self, sequence: int) -> int:
        """The unwrapped number nearest to the newest: up to 32,767 ahead of it, up to 32,768 behind."""
        ahead = (sequence - self.highest) & 0xFFFF
        if ahead < 0x8000:
            self.highest += ahead
            return self.highest
        return self.highest + ahead - 0x10000

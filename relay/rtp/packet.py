"""RTP packets, seen from outside: where the header's fields are and what they say.

Nothing here raises on a peer's bytes. A packet is a buffer, whose first byte is the packet's first, and a length, since
receive buffers are longer than what arrived.
"""

from struct import Struct

Buffer = bytes | bytearray | memoryview

FIXED_HEADER_LENGTH = 12
"""Bytes (RFC 3550, 5.1)."""

peek = Struct("!BBHII").unpack_from
"""`peek(buffer, offset=0)` → flags, marker and payload type, sequence number, timestamp, SSRC (RFC 3550, 5.1).

Of any 12 bytes, whether or not they begin an RTP packet.
"""

PAYLOAD_TYPE = 0x7F
"""In the second value of `peek`; the other bit is the marker."""

_VERSION = 0xC0
_VERSION_2 = 0x80
_PADDING = 0x20
_EXTENSION = 0x10
_CSRC_COUNT = 0x0F


def is_rtcp(second_byte: int) -> bool:
    """Whether a datagram that begins with 128 to 191 (RFC 7983) is RTCP, by its second byte.

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

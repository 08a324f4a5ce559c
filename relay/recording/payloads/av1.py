"""AV1 (RTP Payload Format For AV1, v1.0)."""

from collections.abc import Iterator
from typing import Final

from relay.recording.payloads.frame import Bits, FrameFacts, Parts

_SEQUENCE_HEADER, _TEMPORAL_DELIMITER, _TILE_LIST = 1, 2, 8
_MAX_ELEMENTS: Final = 4096


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """A number and where it ends (AV1 bitstream specification, 4.10.5)."""
    value = 0
    for index in range(8):
        if position >= len(data):
            raise ValueError("a length of AV1 is cut off")
        octet = data[position]
        position += 1
        value |= (octet & 0x7F) << (7 * index)
        if not octet & 0x80:
            return value, position
    raise ValueError("a length of AV1 has more than 8 bytes")


def _as_leb128(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _elements(payload: bytes) -> Iterator[bytes]:
    """The OBU elements of a packet (4.3); with W, the last one has no length."""
    count = (payload[0] >> 4) & 3
    position, index = 1, 0
    while position < len(payload):
        index += 1
        if index > _MAX_ELEMENTS:
            raise ValueError("an AV1 packet has too many elements")
        if count and index == count:
            yield payload[position:]
            return
        size, position = _leb128(payload, position)
        if position + size > len(payload):
            raise ValueError("an AV1 element is cut off")
        if size:
            yield payload[position : position + size]
        position += size
    if count and index < count:
        raise ValueError("an AV1 packet has fewer elements than it says")


def sequence_size(obu: bytes) -> tuple[int, int]:
    """The largest width and height in a sequence header's body (AV1 bitstream specification, 5.5.1).

    Raises:
        ValueError: it is cut off.
    """
    bits = Bits(obu[:256])
    bits.read(4)  # seq_profile, still_picture
    if bits.read(1):  # reduced_still_picture_header
        bits.read(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _skip_operating_points(bits: Bits) -> None:
    model, delay_length = False, 0
    if bits.read(1):  # timing_info_present_flag
        bits.read(64)
        if bits.read(1):
            bits.exp_golomb()
        model = bool(bits.read(1))
        if model:
            delay_length = bits.read(5) + 1
            bits.read(42)
    display = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if model and bits.read(1):
            bits.read(2 * delay_length + 1)
        if display and bits.read(1):
            bits.read(4)


def key_size(payload: bytes) -> tuple[int, int] | None:
    """Width and height, if a coded video sequence begins with this packet (N is set)."""
    if len(payload) < 2 or payload[0] & 0x88 != 0x08:
        return None
    try:
        for element in _elements(payload):
            if (element[0] >> 3) & 15 == _SEQUENCE_HEADER:
                return sequence_size(_body(element))
    except ValueError:
        return None
    return 0, 0


def _body(obu: bytes) -> bytes:
    """What follows an OBU's header, and its size if it has one."""
    begin = 2 if obu[0] & 0x04 else 1
    if not obu[0] & 0x02:
        return obu[begin:]
    size, begin = _leb128(obu, begin)
    if begin + size > len(obu):
        raise ValueError("an AV1 OBU is cut off")
    return obu[begin : begin + size]


class Av1Frames:
    """A temporal unit, without its delimiter: all OBUs with their sizes, as Matroska has them."""

    __slots__ = ("_key", "_open", "_parts", "_piece", "_size")

    def __init__(self) -> None:
        self._parts = Parts()
        self._piece = Parts()
        """Of an OBU that goes on in the next packet."""
        self._open = False
        self._key = False
        self._size: tuple[int, int] | None = None

    @property
    def held(self) -> int:
        return self._parts.size + self._piece.size

    def begins(self, payload: bytes) -> bool:
        if len(payload) < 2:
            raise ValueError("an AV1 payload is cut off")
        return not payload[0] & 0x80

    def add(self, payload: bytes) -> None:
        if len(payload) < 2:
            raise ValueError("an AV1 payload is cut off")
        first = payload[0]
        if bool(first & 0x80) != self._open:
            raise ValueError("a part of an AV1 OBU is missing")
        if first & 0x08:
            self._key = True
        elements = list(_elements(payload))
        if not elements:
            raise ValueError("an AV1 packet is empty")
        for index, element in enumerate(elements):
            self._piece.append(element)
            if index < len(elements) - 1 or not first & 0x40:
                self._finish(self._piece.take())
        self._open = bool(first & 0x40)
        if self._parts.size + self._piece.size > 1 << 23:
            raise ValueError("an AV1 frame is too long")

    def _finish(self, obu: bytes) -> None:
        kind = (obu[0] >> 3) & 15
        if kind in (_TEMPORAL_DELIMITER, _TILE_LIST):
            return
        body = _body(obu)
        if kind == _SEQUENCE_HEADER:
            self._size = sequence_size(body)
        head = bytes([obu[0] | 0x02]) + (obu[1:2] if obu[0] & 0x04 else b"")
        self._parts.append(head + _as_leb128(len(body)) + body)

    def facts(self) -> FrameFacts:
        return FrameFacts(self._key and self._size is not None, self._size)

    def take(self) -> bytes:
        whole = not self._open
        self._open, self._key, self._size = False, False, None
        self._piece.clear()
        if not whole or not self._parts:
            self._parts.clear()
            raise ValueError("a part of an AV1 frame is missing")
        return self._parts.take()

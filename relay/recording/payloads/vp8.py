"""VP8 (RFC 7741)."""

from typing import Final

from relay.recording.payloads.frame import FrameFacts, Parts, picture_id

_START_CODE: Final = b"\x9d\x01\x2a"


def _descriptor(payload: bytes) -> tuple[int, int, bool, int | None, tuple[int, int] | None]:
    """Of a payload descriptor (RFC 7741, 4.2): its length, the temporal layer, whether it is a switching point of the layer,
    TL0PICIDX, and the PictureID with its greatest value."""
    if not payload:
        raise ValueError("a VP8 payload is empty")
    length, layer, sync = 1, 0, False
    base: int | None = None
    picture: tuple[int, int] | None = None
    if payload[0] & 0x80:
        if len(payload) < 2:
            raise ValueError("a VP8 descriptor is cut off")
        present = payload[1]
        length = 2
        if present & 0x80:
            if len(payload) < 3:
                raise ValueError("a VP8 descriptor is cut off")
            picture = picture_id(payload, 2)
            length += 2 if payload[2] & 0x80 else 1
        if present & 0x40:
            if len(payload) <= length:
                raise ValueError("a VP8 descriptor is cut off")
            base = payload[length]
            length += 1
        if present & 0x30:
            if len(payload) <= length:
                raise ValueError("a VP8 descriptor is cut off")
            if present & 0x20:
                layer, sync = payload[length] >> 6, bool(payload[length] & 0x20)
            length += 1
    if len(payload) <= length:
        raise ValueError("a VP8 payload has no more than its descriptor")
    return length, layer, sync, base, picture


def key_size(payload: bytes) -> tuple[int, int] | None:
    """Width and height, if a key frame begins with this packet (RFC 6386, 9.1)."""
    if not payload or payload[0] & 0x17 != 0x10:
        return None
    try:
        begin = _descriptor(payload)[0]
        return None if payload[begin] & 1 else _size(payload, begin)
    except ValueError:
        return None


def _size(data: bytes, begin: int) -> tuple[int, int]:
    if data[begin + 3 : begin + 6] != _START_CODE or len(data) < begin + 10:
        raise ValueError("a VP8 key frame has no start code")
    width, height = int.from_bytes(data[begin + 6 : begin + 8], "little"), int.from_bytes(data[begin + 8 : begin + 10], "little")
    # The two upper bits are a scale, which decoders leave to the application.
    return width & 0x3FFF, height & 0x3FFF


class Vp8Frames:
    __slots__ = ("_facts", "_parts")

    def __init__(self) -> None:
        self._parts = Parts()
        self._facts = FrameFacts()

    @property
    def held(self) -> int:
        return self._parts.size

    def begins(self, payload: bytes) -> bool:
        _descriptor(payload)
        return payload[0] & 0x17 == 0x10

    def add(self, payload: bytes) -> None:
        if self._parts and payload[:2] == b"\x80\x80" and len(payload) > 4 and payload[2] & 0x80:
            self._parts.append(payload[4:])  # later packets of Chromium's frames
            return
        begin, layer, sync, base, picture = _descriptor(payload)
        if not self._parts:
            key = payload[0] & 0x17 == 0x10 and not payload[begin] & 1
            size = _size(payload, begin) if key else None
            self._facts = FrameFacts(key, size, layer, sync or key, base, bool(payload[0] & 0x20), picture)
        self._parts.append(payload[begin:])

    def facts(self) -> FrameFacts:
        return self._facts

    def take(self) -> bytes:
        if not self._parts:
            raise ValueError("a VP8 frame is empty")
        return self._parts.take()

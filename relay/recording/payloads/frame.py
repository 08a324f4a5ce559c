"""What all formats of video have in common."""

from typing import Final, NamedTuple, Protocol

MAX_FRAME: Final = 8 << 20
"""Bytes of a frame. An intra frame of 4K video has 1 or 2 MB."""

MAX_PARTS: Final = 32_768
"""Parts of a frame: packets, or units. Small ones take more memory than they have bytes."""


class FrameFacts(NamedTuple):
    """What a frame says of itself."""

    key: bool = False
    """It can be decoded without any other one."""
    size: tuple[int, int] | None = None
    """Width and height in pixels, if it says so."""
    layer: int = 0
    """Temporal layer: no frame of a lower one refers to it."""
    sync: bool = False
    """It refers to frames of the base layer only."""
    base: int | None = None
    """Number of its frame of the base layer (TL0PICIDX), 8 bits."""
    discardable: bool = False
    """No frame refers to it."""
    picture: tuple[int, int] | None = None
    """Its number (PictureID), and the greatest that there is, after which 0 follows."""

    def follows(self, before: tuple[int, int] | None) -> bool:
        """Whether its number is the one after that: no frame is missing between, whatever packets are."""
        return self.picture is not None and before is not None and self.picture[0] == (before[0] + 1) & self.picture[1]


def picture_id(payload: bytes, at: int) -> tuple[int, int]:
    """The PictureID of VP8 and VP9 at that byte, and the greatest that there is: it has 7 bits, or 15 by its first one.

    Raises:
        ValueError: it is cut off.
    """
    if at + (2 if payload[at] & 0x80 else 1) > len(payload):
        raise ValueError("a PictureID is cut off")
    return ((payload[at] & 0x7F) << 8 | payload[at + 1], 0x7FFF) if payload[at] & 0x80 else (payload[at], 0x7F)


class Depacketizer(Protocol):
    """Puts the frames of one stream together."""

    @property
    def held(self) -> int:
        """Bytes of the frame so far."""
        ...

    def begins(self, payload: bytes) -> bool:
        """Whether a frame may begin with this packet.

        Raises:
            ValueError: it is no packet of this format.
        """
        ...

    def add(self, payload: bytes) -> None:
        """Take the next packet of the frame.

        Raises:
            ValueError: it is no packet of this format, or the frame is longer than `MAX_FRAME`, or has more than `MAX_PARTS`.
        """
        ...

    def facts(self) -> FrameFacts:
        """Of the frame so far."""
        ...

    def take(self) -> bytes:
        """The frame as a container has it; begins the next one.

        Raises:
            ValueError: there is nothing in it, or a part of it is missing.
        """
        ...


class Parts:
    """The bytes of a frame, bounded."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def size(self) -> int:
        return self._size

    def append(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > MAX_FRAME:
            raise ValueError(f"a frame has more than {MAX_FRAME} bytes")
        if len(self._parts) >= MAX_PARTS:
            raise ValueError(f"a frame has more than {MAX_PARTS} parts")
        self._parts.append(part)

    def take(self) -> bytes:
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self.clear()
        return data

    def clear(self) -> None:
        self._parts.clear()
        self._size = 0


class Bits:
    """Reads a bit string, the most significant bit first."""

    __slots__ = ("_data", "_end", "position")

    def __init__(self, data: bytes) -> None:
        self._data = int.from_bytes(data)
        self._end = len(data) * 8
        self.position = 0

    def read(self, count: int) -> int:
        """The next bits as a number.

        Raises:
            ValueError: there are not so many.
        """
        self.position += count
        if self.position > self._end:
            raise ValueError("a header is cut off")
        return (self._data >> (self._end - self.position)) & ((1 << count) - 1)

    def exp_golomb(self) -> int:
        """An unsigned Exp-Golomb code (H.264 section 9.1)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 31:
                raise ValueError("a number has more than 32 bits")
        return (1 << zeros) - 1 + (self.read(zeros) if zeros else 0)

"""RFC 4571: datagrams on a stream, each behind its length (two bytes, big-endian)."""

from collections.abc import Iterator
from typing import Final

LENGTH_BYTES: Final = 2

MAX_FRAME: Final = 1900
"""Bytes of one datagram: more than an Ethernet MTU, and what the media plane can take. Browsers stay below 1,300."""


class FrameTooLong(ValueError):
    """The other end announces a frame that it must not wait for."""


def frame(datagram: bytes) -> bytes:
    """A datagram as it goes on a stream."""
    return len(datagram).to_bytes(LENGTH_BYTES) + datagram


class Frames:
    """Cuts a stream of bytes into datagrams. It keeps less than one frame."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what came; the datagrams that are complete now, empty ones among them.

        Raises:
            FrameTooLong: the next frame is longer than `MAX_FRAME`. The stream cannot be used any further.
        """
        buffer = self._buffer + data if self._buffer else data
        start, end = 0, len(buffer)
        try:
            while end - start >= LENGTH_BYTES:
                length = buffer[start] << 8 | buffer[start + 1]
                if length > MAX_FRAME:
                    raise FrameTooLong(f"a frame of {length} bytes")
                if end - start - LENGTH_BYTES < length:
                    return
                begin, start = start + LENGTH_BYTES, start + LENGTH_BYTES + length
                yield buffer[begin:start]
        finally:
            self._buffer = buffer[start:]

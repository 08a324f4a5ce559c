"""What a device was sent and may have missed: numbered, and kept until it is known to have arrived."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from relay.signaling.messages.outgoing import ToClient, encode, numbered

MAX_FRAMES: Final = 512
MAX_BYTES: Final = 512 * 1024
"""What is kept for one device. A description has about 12 KiB, so this is some forty of them: more than a grace period brings."""


class Outbox:
    """The frames of one device, in order. The first has number 1.

    Args:
        keeps: whether the device can come back for them at all.
        seq: the number of the latest frame.
        frames: those up to there, oldest first, as far as they are kept.
    """

    __slots__ = ("_bytes", "_frames", "_keeps", "seq")

    def __init__(self, *, keeps: bool, seq: int = 0, frames: Iterable[bytes] = ()) -> None:
        self.seq = seq
        """The number of the latest frame."""
        self._keeps = keeps
        self._frames: deque[bytes] = deque(frames)
        self._bytes = sum(map(len, self._frames))

    def add(self, message: ToClient) -> bytes:
        """Number a message.

        Returns:
            Its frame.
        """
        return self.add_frame(encode(message))

    def add_frame(self, frame: bytes) -> bytes:
        """Number a frame that has no number yet.

        Returns:
            The frame with its number.
        """
        self.seq += 1
        frame = numbered(frame, self.seq)
        if self._keeps:
            self._frames.append(frame)
            self._bytes += len(frame)
            while len(self._frames) > MAX_FRAMES or self._bytes > MAX_BYTES:
                self._forget_oldest()
        return frame

    def arrived(self, last_seq: int) -> None:
        """The device has everything up to that number."""
        while self._frames and self.seq - len(self._frames) < last_seq:
            self._forget_oldest()

    def after(self, last_seq: int) -> list[bytes] | None:
        """The frames that came after that number, oldest first; None if some of them are no longer here, or never were."""
        missing = self.seq - last_seq
        if not 0 <= missing <= len(self._frames):
            return None
        return list(self._frames)[len(self._frames) - missing :]

    def keep_nothing(self) -> None:
        """The device cannot come back for what it misses."""
        self._keeps = False
        self._frames.clear()
        self._bytes = 0

    def _forget_oldest(self) -> None:
        self._bytes -= len(self._frames.popleft())

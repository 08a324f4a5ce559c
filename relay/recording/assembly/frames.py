"""Frames of video from packets in order, and which of them can be decoded."""

from collections.abc import Mapping
from typing import NamedTuple

from relay.recording.assembly.streams import Arrived
from relay.recording.payloads.formats import depacketizer
from relay.recording.payloads.frame import FrameFacts


class CodedFrame(NamedTuple):
    """All that a stream has of one timestamp."""

    timestamp: int
    """Unwrapped."""
    data: bytes | None
    """None: a part of it is missing."""
    facts: FrameFacts
    hole: bool
    """Packets are missing between the frame before and this one, or before what is there of it."""


_NONE: list[CodedFrame] = []
"""Not to be changed."""


class FrameAssembler:
    """Puts the frames of one stream and codec together. Complete: it begins, it ends, and nothing is missing between."""

    __slots__ = ("_begun", "_codec", "_depacketizer", "_hole", "_last", "_open", "_torn", "malformed")

    def __init__(self, codec: str, parameters: Mapping[str, str]) -> None:
        self._codec = codec
        self._depacketizer = depacketizer(codec, parameters)
        self._last: int | None = None
        self._open: int | None = None
        """The timestamp of the frame that has begun."""
        self._begun = True
        """Its first packet is here."""
        self._torn = False
        """A packet of it is missing, or makes no sense."""
        self._hole = False
        """Packets are missing since the frame before."""
        self.malformed = 0

    @property
    def held(self) -> int:
        """Bytes of the frame that has begun."""
        return self._depacketizer.held

    def push(self, packet: Arrived) -> list[CodedFrame]:
        """The frames that this packet ends: that before it, its own."""
        sequence = packet.sequence
        together = self._last is None or sequence == self._last + 1
        self._last = sequence
        if together and packet.timestamp == self._open and packet.codec:
            if not self._torn:
                try:
                    self._depacketizer.add(packet.payload)
                except ValueError:
                    self.malformed += 1
                    self._torn = True
            return [self._finish()] if packet.marker else _NONE
        frames: list[CodedFrame] = []
        if not together:
            if self._open is not None and packet.timestamp == self._open:
                self._torn = True
            elif self._open is not None:
                self._torn = True
                frames.append(self._finish())
                self._hole = True
            else:
                self._hole = True
        if not packet.codec:
            return frames
        if self._open is not None and packet.timestamp != self._open:
            # Nothing is missing, so the frame has ended, even where its last packet had no marker.
            frames.append(self._finish())
        self._add(packet)
        if packet.marker and self._open is not None:
            frames.append(self._finish())
        return frames

    def _add(self, packet: Arrived) -> None:
        try:
            if self._open is None:
                self._open = packet.timestamp
                self._torn = False
                self._begun = not self._hole or self._depacketizer.begins(packet.payload)
            if not self._torn:
                self._depacketizer.add(packet.payload)
        except ValueError:
            self.malformed += 1
            self._torn = True

    def _finish(self) -> CodedFrame:
        assert self._open is not None
        facts, hole = self._depacketizer.facts(), self._hole
        data: bytes | None = None
        try:
            data = self._depacketizer.take()
        except ValueError:
            self._torn = True
        frame = CodedFrame(self._open, None if self._torn or not self._begun else data, facts, hole)
        self._open, self._hole, self._torn = None, False, False
        if self._codec in ("av1", "h264", "vp9") and frame.data is None:
            # What a torn frame left behind must not come into the next one.
            self._depacketizer = type(self._depacketizer)() if self._codec != "h264" else self._depacketizer
        return frame

    def flush(self) -> list[CodedFrame]:
        """What has begun: no packet will end it."""
        if self._open is None:
            return []
        self._torn = True
        return [self._finish()]

    def drop(self) -> list[CodedFrame]:
        """Leave out the frame that has begun, with what is still to come of it."""
        frames = self.flush()
        self._hole = True
        return frames

    def gap(self) -> None:
        """The sender has restarted: nothing that follows belongs to what is here."""
        self._hole = True


class Decodability:
    """Follows what frames refer to: after a hole, all up to the next key frame that depend on it cannot be decoded.

    With temporal layers (RFC 7741 and RFC 9628: TID, Y or U, TL0PICIDX), a hole in an upper layer takes nothing of those below.

    Attributes:
        lost: what the last frame that cannot be decoded refers to was lost. Else it was not captured: the recording, or a part of
            it after a hold, began between two key frames.
    """

    __slots__ = ("_base", "_blocked", "_picture", "_waiting", "lost")

    def __init__(self) -> None:
        self.lost = False
        self._waiting = True
        """For a key frame."""
        self._blocked: int | None = None
        """The lowest temporal layer that cannot be decoded."""
        self._base: int | None = None
        self._picture: tuple[int, int] | None = None
        """Of the frame before."""

    def resume(self) -> None:
        """Frames before the next one were not captured."""
        self.lost = False

    def decodable(self, frame: CodedFrame) -> bool:
        decodable = self._decodable(frame)
        if decodable or frame.facts.key:
            # Whatever is missing from now on was sent to the recording.
            self.lost = True
        return decodable

    def _decodable(self, frame: CodedFrame) -> bool:
        facts = frame.facts
        # What is missing may be padding, or forward error correction, which is not sent again.
        if frame.hole and not facts.follows(self._picture):
            self._lose_between(facts)
        self._picture = facts.picture
        if facts.base is not None and facts.layer == 0:
            self._base = facts.base
        if frame.data is None:
            self._lose(facts)
            return False
        if facts.key:
            self._waiting, self._blocked = False, None
            return True
        if self._waiting:
            return False
        if self._blocked is not None and facts.layer >= self._blocked:
            if not facts.sync:
                return False
            self._blocked = facts.layer + 1
        return True

    def _lose_between(self, facts: FrameFacts) -> None:
        """Frames that left nothing behind. The number of the base layer's frame says whether one of those was among them."""
        if facts.base is None or self._base is None:
            self._waiting = True
            return
        expected = (self._base + 1) & 0xFF if facts.layer == 0 else self._base
        if facts.base == expected:
            self._blocked = 1
        else:
            self._waiting = True

    def _lose(self, facts: FrameFacts) -> None:
        if facts.discardable:
            return
        if facts.layer:
            self._blocked = min(facts.layer, self._blocked or facts.layer)
        else:
            self._waiting = True

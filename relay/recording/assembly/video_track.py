"""A track of video: frames of one stream or of several, each written once."""

import math
from dataclasses import dataclass, field

from relay.recording.assembly.budget import NoteBudget
from relay.recording.assembly.mux import MILLISECOND, Muxer
from relay.recording.assembly.selection import LayerSelector, TimedFrame
from relay.recording.assembly.survey import TrackFacts


@dataclass(slots=True)
class VideoFacts:
    """What was written of a track of video."""

    frames: int = 0
    keyframes: int = 0
    broken: int = 0
    """Frames of which a part was missing."""
    dependent: int = 0
    """Complete frames that refer to one that is missing."""
    before_keyframe: int = 0
    """Frames that cannot be decoded, but lack no packet: the capture began, or went on after a pause, before a key frame."""
    start: float = 0.0
    end: float = 0.0
    sizes: list[tuple[float, int, int]] = field(default_factory=list)
    """When the frames had another size, and which."""
    layers: list[tuple[float, int]] = field(default_factory=list)


class VideoTrack:
    """Writes the frames of one track of video."""

    def __init__(self, track: TrackFacts, muxer: Muxer, budget: NoteBudget, *, keep_broken: bool) -> None:
        self._budget = budget
        self.key = track.key
        self._muxer = muxer
        self._keep_broken = keep_broken
        self._last = -MILLISECOND
        self.facts = VideoFacts()
        self._selector: LayerSelector | None = None
        if len(track.streams) > 1:
            self._selector = LayerSelector([one.largest for one in track.streams], budget)
            self.facts.layers = self._selector.switches

    def frame(self, layer: int, timed: TimedFrame) -> None:
        if self._selector is None:
            self._write(timed)
        else:
            self._selector.add(layer, timed)

    def tick(self, now: float) -> None:
        if self._selector is not None:
            for timed in self._selector.ready(now):
                self._write(timed)

    @property
    def bytes_held(self) -> int:
        """Of frames that wait."""
        return 0 if self._selector is None else self._selector.held

    def relieve(self) -> None:
        """Write what waits."""
        self.tick(math.inf)

    def _write(self, timed: TimedFrame) -> None:
        facts, frame = self.facts, timed.frame
        if not timed.decodable:
            if not timed.lost:
                facts.before_keyframe += 1
            elif frame.data is None:
                facts.broken += 1
            else:
                facts.dependent += 1
        if frame.data is None:
            return
        # A decoder cannot begin with such a frame, whatever one wants to see.
        if not timed.decodable and (not self._keep_broken or not facts.frames):
            return
        pts = max(round(timed.time * 90000), self._last + MILLISECOND)
        self._last = pts
        self._muxer.write(self.key, pts, frame.data, 0, is_keyframe=frame.facts.key)
        seconds = pts / 90000
        if not facts.frames:
            facts.start = seconds
        facts.end = seconds
        facts.frames += 1
        if frame.facts.key:
            facts.keyframes += 1
            size = frame.facts.size
            if size and (not facts.sizes or facts.sizes[-1][1:] != size) and self._budget.take("changes"):
                facts.sizes.append((seconds, *size))

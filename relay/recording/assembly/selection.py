"""One track of several streams: the layers of simulcast, or the same media under a new SSRC."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from relay.recording.assembly.budget import PER_ITEM, NoteBudget
from relay.recording.assembly.frames import CodedFrame

DELAY: Final = 4.0
"""Seconds after which a second is complete: as long as a packet may be late, and some."""

PAUSE: Final = 0.5
"""Seconds without a frame after which a layer has stopped, if another one goes on."""


class TimedFrame(NamedTuple):
    """A frame that can be decoded, or is missing."""

    time: float
    """Seconds, of the recording."""
    frame: CodedFrame
    decodable: bool
    lost: bool = True
    """If it is not decodable: what it takes was lost, and not just not captured."""


@dataclass(slots=True)
class _Second:
    layers: dict[int, list[TimedFrame]] = field(default_factory=dict)


class LayerSelector:
    """Takes the highest layer that is complete in each second, and changes to another one at its key frames only."""

    def __init__(self, ranks: list[int], budget: NoteBudget) -> None:
        """Args: ranks: of each layer; the highest is the best."""
        self._budget = budget
        self._order = sorted(range(len(ranks)), key=lambda layer: (-ranks[layer], -layer))
        self._seconds: dict[int, _Second] = {}
        self.held = 0
        """Bytes of frames that wait for the others of their second."""
        self._current: int | None = None
        self._done = -1_000_000
        self.switches: list[tuple[float, int]] = []
        """When another layer was taken, and which."""

    def add(self, layer: int, frame: TimedFrame) -> None:
        second = max(int(frame.time), self._done + 1)
        self._seconds.setdefault(second, _Second()).layers.setdefault(layer, []).append(frame)
        self.held += _size(frame)

    def ready(self, now: float) -> list[TimedFrame]:
        """The frames of the seconds that are complete by now, in order. `inf`: all."""
        out: list[TimedFrame] = []
        while self._seconds:
            second = min(self._seconds)
            if second + 1 + DELAY > now:
                break
            out += self._choose(self._seconds.pop(second), self._seconds.get(second + 1, _Second()))
            self._done = second
        return out

    def _choose(self, second: _Second, following: _Second) -> list[TimedFrame]:
        layers = second.layers
        self.held -= sum(_size(one) for frames in layers.values() for one in frames)
        current = self._current
        for layer in self._order:
            frames = layers.get(layer)
            # The layer below sends the key frame with which it can be taken when this one stops, and not again.
            if not frames or _stops(layer, second, following):
                continue
            if layer == current and all(one.decodable for one in frames):
                break
            if layer == current or current is None:
                start = next((one for one in frames if one.decodable), None) if current is None else None
            else:
                start = _whole_from_key(frames)
            if start is None:
                continue
            self._current = layer
            if self._budget.take("changes"):
                self.switches.append((start.time, layer))
            before = [one for one in layers.get(current, ()) if one.time < start.time] if current is not None else []
            return before + [one for one in frames if one.time >= start.time]
        return list(layers.get(current, ())) if current is not None else []


def _size(frame: TimedFrame) -> int:
    return len(frame.frame.data or b"") + 2 * PER_ITEM


def _stops(layer: int, second: _Second, following: _Second) -> bool:
    """Whether a layer has no frame for a while after those of this second, and another one has."""
    until = second.layers[layer][-1].time + PAUSE
    if any(one.time <= until for one in following.layers.get(layer, ())[:1]):
        return False
    return any(one.time > until for both in (second, following) for frames in both.layers.values() for one in frames[-1:])


def _whole_from_key(frames: list[TimedFrame]) -> TimedFrame | None:
    """The first key frame after which nothing is missing."""
    start = None
    for one in frames:
        if not one.decodable:
            start = None
        elif one.frame.facts.key and start is None:
            start = one
    return start

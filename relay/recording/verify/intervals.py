"""Questions about times: where a sequence stands still, and what of an interval others leave."""

from collections import deque
from collections.abc import Iterable, Sequence

from relay.recording.verify.figures import Interval

FREEZE_FACTOR = 3
FREEZE_ADDITION = 0.150
"""Seconds. W3C webrtc-stats, `freezeCount`: an interval longer than max(3 x mean, mean + 150 ms) is a freeze."""
FREEZE_FRAMES = 30
"""The mean is that of the last 30 intervals."""
GAP = 0.200
"""Seconds between two frames that are listed, whatever the frame rate is."""


def freezes(times: Iterable[float]) -> list[Interval]:
    """Where the frames of a video stop for longer than its rate explains.

    Args:
        times: of its frames, rising.
    """
    found: list[Interval] = []
    recent: deque[float] = deque(maxlen=FREEZE_FRAMES)
    total = 0.0
    before: float | None = None
    for time in times:
        if before is not None:
            interval = time - before
            mean = total / len(recent) if recent else interval
            if interval > max(FREEZE_FACTOR * mean, mean + FREEZE_ADDITION):
                # Not part of the mean: after a freeze the next one counts as much.
                found.append((before, interval))
            else:
                if len(recent) == FREEZE_FRAMES:
                    total -= recent[0]
                recent.append(interval)
                total += interval
        before = time
    return found


def gaps(times: Iterable[float], longest: float = GAP) -> list[Interval]:
    """Intervals between neighbours that are longer than `longest` seconds."""
    found = []
    before: float | None = None
    for time in times:
        if before is not None and time - before > longest:
            found.append((before, time - before))
        before = time
    return found


def without(intervals: Sequence[Interval], excluded: Sequence[Interval], shortest: float = 0.0) -> list[Interval]:
    """What is left of intervals outside of others, where that is at least `shortest` seconds."""
    left: list[Interval] = list(intervals)
    for start, duration in excluded:
        end = start + duration
        rest: list[Interval] = []
        for begin, length in left:
            stop = begin + length
            if stop <= start or begin >= end:
                rest.append((begin, length))
                continue
            rest += [(begin, start - begin)] if begin < start else []
            rest += [(end, stop - end)] if stop > end else []
        left = rest
    return [(begin, length) for begin, length in left if length >= shortest and length > 0]


def touching(intervals: Sequence[Interval], others: Sequence[Interval]) -> list[Interval]:
    """The intervals that share any time with one of the others."""
    return [
        (begin, length)
        for begin, length in intervals
        if any(start < begin + length and start + duration > begin for start, duration in others)
    ]


def longest(intervals: Sequence[Interval]) -> float:
    """The longest duration; 0 without any."""
    return max((duration for _, duration in intervals), default=0.0)


def runs(flags: Sequence[bool], step: float, start: float, shortest: float) -> list[Interval]:
    """Where flags, one each `step` seconds from `start`, are set for at least `shortest` seconds."""
    found: list[Interval] = []
    begin: int | None = None
    for index, flag in enumerate([*flags, False]):
        if flag and begin is None:
            begin = index
        elif not flag and begin is not None:
            if (index - begin) * step >= shortest - step / 1000:
                found.append((start + begin * step, (index - begin) * step))
            begin = None
    return found

"""Flash and beep: when each second of the source is seen, when it is heard, and with which tone."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relay.recording.verify import counter
from relay.recording.verify.audio import RATE
from relay.recording.verify.figures import OffsetFigures, Sample

_MILLISECOND = RATE // 1000
_QUIET_BEFORE = 50
"""Milliseconds without sound before a beep."""
_SHORTEST_BEEP = 30
"""Milliseconds; what is shorter is a click."""
_TONE = slice(5, 65)
"""Milliseconds of a beep by which its frequency is measured."""
NEAR = 0.5
"""Seconds between the flash and the beep of one second, at most: further away is another second's."""
NEAR_BY_TONE = 2.0
"""The same where the tone says whose it is."""
TOLERANCE = 60.0
"""Hz: half of what is between two tones, less what a codec moves them."""
_SHORTEST_SLOPE = 60.0


@dataclass(frozen=True, slots=True)
class Beep:
    time: float
    frequency: float
    """Hz."""


@dataclass(frozen=True, slots=True)
class Flash:
    second: int
    """Of the source."""
    time: float
    """In the recording."""


def flashes(numbered: list[list[counter.Numbered]], rate: float | None) -> list[Flash]:
    """When each whole second of the source was due: by the counter, not by brightness, as an encoder may drop just that frame.

    Args:
        rate: frames per second of the source.
    """
    if not rate:
        return []
    found = []
    for frames in numbered:
        first, last = frames[0].number, frames[-1].number
        for second in range(int(np.ceil(first / rate)), int(last / rate) + 1):
            time = counter.time_of(round(second * rate), frames)
            if time is not None:
                found.append(Flash(second, time))
    return found


def beeps(samples: npt.NDArray[np.int16], start: float) -> list[Beep]:
    """The tones that begin after silence.

    Args:
        samples: at 16 kHz.
        start: seconds, of the first.
    """
    count = len(samples) // _MILLISECOND
    envelope = np.abs(samples[: count * _MILLISECOND].reshape(count, _MILLISECOND).astype(np.int32)).max(axis=1)
    # A beep lasts a tenth of its second, so that the loudest hundredth is within one.
    threshold = max(200.0, float(np.percentile(envelope, 99)) * 0.25) if count else 0.0
    loud = np.flatnonzero(envelope >= threshold)
    if not len(loud):
        return []
    begins = loud[np.concatenate([[True], np.diff(loud) > _QUIET_BEFORE])]
    ends = np.append(loud[np.flatnonzero(np.diff(loud) > _QUIET_BEFORE)], loud[-1])
    return [
        Beep(start + int(begin) / 1000, _frequency(samples[int(begin) * _MILLISECOND :]))
        for begin, end in zip(begins, ends, strict=True)
        if end - begin >= _SHORTEST_BEEP
    ]


def _frequency(samples: npt.NDArray[np.int16]) -> float:
    part = samples[_TONE.start * _MILLISECOND : _TONE.stop * _MILLISECOND].astype(np.float32)
    if len(part) < 2 * _MILLISECOND:
        return 0.0
    size = RATE  # 1 Hz per bin
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), size))
    return float(spectrum.argmax())


def pairs(seen: list[Flash], heard: list[Beep], tones: Mapping[int, float]) -> list[tuple[Flash, Beep | None]]:
    """Each flash with its beep: the nearest one of its tone, else the nearest one.

    Args:
        tones: Hz that each second of the source has, where that is known.
    """
    times = [one.time for one in heard]
    found: list[tuple[Flash, Beep | None]] = []
    for flash in seen:
        tone = tones.get(flash.second)
        near = heard[bisect_left(times, flash.time - NEAR_BY_TONE) : bisect_right(times, flash.time + NEAR_BY_TONE)]
        fitting = [one for one in near if tone is not None and abs(one.frequency - tone) <= TOLERANCE]
        best = _nearest(fitting, flash.time, NEAR_BY_TONE) or _nearest(near, flash.time, NEAR)
        found.append((flash, best))
    return found


def _nearest(heard: list[Beep], time: float, most: float) -> Beep | None:
    nearest = min(heard, key=lambda one: abs(one.time - time), default=None)
    return nearest if nearest is not None and abs(nearest.time - time) <= most else None


def offsets(found: list[tuple[Flash, Beep | None]]) -> list[Sample]:
    """Time, and by how much the audio is later than the video, of each second that has both."""
    return [(flash.time, beep.time - flash.time) for flash, beep in found if beep is not None]


def summary(seconds: list[Sample], source: float, by_flash: bool) -> OffsetFigures | None:
    """The figures of offsets over time; None without any.

    Args:
        source: offset that the source itself has.
    """
    if not seconds:
        return None
    values = np.array([value - source for _, value in seconds])
    times = np.array([time for time, _ in seconds])
    long = len(values) >= 10 and times[-1] - times[0] >= _SHORTEST_SLOPE
    return OffsetFigures(
        by="flash and beep" if by_flash else "reference",
        median=float(np.median(values)),
        p95=float(np.percentile(np.abs(values), 95)),
        worst=float(values[np.abs(values).argmax()]),
        seconds=[(round(float(time), 3), round(float(value), 4)) for time, value in zip(times, values, strict=True)],
        slope=float(np.polyfit(times, values, 1)[0]) * 1e6 if long else None,
    )

"""By how much the other party's audio is later than its video, where it sends a flash and a beep at the same moment. Sans-IO.

`relay.client.pattern` is such a source, and so are most test signals for lip sync. Whatever has no flashes and beeps that keep
their distance is not measurable.
"""

import array
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

NEAR: Final = 0.5
"""Seconds between a flash and its beep, at most: what is further away belongs to another one."""

FLASH: Final = 60
"""Steps of luma, of 255, between the dark and the bright frames, at least."""

QUIET: Final = 0.2
"""Seconds without a loud sound before a beep."""

LOUD: Final = 0.25
"""Of the loudest sound so far: what is louder may be a beep."""

AUDIBLE: Final = 500
"""Of 32,767. What is quieter is noise."""

MIN_PAIRS: Final = 2

MAX_SPREAD: Final = 0.06
"""Seconds: flashes and beeps of one source keep their distance, scenes and speech do not. The median of the deviations."""

MAX_ONSETS: Final = 3600
"""Flashes, and beeps, that are kept: the latest."""

_COLUMNS: Final = 16
"""One of so many columns and lines is looked at."""


@dataclass(frozen=True, slots=True)
class AvOffset:
    """Seconds by which the audio is later than the video; below 0 it is earlier."""

    median: float
    p95: float
    """Of its distance from 0."""
    pairs: int
    """Flashes that had their beep."""


class FlashesAndBeeps:
    """Finds them in frames of video and in blocks of audio, in the order in which those come."""

    def __init__(self) -> None:
        self._flashes: deque[float] = deque(maxlen=MAX_ONSETS)
        self._beeps: deque[float] = deque(maxlen=MAX_ONSETS)
        self._darkest, self._brightest = 255.0, 0.0
        self._bright = True
        self._loudest = 0
        self._last_loud: float | None = None

    def add_frame(self, at: float, luma: float) -> None:
        """Take a frame of video.

        Args:
            at: seconds on the line of the video's timestamps.
            luma: its mean, 0 to 255.
        """
        self._darkest, self._brightest = min(self._darkest, luma), max(self._brightest, luma)
        bright = luma > (self._darkest + self._brightest) / 2
        if bright and not self._bright and self._brightest - self._darkest >= FLASH:
            self._flashes.append(at)
        self._bright = bright

    def add_peaks(self, at: float, peaks: list[int]) -> None:
        """Take the highest sample of each millisecond.

        Args:
            at: seconds of the first, on the line of the audio's timestamps.
        """
        self._loudest = max(self._loudest, *peaks)
        threshold = max(AUDIBLE, self._loudest * LOUD)
        if self._last_loud is None:
            self._last_loud = at  # what it began with may have begun before
        for number, peak in enumerate(peaks):
            if peak >= threshold:
                now = at + number / 1000
                if now - self._last_loud > QUIET:
                    self._beeps.append(now)
                self._last_loud = now

    def offset(self, video_epoch: float, audio_epoch: float) -> AvOffset | None:
        """The offset so far; None: it is not measurable, as there are no flashes and beeps that belong together.

        Args:
            video_epoch, audio_epoch: seconds to be added to the times of each for a time line that both have in common.
        """
        beeps = [one + audio_epoch for one in self._beeps]
        nearest = [min((one - flash - video_epoch for one in beeps), key=abs, default=None) for flash in self._flashes]
        offsets = sorted(one for one in nearest if one is not None and abs(one) <= NEAR)
        if len(offsets) < MIN_PAIRS or 4 * len(offsets) < 3 * min(len(self._flashes), len(beeps)):
            return None
        middle = median(offsets)
        if median(abs(one - middle) for one in offsets) > MAX_SPREAD:
            return None
        distances = sorted(map(abs, offsets))
        return AvOffset(middle, distances[min(len(distances) - 1, int(0.95 * len(distances)))], len(offsets))


def mean_luma(frame: Any) -> float:
    """Of an `av.VideoFrame`, 0 to 255, by some of its pixels."""
    plane = frame.planes[0] if frame.format.name.startswith("yuv") else frame.reformat(format="yuv420p").planes[0]
    octets, width, step = memoryview(plane), plane.width, plane.line_size
    lines = range(_COLUMNS // 2 * step, plane.height * step, _COLUMNS * step)
    sampled = b"".join(bytes(octets[begin : begin + width : _COLUMNS]) for begin in lines)
    return sum(sampled) / len(sampled) if sampled else 0.0


def peaks_of(frame: Any) -> list[int]:
    """The highest sample of each millisecond of an `av.AudioFrame` with 16 bits a sample, interleaved."""
    channels = frame.layout.nb_channels
    samples = array.array("h", bytes(frame.planes[0])[: frame.samples * channels * 2])
    step = frame.sample_rate // 1000 * channels
    return [max(samples[at : at + step]) for at in range(0, len(samples), step)]

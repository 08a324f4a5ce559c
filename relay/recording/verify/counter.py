"""The burned-in counter of a reference video: each frame says its number, and a recording that shows it proves which frames came.

16 bits of the number and 8 check bits, `(n * 0x9E3779B1) >> 24`, as 2 rows of 12 squares of 1/20 of the width; the first row
is the number's upper 12 bits. A square's middle above 125 is a 1. The field
begins 4 squares from the left and 1 from the top.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from relay.recording.verify.figures import Interval
from relay.recording.verify.intervals import touching
from relay.recording.verify.pace import usual_interval

Luma = npt.NDArray[np.uint8]
"""Rows of samples."""

VALUES = 1 << 16
COLUMNS = 12
ROWS = 2
_SQUARES = 20
"""To the width of a frame."""
_LEFT = 4
_TOP = 1
_THRESHOLD = 125
_SAMPLES = 4
"""To each direction of a square, within its middle half."""
_BLACK = 16
_WHITE = 235
_RATES = (5, 6, 7.5, 8, 10, 12, 12.5, 15, 20, 24, 25, 30, 48, 50, 60)
"""Frames per second that a source may have."""


def bits_of(number: int) -> int:
    """The 24 bits of a number."""
    return number << 8 | (number * 0x9E3779B1 & 0xFFFFFFFF) >> 24


def burn_in(luma: Luma, number: int) -> None:
    """Draw a number into a frame's luma, on a black field."""
    side = luma.shape[1] / _SQUARES
    rows = [round(side * (_TOP + row)) for row in range(ROWS + 1)]
    columns = [round(side * (_LEFT + column)) for column in range(COLUMNS + 1)]
    half = round(side / 2)
    luma[max(0, rows[0] - half) : rows[-1] + half, columns[0] - half : columns[-1] + half] = _BLACK
    bits = bits_of(number % VALUES)
    for at in range(ROWS * COLUMNS):
        if bits >> (ROWS * COLUMNS - 1 - at) & 1:
            row, column = divmod(at, COLUMNS)
            luma[rows[row] : rows[row + 1], columns[column] : columns[column + 1]] = _WHITE


def read(luma: Luma) -> int | None:
    """The number in a frame; None where there is none, or its check bits do not fit.

    An empty field reads as 0, and 1 of 256 fields of anything as some number: only a sequence of numbers proves a counter.
    """
    where = _samples_of(*luma.shape)
    if where is None:
        return None
    squares = luma[where].reshape(ROWS, _SAMPLES, COLUMNS, _SAMPLES).sum(axis=(1, 3), dtype=np.int32)
    word = 0
    for bit in (squares > _THRESHOLD * _SAMPLES**2).ravel().tolist():
        word = word << 1 | bit
    number = word >> 8
    return number if bits_of(number) == word else None


@functools.lru_cache(maxsize=64)
def _samples_of(height: int, width: int) -> tuple[npt.NDArray[np.intp], ...] | None:
    """The samples of the squares' middles in a frame of that size; None for one that is too small."""
    side = width / _SQUARES
    if side < 4 or height < side * (_TOP + ROWS):
        return None
    within = (np.arange(_SAMPLES) - (_SAMPLES - 1) / 2) * (side / 2 / _SAMPLES)
    rows = (side * (_TOP + 0.5 + np.arange(ROWS)[:, np.newaxis]) + within).astype(np.intp).ravel()
    columns = (side * (_LEFT + 0.5 + np.arange(COLUMNS)[:, np.newaxis]) + within).astype(np.intp).ravel()
    return np.ix_(rows, columns)


@dataclass(frozen=True, slots=True)
class Numbered:
    """A frame with a number that could be read."""

    time: float
    number: int


def is_counter(numbers: list[int | None]) -> bool:
    """Whether what was read of some frames in a row is a counter, and not chance."""
    found = [number for number in numbers if number is not None]
    rising = sum(0 < (later - earlier) % VALUES < 600 for earlier, later in pairwise(found))
    return len(set(found)) >= 5 and len(found) >= 0.5 * len(numbers) and rising >= 0.5 * len(found)


def passes(frames: list[Numbered]) -> list[list[Numbered]]:
    """The frames of each pass through the source: a source that is played again begins again with a smaller number.

    Numbers are unwrapped within a pass, and frames whose number cannot be (a misread one) are left out.
    """
    found: list[list[Numbered]] = []
    for frame in frames:
        if not found:
            found.append([frame])
            continue
        last = found[-1][-1]
        ahead = (frame.number - last.number) % VALUES
        # A frame that is shown twice is as good as the first; forward jumps beyond the wrap's half are a step back.
        if ahead == 0:
            continue
        if ahead < VALUES // 2:
            found[-1].append(Numbered(frame.time, last.number + ahead))
        else:
            found.append([frame])
    return found


def missing(sequences: list[list[Numbered]], excluded: Sequence[Interval] = ()) -> int:
    """Numbers between the frames that none of them has.

    Args:
        excluded: when no frame is expected: what is missing over one of these does not count.
    """
    return sum(
        later.number - earlier.number - 1
        for one in sequences
        for earlier, later in pairwise(one)
        if not (excluded and touching([(earlier.time, later.time - earlier.time)], excluded))
    )


def rate_of(sequences: list[list[Numbered]]) -> float | None:
    """Frames per second of the source: how fast the numbers rise as a rule. A camera that is overloaded gives some frames late,
    and the numbers rise more slowly for that time. None without half a second in a row."""
    steps = [
        (later.time - earlier.time) / (later.number - earlier.number)
        for one in sequences
        if one[-1].time - one[0].time >= 0.5
        for earlier, later in pairwise(one)
    ]
    if not steps:
        return None
    usual = usual_interval(steps) or float(np.median(steps))
    if usual <= 0:
        return None
    rate = 1 / usual
    nearest = min(_RATES, key=lambda one: abs(one - rate))
    return nearest if abs(nearest - rate) < 0.05 * nearest else rate


def time_of(number: int, frames: list[Numbered], longest: float = 1.0) -> float | None:
    """When a number was due on the screen: the time of its frame, or between its neighbours', as an encoder drops frames under
    loss. None outside of the frames, and where the neighbours are further apart than `longest` seconds."""
    numbers = [one.number for one in frames]
    at = int(np.searchsorted(numbers, number))
    if at < len(frames) and frames[at].number == number:
        return frames[at].time
    if at in {0, len(frames)}:
        return None
    before, after = frames[at - 1], frames[at]
    if after.time - before.time > longest:
        return None
    return before.time + (after.time - before.time) * (number - before.number) / (after.number - before.number)

"""At which pace a sender gave its frames: what its camera or encoder left out is told from what was lost on the way. Sans-IO.

RTP timestamps are the sender's clock. Between two frames whose packets are numbered without a gap, there was no other one.
"""

import statistics
from array import array
from itertools import pairwise

from relay.recording.verify import intervals
from relay.recording.verify.figures import Interval

USUAL = 0.25
"""Part of the median interval by which those that are as usual differ from it, at most."""
FEWEST_INTERVALS = 10
"""Below, a rate says little."""


def usual_interval(found: list[float]) -> float | None:
    """The mean of the intervals between frames that are as usual: pauses, and frames that catch up afterwards, do not count.

    Returns:
        Seconds; None for too few of them, or if time mostly stands still.
    """
    if len(found) < FEWEST_INTERVALS:
        return None
    # One of them: where half are short and half are long, none is near the mean of the middle two.
    median = statistics.median_low(found)
    return statistics.fmean(one for one in found if abs(one - median) <= USUAL * median) if median > 0 else None


class SenderPace:
    """The frames of one stream."""

    def __init__(self) -> None:
        self._arrivals = array("d")
        self._times = array("d")
        self._follows = array("b")

    def frame(self, arrival: float, media: float, *, follows: bool) -> None:
        """Take a frame in.

        Args:
            arrival: of its first packet, in seconds of the recording.
            media: its RTP timestamp, in seconds; later than those before.
            follows: whether that packet is numbered next to the one before, so that nothing is missing between the two.
        """
        self._arrivals.append(arrival)
        self._times.append(media)
        self._follows.append(follows)

    @property
    def rate(self) -> float | None:
        """Frames that the sender gave per second, where none is missing."""
        found = self._intervals()
        return len(found) / sum(found) if len(found) >= FEWEST_INTERVALS else None

    @property
    def usual_rate(self) -> float | None:
        """The same without its pauses: what its camera was set to."""
        usual = usual_interval(self._intervals())
        return 1 / usual if usual else None

    @property
    def left_out(self) -> int | None:
        """Frames that the sender did not give, at its usual rate."""
        usual = usual_interval(found := self._intervals())
        return sum(max(0, round(one / usual) - 1) for one in found) if usual else None

    def pauses(self) -> list[Interval]:
        """When the sender gave no frame for longer than its rate explains: from the arrival of the frame before, by its own
        clock."""
        stops = dict(intervals.freezes(self._times))
        return [
            (round(arrival, 3), round(stops[time], 3))
            for arrival, time, follows in zip(self._arrivals, self._times, [*self._follows[1:], 0], strict=False)
            if follows and time in stops
        ]

    def _intervals(self) -> list[float]:
        return [
            later - earlier for (earlier, later), follows in zip(pairwise(self._times), self._follows[1:], strict=True) if follows
        ]

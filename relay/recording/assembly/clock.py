"""One time line: RTP timestamps of all streams of a call as seconds of the relay's clock.

A stream's timestamps become its sender's wall clock by its sender reports, and that becomes the relay's clock by the packets that
took the least time to arrive. A stream without sender reports goes by its fastest packets alone. Both are lines that bend once a
minute, since clocks differ by up to 100 ppm: that is 360 ms in an hour.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from relay.recording.assembly.budget import NoteBudget

WINDOW: Final = 60.0
"""Seconds from one bend of a line to the next."""

MAX_SLOPE: Final = 500e-6
"""That a clock can differ from another one. What is steeper is the network."""

_BUCKET: Final = 2.0
"""Seconds of arrival of which the fastest packet is kept."""

STEP: Final = 0.5
"""Seconds by which a sender's packets come later all at once, and stay late: it paused and its timestamps did not."""

_STEP_STAYS: Final = 5.0
_STEP_LEAST: Final = 1.0

DOUBTFUL: Final = 0.25
WRONG: Final = 1.0
"""Seconds by which sender reports may disagree with arrival: above the first it is noted, above the second arrival counts."""

_NTP_UNIT: Final = 1 / (1 << 32)


class TimeLine:
    """A line of straight pieces: where one clock is when another one is at x."""

    __slots__ = ("_slopes", "_xs", "_ys")

    def __init__(self, nodes: Sequence[tuple[float, float]]) -> None:
        """Draw a line. Before its first and after its last node, it goes on as it does over minutes.

        Args:
            nodes: (x, y) by x, at least one.
        """
        self._xs = [x for x, _ in nodes]
        self._ys = [y for _, y in nodes]
        count = len(nodes)
        self._slopes = [(self._ys[i + 1] - self._ys[i]) / (self._xs[i + 1] - self._xs[i]) for i in range(count - 1)]
        self._slopes = [self._outer(0, min(5, count) - 1), *self._slopes, self._outer(max(0, count - 6), count - 1)]

    def _outer(self, first: int, last: int) -> float:
        span = self._xs[last] - self._xs[first]
        # A slope of less than two minutes is more of the network's than of the clocks'.
        slope = (self._ys[last] - self._ys[first]) / span if span >= 1.5 * WINDOW else 1.0
        return min(max(slope, 1 - 2 * MAX_SLOPE), 1 + 2 * MAX_SLOPE)

    @property
    def bends(self) -> list[float]:
        return self._xs

    def at(self, x: float) -> float:
        index = bisect_right(self._xs, x)
        node = max(0, index - 1)
        return self._ys[node] + self._slopes[index] * (x - self._xs[node])

    @property
    def drift(self) -> float:
        """By how much the other clock runs faster, as a fraction; 0 of less than two minutes."""
        span = self._xs[-1] - self._xs[0]
        return (self._ys[-1] - self._ys[0]) / span - 1 if span >= 1.5 * WINDOW else 0.0


def _line(offsets: list[tuple[float, float]]) -> TimeLine:
    """The line through (x, y − x), no steeper than `MAX_SLOPE`."""
    nodes = sorted(offsets)
    for index in range(1, len(nodes)):
        (before, low), (x, offset) = nodes[index - 1], nodes[index]
        most = MAX_SLOPE * (x - before)
        nodes[index] = (x, min(max(offset, low - most), low + most))
    distinct = {x: x + offset for x, offset in nodes}
    return TimeLine(list(distinct.items()))


def _envelope(points: Iterable[tuple[float, float]]) -> TimeLine:
    """The lower envelope of (x, y − x): what arrived fastest in each window."""
    best: dict[int, tuple[float, float]] = {}
    for x, y in points:
        window = int(y // WINDOW)
        offset = y - x
        known = best.get(window)
        if known is None or offset < known[1]:
            best[window] = (x, offset)
    nodes = sorted(best.values())
    # Nothing arrives before it was sent: a window in which everything was late follows from those beside it.
    for order in (range(1, len(nodes)), range(len(nodes) - 2, -1, -1)):
        for index in order:
            beside = nodes[index - 1] if order.step > 0 else nodes[index + 1]
            most = beside[1] + MAX_SLOPE * abs(nodes[index][0] - beside[0])
            nodes[index] = (nodes[index][0], min(nodes[index][1], most))
    return _line(nodes)


@dataclass(slots=True)
class _Segment:
    """Of a stream, between restarts and pauses: timestamps that grow as time does. Times in seconds."""

    begin: float
    fastest_media: "array[float]" = field(default_factory=lambda: array("d"))
    fastest_arrival: "array[float]" = field(default_factory=lambda: array("d"))
    report_media: "array[float]" = field(default_factory=lambda: array("d"))
    report_ntp: "array[float]" = field(default_factory=lambda: array("d"))
    line: TimeLine | None = None

    def points(self) -> Iterable[tuple[float, float]]:
        return zip(self.fastest_media, self.fastest_arrival, strict=True)

    def reports(self) -> TimeLine | None:
        """Media time → sender's wall clock: the median of each window, since single reports are off by up to 25 ms."""
        if not self.report_media:
            return None
        windows: dict[int, list[tuple[float, float]]] = {}
        for media, ntp in zip(self.report_media, self.report_ntp, strict=True):
            windows.setdefault(int(media // WINDOW), []).append((media, ntp - media))
        # Of a drifting clock, the median of the offsets is at the median of the times.
        return _line([(median(x for x, _ in found), median(y for _, y in found)) for found in windows.values()])

    def absorb(self, other: "_Segment") -> None:
        for name in ("fastest_media", "fastest_arrival", "report_media", "report_ntp"):
            getattr(self, name).extend(getattr(other, name))


class StreamTiming:
    """The times of one stream, gathered packet by packet; then its time line."""

    __slots__ = (
        *(
            "_before",
            "_bucket_end",
            "_budget",
            "_floor",
            "_last_arrival",
            "_last_media",
            "_least",
            "_least_at",
            "_since",
            "_unit",
        ),
        *("method", "pauses", "reports", "segments"),
    )

    def __init__(self, rate: int, budget: NoteBudget | None = None) -> None:
        """Args: budget: of the party that sends it; None: of its own."""
        self._unit = 1 / rate
        self._budget = budget or NoteBudget()
        self.segments: list[_Segment] = []
        self._least, self._least_at, self._bucket_end = 0.0, 0.0, float("-inf")
        self._last_arrival = self._last_media = 0.0
        self._before = 0.0
        """What the fastest packets took before this bucket."""
        self._since = self._floor = 0.0
        """Since when a pause is supposed, and the delay below which it was none; 0: it is not."""
        self.method = "arrival"
        self.reports = 0
        self.pauses = 0

    def add(self, timestamp: int, arrival: float) -> None:
        """A packet. Times in seconds, timestamps unwrapped."""
        media = timestamp * self._unit
        delay = arrival - media
        if not self.segments:
            self._begin(media, delay, arrival)
        elif delay - self._least > STEP and arrival - self._last_arrival > STEP and not self._since:
            gap = arrival - self._last_arrival - (media - self._last_media)
            if gap > STEP and self._budget.take("segments"):
                floor = min(self._least, self._before) + gap / 2
                self._close()
                self._begin(media, delay, arrival)
                self._since, self._floor = arrival, floor
        elif self._since and delay < self._floor:
            self._rejoin()
        elif self._since and arrival - self._since > _STEP_STAYS:
            self._since = 0.0
            self.pauses += 1
        self._last_arrival = arrival
        self._last_media = media
        if delay < self._least:
            self._least, self._least_at = delay, arrival
        if arrival >= self._bucket_end:
            self._close()
            self._before = self._least
            self._least, self._least_at, self._bucket_end = delay, arrival, arrival + _BUCKET

    def restart(self, timestamp: int, arrival: float) -> None:
        """The sender began anew with this packet."""
        media = timestamp * self._unit
        if not self._budget.take("segments"):
            return
        if self.segments:
            self._close()
        self._since = 0.0
        self._begin(media, arrival - media, arrival)
        self._last_arrival, self._last_media = arrival, media

    def report(self, ntp: int, timestamp: int) -> None:
        """A sender report: both clocks at one moment."""
        if not self.segments or not ntp or not self._budget.take("reports"):
            return
        self.reports += 1
        self.segments[-1].report_media.append(timestamp * self._unit)
        self.segments[-1].report_ntp.append(ntp * _NTP_UNIT)

    def _begin(self, media: float, delay: float, arrival: float) -> None:
        self.segments.append(_Segment(media))
        self._least, self._least_at, self._bucket_end = delay, arrival, arrival + _BUCKET
        self._before = delay

    def _close(self) -> None:
        segment = self.segments[-1]
        segment.fastest_media.append(self._least_at - self._least)
        segment.fastest_arrival.append(self._least_at)

    def _rejoin(self) -> None:
        """It was no pause, only a network that held packets back."""
        self._since = 0.0
        last = self.segments.pop()
        self.segments[-1].absorb(last)

    def finish(self) -> None:
        """No more packets."""
        if not self.segments:
            return
        self._close()
        if self._since:
            if self._last_arrival - self._since < _STEP_LEAST:
                self._rejoin()
            else:
                self.pauses += 1

    @property
    def drift(self) -> float:
        longest = max(self.segments, key=lambda one: len(one.fastest_media), default=None)
        return longest.line.drift if longest is not None and longest.line is not None else 0.0

    def at(self, timestamp: int) -> float:
        """When a packet of this timestamp would have been sent, in seconds of the relay's clock."""
        media = timestamp * self._unit
        index = len(self.segments) - 1
        while index and media < self.segments[index].begin - 1e-9:
            index -= 1
        line = self.segments[index].line
        assert line is not None, "solved before"
        return line.at(media)


def solve(timings: Sequence[StreamTiming], name: str) -> list[str]:
    """Draw the time lines of all streams of one transport, whose sender has one wall clock.

    Args:
        timings: finished, those with the most trustworthy clock first: audio.
        name: of the transport, for the warnings.

    Returns:
        Warnings.
    """
    warnings: dict[str, None] = {}
    senders = {id(segment): line for one in timings for segment in one.segments if (line := segment.reports()) is not None}
    reference: TimeLine | None = None
    for timing in timings:
        points = [(senders[id(one)].at(x), y) for one in timing.segments if id(one) in senders for x, y in one.points()]
        if points and reference is None:
            reference = _envelope(points)
    for timing in timings:
        for segment in timing.segments:
            own = _envelope(segment.points())
            sender = senders.get(id(segment))
            segment.line = own
            if sender is None or reference is None:
                continue
            # Of a good stream the fastest packets are on the envelope, or a little above it.
            apart = min(y - reference.at(sender.at(x)) for x, y in segment.points())
            if abs(apart) > WRONG:
                warnings[f"{name}: sender reports and arrival differ by more than {WRONG:g} s: arrival counts"] = None
                continue
            if abs(apart) > DOUBTFUL:
                warnings[f"{name}: sender reports and arrival differ by more than {DOUBTFUL * 1000:g} ms"] = None
            timing.method = "sender_reports"
            segment.line = _composed(sender, reference, segment)
    return list(warnings)


def _composed(sender: TimeLine, reference: TimeLine, segment: _Segment) -> TimeLine:
    """Media time → sender's wall clock → relay's clock."""
    # Where about in media time the bends of the second line are; a second more or less changes nothing.
    ahead = sender.at(segment.begin) - segment.begin
    bends = {*sender.bends, *(x - ahead for x in reference.bends), segment.begin, segment.fastest_media[-1]}
    inside = sorted(x for x in bends if segment.begin <= x <= segment.fastest_media[-1]) or [segment.begin]
    apart = [x for index, x in enumerate(inside) if not index or x - inside[index - 1] > 1e-3]
    return TimeLine([(x, reference.at(sender.at(x))) for x in apart])

"""What one received RTP stream tells: loss, jitter and rate, from the headers alone. Sans-IO."""

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from relay.mos import mean_opinion, transmission_rating

PLAYOUT: Final = 2.0
"""A jitter buffer waits for about twice the jitter."""

MAX_REPORTS: Final = 60
"""Sender reports that are remembered: a minute's, at one a second."""

PACKETISATION: Final = 0.020
"""Seconds of audio in a packet, which the sender waits for."""


@dataclass(slots=True)
class StreamFigures:
    """Figures of one SSRC.

    Args:
        clock_rate: Hz, of its timestamps.
    """

    clock_rate: int
    packets: int = 0
    """Each once, whatever its order; those that came by retransmission are not among them."""
    duplicates: int = 0
    octets: int = 0
    """Of payload."""
    frames: int = 0
    """Packets with the marker bit: whole frames, for video."""
    resent: int = 0
    """Packets of a retransmission stream (RFC 4588) for it, probes included."""
    repaired: int = 0
    """Packets that came by retransmission, and not otherwise before."""
    first_arrival: float | None = None
    """Seconds."""
    jitter: float = 0.0
    """Seconds (RFC 3550 section 6.4.1)."""
    least_transit: float = 0.0
    """The smallest difference of arrival and timestamp, in seconds: the packet that was delayed least."""
    reports: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_REPORTS), repr=False)
    """Of each sender report: seconds of the sender's clock at which its timestamps were 0."""
    _first: int = 0
    _highest: int = 0
    _timestamp: int = 0
    """Unwrapped, of the last packet."""
    _transit: float | None = None
    _seen: set[int] = field(default_factory=set, repr=False)

    def add(self, sequence_number: int, timestamp: int, octets: int, marker: bool, arrival: float) -> None:
        """Count a packet that arrived at `arrival`, in seconds."""
        if self.first_arrival is None:
            self.first_arrival = arrival
            self._first = self._highest = sequence_number
        # RFC 1982: the signed difference of two 16-bit numbers.
        ahead = ((sequence_number - self._highest + 0x8000) & 0xFFFF) - 0x8000
        extended = self._highest + ahead
        if extended < self._first:
            return
        if extended in self._seen:
            self.duplicates += 1
            return
        self._see(extended)
        self._highest = max(self._highest, extended)
        self.packets += 1
        self.octets += octets
        self.frames += marker
        self._timestamp = self.unwrapped(timestamp) if self._transit is not None else timestamp
        transit = arrival - self._timestamp / self.clock_rate
        if self._transit is None:
            self.least_transit = transit
        else:
            self.jitter += (abs(transit - self._transit) - self.jitter) / 16
            self.least_transit = min(self.least_transit, transit)
        self._transit = transit

    def add_retransmission(self, sequence_number: int | None) -> None:
        """Count a packet of the retransmission stream.

        Args:
            sequence_number: of the packet that it repeats (RFC 4588 section 4, OSN); None: it is a probe without content.
        """
        self.resent += 1
        if sequence_number is None or not self.packets:
            return
        extended = self._highest + ((sequence_number - self._highest + 0x8000) & 0xFFFF) - 0x8000
        if self._first <= extended <= self._highest and extended not in self._seen and extended > self._highest - 2048:
            self._see(extended)
            self.repaired += 1

    def add_report(self, ntp: int, timestamp: int) -> None:
        """Take a sender report: which timestamp belongs to which time of the sender.

        Args:
            ntp: 32.32 bits; 0: the sender has sent nothing yet.
        """
        if ntp and self.packets:
            self.reports.append(ntp / 2**32 - self.unwrapped(timestamp) / self.clock_rate)

    @property
    def epoch(self) -> float | None:
        """Seconds of the sender's clock at which its timestamps were 0; None before its first report.

        The median: the reports of some senders are tens of milliseconds off.
        """
        return median(self.reports) if self.reports else None

    def unwrapped(self, timestamp: int) -> int:
        """A timestamp of 32 bits, on the line on which timestamps do not wrap: the one that is nearest to the last packet's."""
        return self._timestamp + ((timestamp - self._timestamp + 2**31) % 2**32) - 2**31

    def _see(self, extended: int) -> None:
        self._seen.add(extended)
        if len(self._seen) > 4096:
            self._seen = {one for one in self._seen if one > self._highest - 2048}

    @property
    def expected(self) -> int:
        """Packets that should have arrived (RFC 3550 appendix A.3)."""
        return self._highest - self._first + 1 if self.packets else 0

    @property
    def lost(self) -> int:
        """Packets lost on the way, as a receiver report counts them: before retransmission, and a duplicate makes up for one
        (RFC 3550 section 6.4.1). 0 where that would be negative."""
        return max(0, self.expected - self.packets - self.duplicates)

    @property
    def missing(self) -> int:
        """Packets that never came, by retransmission neither."""
        return max(0, self.expected - self.packets - self.repaired)

    @property
    def loss(self) -> float:
        """`lost`, as a part of what was expected: 0 to 1."""
        return self.lost / self.expected if self.expected else 0.0

    @property
    def residual_loss(self) -> float:
        """`missing`, likewise."""
        return self.missing / self.expected if self.expected else 0.0


def opinion(loss: float, jitter: float, round_trip: float) -> float:
    """The mean opinion score of audio (ITU-T G.107): 1 to 4.5.

    Args:
        loss: 0 to 1.
        jitter: seconds.
        round_trip: seconds, between the two parties.
    """
    return mean_opinion(transmission_rating(round_trip / 2 + PLAYOUT * jitter + PACKETISATION, loss))

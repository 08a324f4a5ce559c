"""What one received RTP stream tells: loss, jitter and rate, from the headers alone. Sans-IO."""

from dataclasses import dataclass, field
from typing import Final

from relay.mos import mean_opinion, transmission_rating

PLAYOUT: Final = 2.0
"""A jitter buffer waits for about twice the jitter."""

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
    octets: int = 0
    """Of payload."""
    frames: int = 0
    """Packets with the marker bit: whole frames, for video."""
    repaired: int = 0
    """Packets of a retransmission stream (RFC 4588) for it."""
    first_arrival: float | None = None
    """Seconds."""
    jitter: float = 0.0
    """Seconds (RFC 3550 section 6.4.1)."""
    _first: int = 0
    _highest: int = 0
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
        if extended in self._seen or extended < self._first:
            return
        self._seen.add(extended)
        if len(self._seen) > 4096:
            self._seen = {one for one in self._seen if one > self._highest - 2048}
        self._highest = max(self._highest, extended)
        self.packets += 1
        self.octets += octets
        self.frames += marker
        transit = arrival - timestamp / self.clock_rate
        if self._transit is not None:
            # A timestamp wraps after 2^32 units; the difference is meaningful modulo that.
            wrap = 2**32 / self.clock_rate
            difference = abs((transit - self._transit + wrap / 2) % wrap - wrap / 2)
            self.jitter += (difference - self.jitter) / 16
        self._transit = transit

    @property
    def expected(self) -> int:
        """Packets that should have arrived (RFC 3550 appendix A.3)."""
        return self._highest - self._first + 1 if self.packets else 0

    @property
    def lost(self) -> int:
        """Packets that are missing, retransmissions not counted."""
        return max(0, self.expected - self.packets)

    @property
    def loss(self) -> float:
        """0 to 1."""
        return self.lost / self.expected if self.expected else 0.0


def opinion(loss: float, jitter: float, round_trip: float) -> float:
    """The mean opinion score of audio (ITU-T G.107): 1 to 4.5.

    Args:
        loss: 0 to 1.
        jitter: seconds.
        round_trip: seconds, between the two parties.
    """
    return mean_opinion(transmission_rating(round_trip / 2 + PLAYOUT * jitter + PACKETISATION, loss))

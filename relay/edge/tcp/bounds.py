"""How many connections of each kind there may be."""

from dataclasses import dataclass, replace
from typing import Final

_OTHER_FILES: Final = 500
"""File descriptors that the process needs besides those of connections: the database, workers, listeners, files being sent."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Of one kind of connections."""

    total: int
    per_network: int
    """Of one IPv4 address or IPv6 /64, unless it is this machine's or a trusted proxy's."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of every kind. Beyond a bound, the oldest idle connection of the network with the most goes."""

    undecided: Bound = Bound(2048, 256)
    """Those that have not shown what they are for: nothing said yet, a TLS handshake in progress, ICE-TCP without an authentic
    check, TURN without an allocation. A whole office can have 256 in that state at a time."""
    http: Bound = Bound(3200, 1600)
    """Between requests a connection is idle, and may go: a browser opens another one without a word."""
    websockets: Bound = Bound(10_000, 2500)
    """A large school behind one address, and not all there is."""
    streams: Bound = Bound(4096, 512)
    """ICE-TCP and TURN connections that carry media: a browser in a call has one or two."""

    @property
    def files(self) -> int:
        """File descriptors that the process needs, should every kind be full."""
        kinds = self.undecided, self.http, self.websockets, self.streams
        return sum(one.total for one in kinds) + _OTHER_FILES

    def within(self, files: int) -> "Bounds":
        """As many of each kind as fit into so many file descriptors: without one, not even a certificate can be read."""
        if files >= self.files:
            return self
        share = max(0.0, (files - _OTHER_FILES) / (self.files - _OTHER_FILES))
        return replace(
            self, **{name: _scaled(getattr(self, name), share) for name in ("undecided", "http", "websockets", "streams")}
        )


def _scaled(bound: Bound, share: float) -> Bound:
    total = max(8, int(bound.total * share))
    # At least two networks fit, or one would fill the table for all others.
    return Bound(total, max(1, min(bound.per_network, total // 2)))

"""By which ways the media of calls comes, and how long it takes: noted for the messages, the rows and the figures."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Final

from relay.media.api import Address, Route, RouteOf
from relay.signaling.calls.live import LiveCall, Side
from relay.signaling.ports import MediaPath

RTT_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
"""Seconds: the upper ends of the classes that round trips are counted in. Talk suffers from 0.3 s on (ITU-T G.114)."""


class RoundTrips:
    """How many round trips were how long, as Prometheus' histograms have it."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(RTT_BOUNDS) + 1)
        """Of each class; the last one has no upper end."""
        self.total = 0.0
        """Seconds, of all."""

    def add(self, rtt: float) -> None:
        self.counts[bisect_left(RTT_BOUNDS, rtt)] += 1
        self.total += rtt


class Paths:
    """Keeps what is known of the path to each party.

    Args:
        route_of: None: nobody can tell, and routes stay unknown.
    """

    def __init__(self, route_of: RouteOf | None) -> None:
        self._route_of = route_of
        self.connected: Counter[Route] = Counter()
        """Legs that came by a route: when they were connected, and whenever they have moved to another."""
        self.round_trips: dict[Route, RoundTrips] = {}
        """Of each report that knew one."""

    def seen(self, side: Side, remote: Address | None, rtt: float | None = None) -> MediaPath:
        """The media plane has said where a party is, and perhaps how far away; what is known of the path now."""
        leg = side.leg
        assert leg is not None, "the media plane speaks of a leg"
        route = self._route_of(remote) if self._route_of is not None and remote is not None else None
        if route is not None and route != leg.route:
            leg.route = route
            self.connected[route] += 1
        if leg.route is not None and rtt is not None:
            self.round_trips.setdefault(leg.route, RoundTrips()).add(rtt)
        # What was known of the leg before, until something is known of a new one.
        side.path = MediaPath(leg.route or side.path.route, side.path.rtt if rtt is None else rtt)
        return side.path


def legs_by_route(calls: Iterable[LiveCall]) -> Counter[Route]:
    """How many legs of these calls come by each route."""
    legs = (side.leg for live in calls for side in (live.caller, live.callee))
    return Counter(leg.route for leg in legs if leg is not None and leg.route is not None)

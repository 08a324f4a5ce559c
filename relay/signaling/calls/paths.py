"""The routes of calls' media and their round-trip times: noted for the messages, the rows and the figures."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Final

from relay.media.api import Address, Route, RouteOf
from relay.signaling.calls.live import LiveCall, PartyMedia
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
        route_of: None: routes stay unknown.
    """

    def __init__(self, route_of: RouteOf | None) -> None:
        self._route_of = route_of
        self.connected: Counter[Route] = Counter()
        """Sessions by the route of their media: counted when they connect, and when they move to another route."""
        self.round_trips: dict[Route, RoundTrips] = {}
        """Of each report that knew one."""

    def seen(self, media: PartyMedia, remote: Address | None, rtt: float | None = None) -> MediaPath:
        """Take the address of a party from the media plane, and perhaps the round trip; what is known of the path now."""
        session = media.session
        assert session is not None, "the media plane reports on a session"
        route = self._route_of(remote) if self._route_of is not None and remote is not None else None
        if route is not None and route != session.route:
            session.route = route
            self.connected[route] += 1
        if session.route is not None and rtt is not None:
            self.round_trips.setdefault(session.route, RoundTrips()).add(rtt)
        # Until something is known of a new session's path, the former one's stands.
        media.path = MediaPath(session.route or media.path.route, media.path.rtt if rtt is None else rtt)
        return media.path


def sessions_by_route(calls: Iterable[LiveCall]) -> Counter[Route]:
    """How many sessions of these calls have media by each route."""
    sessions = (media.session for live in calls for media in (live.caller, live.callee))
    return Counter(one.route for one in sessions if one is not None and one.route is not None)

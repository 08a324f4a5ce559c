"""Every connection of the shared ports, by kind: a new one gets its place, and the one that loses its own is closed."""

import contextlib
import ipaddress
import time
from collections.abc import Iterator
from typing import Final, Protocol, TypeVar

from relay.edge.counters import EdgeCounters
from relay.edge.limits import DEFAULTS, EdgeLimits
from relay.edge.tcp.bounds import Bound, Bounds
from relay.edge.tcp.connection_table import ConnectionTable
from relay.ip import network_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_THIS_MACHINE: Final = frozenset({"127.0.0.1", "::1"})
"""Where a reverse proxy on this machine comes from."""


class Evictable(Protocol):
    """A connection that may have to go for another one."""

    def evict(self) -> None:
        """Close it at once."""
        ...


_E = TypeVar("_E", bound=Evictable)


class Admission:
    """The tables of all kinds.

    Args:
        proxies: networks of reverse proxies, through which the connections of all clients may come.
    """

    def __init__(
        self, bounds: Bounds, proxies: tuple[Network, ...], counters: EdgeCounters, limits: EdgeLimits = DEFAULTS
    ) -> None:
        self._limits = limits
        self._proxies = proxies
        self._counters = counters
        self.undecided = _table(bounds.undecided)
        self.http = _table(bounds.http)
        self.websockets = _table(bounds.websockets)
        self.streams = _table(bounds.streams)

    def fit(self, bounds: Bounds) -> None:
        """Have other bounds from now on."""
        kinds = (self.undecided, bounds.undecided), (self.http, bounds.http), (self.streams, bounds.streams)
        for table, bound in (*kinds, (self.websockets, bounds.websockets)):
            table.capacity, table.per_network = bound.total, bound.per_network

    def is_trusted_proxy(self, host: str) -> bool:
        """Whether the operator trusts the PROXY headers of connections from there."""
        address = ipaddress.ip_address(host)
        return any(address in one for one in self._proxies)

    def is_proxy(self, host: str) -> bool:
        """Whether a proxy that forwards all clients' HTTP connections may be there: one of the operator's, or on this machine."""
        return host in _THIS_MACHINE or self.is_trusted_proxy(host)

    def _origin(self, table: ConnectionTable[Evictable], host: str) -> bytes | None:
        """What a connection from there counts for. A proxy says at once what a connection is for, and carries no media."""
        is_shared = table in (self.http, self.websockets) and self.is_proxy(host)
        return None if is_shared else network_of(host)

    def enter(self, table: ConnectionTable[Evictable], connection: Evictable, host: str) -> None:
        """Give a connection from there a place in a table, and close the one that has to go for it."""
        origin = self._origin(table, host)
        counter = "refused_address" if origin is not None and table.count(origin) >= table.per_network else "refused_full"
        victim = table.add(connection, origin, time.monotonic())
        if victim is not None:
            self._counters[counter] += 1
            victim.evict()

    def move(self, table: ConnectionTable[Evictable], connection: Evictable, host: str) -> None:
        """A connection in the table turns out to come from there."""
        table.remove(connection)
        self.enter(table, connection, host)

    def active(self, table: ConnectionTable[Evictable], connection: Evictable) -> None:
        """Something has come from a connection."""
        table.active(connection, time.monotonic())

    @contextlib.contextmanager
    def busy(self, table: ConnectionTable[Evictable], connection: Evictable) -> Iterator[None]:
        """Something is being done for a connection, if it is in the table."""
        table.set_busy(connection, busy=True, now=time.monotonic())
        try:
            yield
        finally:
            table.set_busy(connection, busy=False, now=time.monotonic())

    def make_room(self, number: int) -> bool:
        """Close that many idle connections, for want of file descriptors; whether there was one."""
        closed = 0
        for table in (self.undecided, self.http):
            while closed < number and (victim := table.expendable()) is not None:
                table.remove(victim)
                victim.evict()
                self._counters["refused_full"] += 1
                closed += 1
        return bool(closed)

    def shorten_keepalive(self) -> None:
        """Close HTTP connections that have been idle for longer than there is room for."""
        for connection in self.http.idle_since(time.monotonic() - keepalive(len(self.http), self.http.capacity, self._limits)):
            self._counters["idle_closed_early"] += 1
            connection.evict()


def keepalive(present: int, capacity: int, limits: EdgeLimits = DEFAULTS) -> float:
    """Seconds that an HTTP connection may be idle: fewer and fewer once half of the places are taken."""
    free = 1.0 - present / capacity
    return limits.keepalive if free >= 0.5 else max(limits.least_keepalive, limits.keepalive * 2.0 * free)


def _table(bound: Bound) -> ConnectionTable[Evictable]:
    return ConnectionTable(bound.total, bound.per_network)

"""One TCP port for everything: what a connection is, its first bytes say, before anything else is done with it."""

import asyncio
import errno
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relay.errors import ConfigurationError
from relay.front.counters import Counters
from relay.front.demux import Kind
from relay.front.io.arrival import Arrival, Context
from relay.front.io.http import HttpConnection
from relay.turn.limits import network

BACKLOG: Final = 512
"""Connections that the kernel completes for us before we take them."""

ACCEPTS_PER_TURN: Final = 64
"""Connections that are taken before the event loop gets its turn."""

ACCEPT_PAUSE: Final = 1.0
"""Seconds without taking connections when there are no more file descriptors."""

MAX_UNDECIDED: Final = 2048
"""Connections that have not said yet what they are for."""

MAX_UNDECIDED_PER_ADDRESS: Final = 256
"""Of one IPv4 address or IPv6 /64: as many as a reverse proxy, or a whole office, can have in that state at a time."""

MAX_HTTP: Final = 10_000
"""HTTP connections, WebSockets among them."""

MAX_HTTP_PER_ADDRESS: Final = 2500
"""Of one IPv4 address or IPv6 /64, unless it is this machine or a proxy of ours: a large school, and not all there is."""

_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

Factory = Callable[[str], asyncio.Protocol | None]
"""Makes what serves a connection from that address; None: there may be no more of them."""


@dataclass(frozen=True, slots=True)
class Services:
    """What is served on a port; None: this is not."""

    http: Callable[[], asyncio.Protocol] | None = None
    proxies: tuple[Network, ...] = ()
    """Through whom everybody's HTTP connections may come."""
    tls: Context | None = None
    ice_tcp: Factory | None = None
    turn: Factory | None = None


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets for a port on one address, or on every one (`host` empty), that do not listen yet.

    Raises:
        ConfigurationError: the port is taken, or the address is not this machine's.
    """
    found: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            try:
                opened = socket.socket(family, kind, protocol)
            except OSError:
                continue  # a machine without IPv6 has names for it all the same
            found.append(opened)
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                opened.bind((address[0], port, *address[2:]))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL or host:
                    raise
                found.remove(opened)
                opened.close()
            else:
                port = opened.getsockname()[1]
    except OSError as error:
        for one in found:
            one.close()
        raise _refused(host, port, error) from None
    if not found:
        raise ConfigurationError(f"cannot listen on port {port}: no address")
    return found


def _refused(host: str, port: int, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot listen on {f'{host} port {port}'.lstrip()}: {error.strerror}")


class Listener:
    """Make it, `start` it in the event loop that it shall live in, `close` it there.

    Args:
        sockets: from `bind`.
    """

    def __init__(self, sockets: list[socket.socket], counters: Counters) -> None:
        self._services = Services()
        self._counters = counters
        self._sockets = sockets
        self._undecided: set[Arrival] = set()
        self._by_network: Counter[bytes] = Counter()
        self._http: Counter[bytes] = Counter()
        """HTTP connections, by network."""
        self._loop = asyncio.get_running_loop()
        self._pauses: set[asyncio.TimerHandle] = set()

    @property
    def port(self) -> int:
        return int(self._sockets[0].getsockname()[1])

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses that it is bound to."""
        return tuple(str(one.getsockname()[0]) for one in self._sockets)

    def start(self, services: Services) -> None:
        """Listen.

        Raises:
            ConfigurationError: another process was faster.
        """
        self._services = services
        for one in self._sockets:
            try:
                one.listen(BACKLOG)
            except OSError as error:
                raise _refused("", self.port, error) from None
            self._loop.add_reader(one, self._accept, one)

    def close(self) -> None:
        """Take no more connections, and close those that have not said what they are for."""
        for pause in self._pauses:
            pause.cancel()
        for one in self._sockets:
            if one.fileno() >= 0:
                self._loop.remove_reader(one)
                one.close()
        for arrival in list(self._undecided):
            arrival.close()

    # -- from accept to decision --------------------------------------------------------------------------------------

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                connection, address = listening.accept()
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._pause(listening)
                return
            self._admit(connection, address[0])

    def _pause(self, listening: socket.socket) -> None:
        """The connection that cannot be accepted stays in the queue, so the socket stays readable: look away for a while."""
        self._counters["accept_failed"] += 1
        self._loop.remove_reader(listening)
        pause = self._loop.call_later(ACCEPT_PAUSE, lambda: self._loop.add_reader(listening, self._accept, listening))
        self._pauses = {one for one in self._pauses if one.when() > self._loop.time()} | {pause}

    def _admit(self, connection: socket.socket, address: str) -> None:
        self._counters["connections"] += 1
        origin = network(address)
        if len(self._undecided) >= MAX_UNDECIDED:
            self._counters["refused_full"] += 1
            connection.close()
        elif self._by_network[origin] >= MAX_UNDECIDED_PER_ADDRESS:
            self._counters["refused_address"] += 1
            connection.close()
        else:
            self._by_network[origin] += 1
            arrival = Arrival(connection, address, self._services.tls, self._protocol_for, self._decided, self._counters)
            self._undecided.add(arrival)
            arrival.start()

    def _decided(self, arrival: Arrival) -> None:
        self._undecided.discard(arrival)
        origin = network(arrival.address)
        self._by_network[origin] -= 1
        if not self._by_network[origin]:
            del self._by_network[origin]

    def _protocol_for(self, kind: Kind, address: str) -> asyncio.Protocol | None:
        """What serves a connection of that kind; None: nothing does, and it is counted why."""
        services, counters = self._services, self._counters
        if kind is Kind.HTTP and services.http is not None:
            return self._http_connection(services.http, address)
        factory = {Kind.ICE_TCP: services.ice_tcp, Kind.TURN: services.turn}.get(kind)
        if factory is None:
            counters["refused_garbage" if kind is Kind.GARBAGE or kind is Kind.TLS else "refused_off"] += 1
            return None
        protocol = factory(address)
        counters["refused_address" if protocol is None else f"connections_{kind.value}"] += 1
        return protocol

    def _http_connection(self, http: Callable[[], asyncio.Protocol], address: str) -> HttpConnection | None:
        origin = network(address)
        if self._http.total() >= MAX_HTTP:
            self._counters["refused_full"] += 1
            return None
        if self._http[origin] >= MAX_HTTP_PER_ADDRESS and not self._is_proxy(address):
            self._counters["refused_address"] += 1
            return None
        self._counters["connections_http"] += 1
        self._http[origin] += 1
        return HttpConnection(http(), lambda: self._http_lost(origin))

    def _http_lost(self, origin: bytes) -> None:
        self._http[origin] -= 1
        if not self._http[origin]:
            del self._http[origin]

    def _is_proxy(self, address: str) -> bool:
        one = ipaddress.ip_address(address)
        return one.is_loopback or any(one in proxies for proxies in self._services.proxies)

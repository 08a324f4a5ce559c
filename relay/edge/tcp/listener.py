"""One TCP port for everything: what a connection is, its first bytes say, before anything else is done with it."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relay.edge.counters import EdgeCounters
from relay.edge.limits import EdgeLimits
from relay.edge.tcp.admission import Admission
from relay.edge.tcp.arrival import Arrival, Context
from relay.edge.tcp.demux import Kind
from relay.edge.tcp.handshakes import Handshakes
from relay.edge.tcp.peers import Peer
from relay.errors import ConfigurationError
from relay.ip import network_of
from relay.settings.edge import LOCALHOST

logger = logging.getLogger(__name__)

BACKLOG: Final = 512
"""Connections that the kernel completes for us before we take them."""

ACCEPTS_PER_TURN: Final = 64
"""Connections that are taken before the event loop gets its turn."""

PAUSE_AFTER_EVICTION: Final = 0.05
"""Seconds without taking connections when idle ones have just been closed for their file descriptors."""

_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Factory = Callable[[Peer], asyncio.Protocol]
"""Makes what serves a connection of that peer."""


@dataclass(frozen=True, slots=True)
class Services:
    """What is served on a port; None: this is not."""

    http: Factory | None = None
    tls: Context | None = None
    ice_tcp: Factory | None = None
    turn: Factory | None = None


ATTEMPTS: Final = 20
"""To find a port that is free on every address."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets for a port on one address, every one (`host` empty) or the loopback ones (`LOCALHOST`), that do not listen yet.

    Args:
        port: 0: one that is free on all of them.

    Raises:
        ConfigurationError: the port is taken, or the address is not this machine's.
    """
    attempts = 1 if port else ATTEMPTS
    while True:
        attempts -= 1
        try:
            found = _bind(host, port)
        except OSError as error:
            # The kernel has chosen a port that is free on the first address; another program may have it on the next one.
            if error.errno != errno.EADDRINUSE or not attempts:
                raise _refused(host, port, error) from None
        else:
            break
    if not found:
        raise ConfigurationError(f"cannot listen on port {port}: no address")
    return found


def _bind(host: str, port: int) -> list[socket.socket]:
    """
    Raises:
        OSError: a socket could not be bound; none is left open.
    """
    found: list[socket.socket] = []
    try:
        # Without a name, AI_PASSIVE makes the difference between all addresses and the loopback (getaddrinfo(3)).
        name, flags = (None, 0) if host == LOCALHOST else (host or None, socket.AI_PASSIVE)
        for family, kind, protocol, _, address in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=flags):
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
                if error.errno != errno.EADDRNOTAVAIL or name is not None:
                    raise
                found.remove(opened)
                opened.close()
            else:
                port = opened.getsockname()[1]
    except OSError:
        for one in found:
            one.close()
        raise
    return found


def _refused(host: str, port: int, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot listen on {f'{host} port {port}'.lstrip()}: {error.strerror}")


class Listener:
    """Make it, `start` it in the event loop that it shall live in, `close` it there.

    Args:
        sockets: from `bind`.

    Attributes:
        port: that it is bound to. Also once it is closed: a client may still ask for servers while this one stops.
        hosts: the addresses that it is bound to.
    """

    def __init__(self, sockets: list[socket.socket], admission: Admission, counters: EdgeCounters, limits: EdgeLimits) -> None:
        names = [one.getsockname() for one in sockets]
        self.port = int(names[0][1])
        self.hosts = tuple(str(name[0]) for name in names)
        self._services = Services()
        self._counters = counters
        self._sockets = sockets
        self._admission = admission
        self._limits = limits
        self._handshakes = Handshakes(limits.handshakes_per_second, limits.handshakes_at_once)
        self._undecided: set[Arrival] = set()
        self._warned_of_header = False
        self._loop = asyncio.get_running_loop()
        self._pauses: set[asyncio.TimerHandle] = set()

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
            arrival.evict()

    # -- from accept to decision --------------------------------------------------------------------------------------

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                connection, address = listening.accept()
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._pause(listening)
                return
            self._admit(connection, Peer(address[0], address[1]))

    def _pause(self, listening: socket.socket) -> None:
        """The connection that cannot be accepted stays in the queue, so the socket stays readable: look away for a while."""
        self._counters["accept_failed"] += 1
        self._loop.remove_reader(listening)
        delay = PAUSE_AFTER_EVICTION if self._admission.make_room(ACCEPTS_PER_TURN) else self._limits.accept_pause
        pause = self._loop.call_later(delay, lambda: self._loop.add_reader(listening, self._accept, listening))
        self._pauses = {one for one in self._pauses if one.when() > self._loop.time()} | {pause}

    def _admit(self, connection: socket.socket, peer: Peer) -> None:
        self._counters["connections"] += 1
        arrival = Arrival(connection, peer, self._services.tls, self, self._counters, self._limits)
        self._undecided.add(arrival)
        self._admission.enter(self._admission.undecided, arrival, peer.host)
        arrival.start()

    # -- what an arrival asks (`relay.edge.tcp.arrival.Host`) -----------------------------------------------------------

    def takes_header(self, peer: Peer) -> bool:
        """Whether a PROXY header is believed from there."""
        if self._admission.is_trusted_proxy(peer.host):
            return True
        self._counters["refused_proxy_header"] += 1
        if not self._warned_of_header:
            self._warned_of_header = True
            logger.warning(
                "a connection began with a PROXY header, but its sender is not in RELAY_TRUSTED_PROXIES, so it was closed; if a "
                "proxy of yours sends them, name its address there"
            )
        return False

    def told(self, arrival: Arrival) -> None:
        """A PROXY header has named the peer of an arrival."""
        self._counters["proxy_headers"] += 1
        self._admission.move(self._admission.undecided, arrival, arrival.peer.host)

    def handshake_wait(self, peer: Peer) -> float:
        """Seconds until a TLS handshake with that peer may begin; 0: now, and it is counted."""
        return 0.0 if self._admission.is_proxy(peer.host) else self._handshakes.wait(network_of(peer.host), self._loop.time())

    def decided(self, arrival: Arrival) -> None:
        """It is served from now on, or closed."""
        self._undecided.discard(arrival)
        self._admission.undecided.remove(arrival)

    def protocol_for(self, kind: Kind, peer: Peer) -> asyncio.Protocol | None:
        """What serves a connection of that kind; None: nothing does, and it is counted why."""
        services = self._services
        factory = {Kind.HTTP: services.http, Kind.ICE_TCP: services.ice_tcp, Kind.TURN: services.turn}.get(kind)
        if factory is None:
            self._counters["refused_garbage" if kind is Kind.GARBAGE or kind is Kind.TLS else "refused_off"] += 1
            return None
        self._counters[f"connections_{kind.value}"] += 1
        return factory(peer)

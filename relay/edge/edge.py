"""The edge: the shared TCP port, media over TCP, and TURN, as far as each is turned on."""

import asyncio
import ipaddress
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from relay.edge.counters import EdgeCounters
from relay.edge.ice_servers import IceServers
from relay.edge.limits import DEFAULTS, EdgeLimits
from relay.edge.reach import ReachableEngine
from relay.edge.routes import route_of
from relay.edge.tcp.admission import Admission
from relay.edge.tcp.bounds import Bounds
from relay.edge.tcp.http import HttpConnections
from relay.edge.tcp.ice_tcp import IceTcp
from relay.edge.tcp.listener import Listener, Services, bind
from relay.edge.tcp.peers import Peer
from relay.edge.tcp.streams import Streams
from relay.edge.tcp.tls import CertificateFiles
from relay.edge.tunnel import Tunnel
from relay.edge.turn import Turn, TurnConnection
from relay.edge.turn_port import TurnPort
from relay.ice_servers import IceServer
from relay.media.api import Route
from relay.settings.edge import EdgeSettings
from relay.settings.notation import parse_networks
from relay.settings.turn import TurnSettings
from relay.turn.counters import TurnCounters
from relay.turn.credentials import TurnCredentials
from relay.turn.messages import Address
from relay.turn.server import TurnServer

logger = logging.getLogger(__name__)

_SWEEP: Final = 1.0
"""Seconds between looks at which connections have fallen silent."""

_FIRST_RELAYED_PORT: Final = 49152
"""RFC 8656 section 7.2: the range of relayed ports; even ones, for clients that ask for that. Used where media has no IPv4
address. There is no socket behind them; each is only a name."""


class LocalAddresses(Protocol):
    """This machine's addresses, as they come and go. `start` it in an event loop, `close` it there."""

    @property
    def current(self) -> tuple[str, ...]: ...

    def start(self) -> None: ...

    def close(self) -> None: ...


class Edge:
    """Make it, `start` it in the event loop that it shall live in, `close` it there.

    Args:
        edge: what is listened on.
        turn: the TURN server, built in or external.
        engine: finds the worker of a connectivity check, and is told where TCP is listened on.
        worker_ports: the UDP ports of the media workers at this moment.
        addresses: where media is said to be reachable, IPv4 or IPv6: the only addresses that TURN relays to.
        local: the addresses of this machine, where media listens on all of them: TURN relays to those also.
        bounds: how many connections of each kind there may be.
        limits: times and rates.
        on_open: called when all is listened on: what `turn_urls` says is true then.
    """

    def __init__(
        self,
        edge: EdgeSettings,
        turn: TurnSettings,
        engine: ReachableEngine,
        worker_ports: Callable[[], tuple[int, ...]],
        addresses: tuple[str, ...] = (),
        local: LocalAddresses | None = None,
        bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
        limits: EdgeLimits = DEFAULTS,
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        self.counters = EdgeCounters()
        self.turn_counters = TurnCounters()
        self._edge_settings = edge
        self._turn_settings = turn
        self._bounds = bounds
        self._media_addresses = addresses
        self._engine = engine
        self._worker_ports = worker_ports
        self._local = local
        self._credentials = TurnCredentials(turn.turn_secret or secrets.token_hex(32), turn.turn_lifetime)
        self._media_of: tuple[object, frozenset[Address]] = (None, frozenset())
        self._listeners: list[Listener] = []
        self._turn_ports: list[TurnPort] = []
        self.limits = limits
        self._on_open = on_open
        self._admission = Admission(bounds, tuple(parse_networks(edge.trusted_proxies)), self.counters, limits)
        self._streams = Streams(self._admission)
        self.http: HttpConnections | None = None
        """The HTTP connections; None: none is served."""
        self._tunnel: Tunnel | None = None
        self._turn: Turn | None = None
        self._turn_server: TurnServer | None = None
        self._certificate: CertificateFiles | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def limit_files(self, files: int) -> None:
        """Have no more connections than fit into so many file descriptors."""
        bounds = self._bounds.within(files)
        if bounds != self._bounds:
            logger.warning(
                "this process may open %d files only, so there can be fewer connections: %d HTTP, %d WebSockets, %d with media "
                "(raise the limit to %d: ulimit -n, LimitNOFILE=)",
                *(files, bounds.http.total, bounds.websockets.total, bounds.streams.total, self._bounds.files),
            )
        self._admission.fit(bounds)

    def bind(self) -> None:
        """Take the TCP ports, without listening on them yet: one that another process has shows before anything else is done.

        Raises:
            ConfigurationError: it has one.
        """
        edge = self._edge_settings
        ports = [edge.port]
        if edge.media_tcp_port and (edge.media_tcp or self._turn_settings.has_built_in):
            ports.append(edge.media_tcp_port)
        for port in ports:
            self._listeners.append(Listener(bind(edge.listen_host, port), self._admission, self.counters, self.limits))

    async def start(self, http: Callable[[], asyncio.Protocol] | None = None) -> None:
        """Open everything that is turned on.

        Args:
            http: makes the protocol that serves an HTTP connection; None: none is served.

        Raises:
            ConfigurationError: a port is taken, or the certificate cannot be used. Nothing is open then.
        """
        try:
            if not self._listeners:
                self.bind()
            self._open(http)
        except BaseException:
            self.close()
            raise

    def _open(self, http: Callable[[], asyncio.Protocol] | None) -> None:
        edge = self._edge_settings
        if edge.tls_cert:
            self._certificate = CertificateFiles(edge.tls_cert, edge.tls_key, self.counters)
            self._look_at_certificate(self._certificate)
        if http is not None:
            self.http = HttpConnections(http, self._admission)
        pages = self.http.open if self.http is not None else None
        listener, media_listener = self._listeners[0], self._listeners[-1]
        services = self._media_services(listener.hosts)
        if media_listener is listener:
            listener.start(replace(services, http=pages))
        else:
            listener.start(Services(http=pages, tls=services.tls))
            media_listener.start(services)
        if edge.media_tcp:
            self._engine.offer_tcp(media_listener.hosts, edge.public_port or media_listener.port)
        self._sweep()
        self._on_open()

    def reload(self) -> None:
        """Load the certificate again, if there is one; see `CertificateFiles.load_again`."""
        if self._certificate is not None:
            self._certificate.load_again()

    def stop_listening(self) -> None:
        """Take no new connections; those that are there go on."""
        for listener in self._listeners:
            listener.close()

    def close(self) -> None:
        self.stop_listening()
        if self._local is not None:
            self._local.close()
        for timer in self._timers:
            timer.cancel()
        for connection in self._streams:
            connection.close()
        for port in self._turn_ports:
            port.close()
        if self._turn is not None:
            self._turn.close()
        if self._tunnel is not None:
            self._tunnel.close()
        self._turn_ports.clear()
        self._turn = self._tunnel = None

    @property
    def port(self) -> int:
        """The TCP port of HTTP, once it is listened on."""
        return self._listeners[0].port

    @property
    def connection_count(self) -> int:
        """ICE-TCP and TURN connections."""
        return len(self._streams)

    def levels(self) -> dict[str, int]:
        """How much there is of what `LEVELS` names."""
        allocations = self._turn_server.allocation_count if self._turn_server is not None else 0
        ports = len(self._turn_ports)
        return {"streams": self.connection_count, "turn_allocations": allocations, "turn_udp_ports": ports}

    def certificate_levels(self) -> dict[str, float]:
        """What `CERTIFICATE_LEVELS` names, as far as there is a certificate."""
        expires_in = self._certificate.expires_in if self._certificate is not None else None
        return {} if expires_in is None else {"expiry_seconds": expires_in}

    def route_of(self, remote: Address) -> Route | None:
        """The route of the peer that the media plane sees at `remote` (`relay.media.api.RouteOf`)."""
        return route_of(remote, self._tunnel.route_of if self._tunnel is not None else lambda _: None)

    def ice_servers(self, profile: str, host: str, now: float, others: Sequence[str] = ()) -> list[IceServer]:
        """What a browser's `RTCConfiguration.iceServers` shall say; see `IceServers`."""
        return self._ice_servers.for_profile(profile, self._turn_settings.turn_host or host, now, others)

    def turn_urls(self) -> tuple[str, ...]:
        """Of the built-in TURN server, as clients of other nodes reach it too; none without `RELAY_TURN_HOST`."""
        host = self._turn_settings.turn_host
        return self._ice_servers.built_in(host) if host else ()

    # -- inside -------------------------------------------------------------------------------------------------------

    @property
    def _ice_servers(self) -> IceServers:
        edge, turn = self._edge_settings, self._turn_settings
        tcp = edge.public_port or self._listeners[-1].port if self._listeners else None
        return IceServers(
            credentials=self._credentials,
            urls=turn.turn_urls,
            udp_port=self._turn_ports[0].port if self._turn_ports else None,
            tcp_port=tcp if self._turn is not None else None,
            tls=self._certificate is not None,
        )

    def _media_services(self, hosts: tuple[str, ...]) -> Services:
        edge, tls, built_in = self._edge_settings, self._certificate, self._turn_settings.has_built_in
        if edge.media_tcp or built_in:
            self._tunnel = Tunnel(self.counters)
            self._tunnel.start()
        if built_in:
            self._open_turn(hosts)
        return Services(
            tls=(lambda: tls.context) if tls is not None else None,
            ice_tcp=self._ice_tcp if edge.media_tcp else None,
            turn=self._turn_connection if built_in else None,
        )

    def _open_turn(self, hosts: tuple[str, ...]) -> None:
        assert self._tunnel is not None, "TURN needs the tunnel"
        self._turn_server = TurnServer(
            self._turn_settings,
            credentials=self._credentials,
            media=self._media,
            relayed=self._relayed,
            counters=self.turn_counters,
        )
        self._turn = Turn(self._turn_server, self._tunnel, self._worker_port, self.counters)
        self._turn.start()
        port = self._turn_settings.turn_port
        try:
            for host in hosts:
                self._turn_ports.append(TurnPort(self._turn, host, port, self.counters))
                port = self._turn_ports[0].port
        except OSError as error:
            # Often another TURN server's. Where UDP gets through at all, it gets through to the media port.
            logger.warning("no TURN over UDP, as port %d is not to be had (RELAY_TURN_PORT): %s", port, error.strerror)
            while self._turn_ports:
                self._turn_ports.pop().close()
        for opened in self._turn_ports:
            opened.start()

    def _media(self) -> frozenset[Address]:
        """The media addresses, as TURN clients name them. Asked for every datagram."""
        ports, addresses = self._worker_ports(), self._addresses()
        if (ports, addresses) != self._media_of[0]:
            hosts = {str(ipaddress.ip_address(one)) for one in addresses}
            self._media_of = (ports, addresses), frozenset((host, port) for host in hosts for port in ports)
        return self._media_of[1]

    def _addresses(self) -> tuple[str, ...]:
        """Where media is said to be reachable, or may be."""
        return self._media_addresses if self._local is None else self._media_addresses + self._local.current

    def _worker_port(self, peer: Address) -> int | None:
        # Workers have a port each, and that is the same on all addresses.
        return peer[1] if peer in self._media() else None

    def _relayed(self, allocation_id: int) -> Address:
        assert self._tunnel is not None, "TURN needs the tunnel"
        hosts = self._addresses()
        if not all(":" in one for one in hosts):
            return self._tunnel.relayed(allocation_id)
        # Peers have to be of the allocation's family, and to media every stream is IPv4.
        return hosts[0], _FIRST_RELAYED_PORT + 2 * allocation_id % (65536 - _FIRST_RELAYED_PORT)

    def _ice_tcp(self, peer: Peer) -> IceTcp:
        assert self._tunnel is not None, "ICE-TCP needs the tunnel"
        connection = IceTcp(peer, self._tunnel, self._engine.port_of, self.counters, self._streams, self.limits)
        self._streams.add(connection)
        return connection

    def _turn_connection(self, peer: Peer) -> TurnConnection:
        assert self._turn is not None, "this is the TURN server's"
        connection = TurnConnection(peer, self._turn, self.counters, self._streams, self.limits)
        self._streams.add(connection)
        return connection

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._again(_SWEEP, self._sweep)
        for connection in self._streams:
            connection.sweep(loop.time())
        self._admission.shorten_keepalive()

    def _look_at_certificate(self, certificate: CertificateFiles) -> None:
        self._again(self.limits.certificate_interval, lambda: self._look_at_certificate(certificate))
        certificate.check()

    def _again(self, delay: float, what: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._timers = [one for one in self._timers if one.when() > loop.time()] + [loop.call_later(delay, what)]

"""The edge of the TURN server: its clients over UDP, TCP and TLS on one side, the tunnel to the media workers on the other."""

import asyncio
import ipaddress
import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Final, Protocol, cast

from relay.edge.counters import EdgeCounters
from relay.edge.limits import EdgeLimits
from relay.edge.tcp.connection import PacedConnection
from relay.edge.tcp.peers import Peer
from relay.edge.tcp.streams import StreamOwner
from relay.edge.tunnel import Stream, Tunnel
from relay.ip import family_of
from relay.media.api import Route
from relay.turn.messages import Address
from relay.turn.server import Allocated, Output, Released, SendToClient, ToPeer, TurnServer
from relay.turn.stream import NotTurn, split_stream

TICK: Final = 1.0
"""Seconds between looks at what has expired."""


class _Client(Protocol):
    """One of the server's clients, as it names them in its outputs."""

    @property
    def route(self) -> Route:
        """How it comes."""
        ...

    def send(self, datagram: bytes, wire: bytes) -> None:
        """Send `wire`, which carries the media plane's `datagram`, or is itself the answer to a request."""
        ...

    def allocated(self, number: int) -> None:
        """It has so many more allocations: 1 or -1."""
        ...


class Turn:
    """Runs a `TurnServer`: gives each of its allocations a stream per worker, and carries out what it says.

    Args:
        worker_port: the UDP port of the worker behind a media address; None: there is no such worker.
    """

    def __init__(
        self, server: TurnServer, tunnel: Tunnel, worker_port: Callable[[Address], int | None], counters: EdgeCounters
    ) -> None:
        self._server = server
        self._tunnel = tunnel
        self._worker_port = worker_port
        self._counters = counters
        self._streams: defaultdict[int, dict[Address, Stream]] = defaultdict(dict)
        """Allocation → peer → stream. One per peer, so that an answer is known to come from the address that was asked."""
        self._clients: dict[int, _Client] = {}
        """Allocation → whose it is."""
        # Credentials end at a Unix time, but the clock must not jump.
        self._epoch = time.time() - time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._tick()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for allocation_id in list(self._streams):
            self._release(allocation_id)

    def receive(self, client: Hashable, source: Address, message: bytes, *, stream: bool) -> None:
        """Take one message of a client. `client` is a `_Client`."""
        self._carry_out(self._server.receive(client, source, message, self._now(), stream=stream))

    def disconnected(self, client: Hashable) -> None:
        """The client is gone."""
        self._carry_out(self._server.disconnected(client))

    def _now(self) -> float:
        return self._epoch + time.monotonic()

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)
        self._carry_out(self._server.expire(self._now()))

    def _carry_out(self, outputs: list[Output], datagram: bytes | None = None) -> None:
        for one in outputs:
            match one:
                case ToPeer(allocation_id, peer, data):
                    self._to_peer(allocation_id, peer, data)
                case SendToClient(client, data):
                    cast(_Client, client).send(data if datagram is None else datagram, data)
                case Allocated(allocation_id, client):
                    self._clients[allocation_id] = cast(_Client, client)
                    self._clients[allocation_id].allocated(1)
                case Released(allocation_id):
                    self._release(allocation_id)

    def _to_peer(self, allocation_id: int, peer: Address, data: bytes) -> None:
        streams = self._streams[allocation_id]
        stream, port = streams.get(peer), self._worker_port(peer)
        if port is None:
            self._counters["turn_refused_peer"] += 1
            return
        if stream is None:

            def answered(datagram: bytes) -> None:
                self._carry_out(self._server.from_peer(allocation_id, peer, datagram, self._now()), datagram)

            # Two streams cannot have the allocation's address. Where media has one IPv4 address, there is only one.
            whose = None if streams else allocation_id
            stream = streams[peer] = self._tunnel.open(port, answered, self._clients[allocation_id].route, whose)
        self._tunnel.send(stream, data)

    def _release(self, allocation_id: int) -> None:
        for stream in self._streams.pop(allocation_id, {}).values():
            self._tunnel.shut(stream)
        client = self._clients.pop(allocation_id, None)
        if client is not None:
            client.allocated(-1)


class TurnConnection(PacedConnection):
    """A client over TCP or TLS."""

    def __init__(self, peer: Peer, turn: Turn, counters: EdgeCounters, owner: StreamOwner, limits: EdgeLimits) -> None:
        super().__init__(peer, counters, owner, limits)
        self._turn = turn
        self._source = plain_address((peer.host, peer.port))
        self._buffer = bytearray()
        self._without_allocation = limits.without_allocation
        self._allocations = 0
        self._idle_since = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        is_tls = self.peer.is_secure or transport.get_extra_info("sslcontext") is not None
        self.route = Route("turn-tls" if is_tls else "turn-tcp", family_of(self._source[0]))

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._buffer += data
        try:
            messages = split_stream(self._buffer)
        except NotTurn:
            self._abort("turn_malformed")
            return
        for message in messages:
            if not self._pace.admits():
                self._abort("refused_flood")
                return
            self._turn.receive(self, self._source, message, stream=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._turn.disconnected(self)
        self._owner.lost(self)

    def send(self, datagram: bytes, wire: bytes) -> None:
        self._outlet.send(datagram, wire)

    def allocated(self, number: int) -> None:
        self._allocations += number
        if number > 0:
            self._owner.established(self)
        else:
            self._owner.undecided(self)
        self._idle_since = self._loop.time()

    def _is_idle(self, now: float) -> bool:
        """Whether it has had no allocation for too long: one that has lives as long as that."""
        return not self._allocations and now - self._idle_since > self._without_allocation


def plain_address(name: tuple[str, int]) -> Address:
    """A socket's name of the other end, as (host, port): a scope is no part of the host."""
    return str(ipaddress.ip_address(name[0].partition("%")[0])), name[1]

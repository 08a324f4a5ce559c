"""ICE over TCP (RFC 6544), passive side: one connection, whose frames are carried to the worker that its first one names."""

from collections.abc import Callable

from relay.edge.counters import EdgeCounters
from relay.edge.limits import EdgeLimits
from relay.edge.tcp.checks import ufrag_of
from relay.edge.tcp.connection import PacedConnection
from relay.edge.tcp.framing import Frames, FrameTooLong, frame
from relay.edge.tcp.peers import Peer
from relay.edge.tcp.streams import StreamOwner
from relay.edge.tunnel import Stream, Tunnel
from relay.ip import family_of
from relay.media.api import Route


class IceTcp(PacedConnection):
    """One connection.

    Args:
        port_of: the UDP port of the worker that has the transport with an ICE user fragment.
    """

    def __init__(
        self,
        peer: Peer,
        tunnel: Tunnel,
        port_of: Callable[[str], int | None],
        counters: EdgeCounters,
        owner: StreamOwner,
        limits: EdgeLimits,
    ) -> None:
        super().__init__(peer, counters, owner, limits)
        self._tunnel = tunnel
        self._port_of = port_of
        self._idle = limits.idle
        self._is_established = False
        self._frames = Frames()
        self._stream: Stream | None = None
        self._deadline = self._loop.time() + limits.first_answer

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        try:
            for datagram in self._frames.feed(data):
                if not self._pace.admits():
                    self._abort("refused_flood")
                    return
                if not datagram:  # it says nothing, but it costs something
                    continue
                if self._stream is None:
                    self._stream = self._open(datagram)
                    if self._stream is None:
                        self._abort("ice_tcp_refused")
                        return
                self._tunnel.send(self._stream, datagram)
        except FrameTooLong:
            self._abort("ice_tcp_malformed")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stream is not None:
            self._tunnel.shut(self._stream)
        self._owner.lost(self)

    def _is_idle(self, now: float) -> bool:
        """Whether nothing has come from the worker for too long."""
        return now > self._deadline

    def _open(self, first: bytes) -> Stream | None:
        ufrag = ufrag_of(first)
        port = self._port_of(ufrag) if ufrag else None
        if port is None:
            return None
        return self._tunnel.open(port, self._from_worker, Route("tcp", family_of(self.peer.host)))

    def _from_worker(self, datagram: bytes) -> None:
        self._deadline = self._loop.time() + self._idle
        if not self._is_established:  # only an authentic check is answered
            self._is_established = True
            self._owner.established(self)
        self._outlet.send(datagram, frame(datagram))

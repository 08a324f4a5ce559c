"""HTTP connections, as the edge counts them: how many there are, from which networks, and which are WebSockets."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import cast

from relay.edge.tcp.admission import Admission
from relay.edge.tcp.peers import Peer


class HttpConnection(asyncio.Protocol):
    """Passes everything on to the protocol that serves it."""

    def __init__(self, served: asyncio.Protocol, peer: Peer, connections: "HttpConnections") -> None:
        self.served = served
        self.peer = peer
        self._connections = connections
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.made(self)
        self.served.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._connections.active(self)
        self.served.data_received(data)

    def eof_received(self) -> bool | None:
        return self.served.eof_received()

    def pause_writing(self) -> None:
        self.served.pause_writing()

    def resume_writing(self) -> None:
        self.served.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.lost(self)
        self.served.connection_lost(exc)

    def evict(self) -> None:
        self._transport.abort()


class HttpConnections:
    """All of them. The application names a connection by the protocol that serves it.

    Args:
        serve: makes such a protocol.
    """

    def __init__(self, serve: Callable[[], asyncio.Protocol], admission: Admission) -> None:
        self._serve = serve
        self._admission = admission
        self._by_served: dict[object, HttpConnection] = {}

    def open(self, peer: Peer) -> HttpConnection:
        """What serves a connection of that peer."""
        return HttpConnection(self._serve(), peer, self)

    def peer_of(self, served: object) -> Peer | None:
        """The peer of a served connection; None: the connection is not ours, or is over."""
        connection = self._by_served.get(served)
        return None if connection is None else connection.peer

    @contextlib.contextmanager
    def handling(self, served: object) -> Iterator[None]:
        """A request is being handled: the connection is not idle."""
        connection = self._by_served.get(served)
        if connection is None:
            yield
        else:
            with self._admission.busy(self._admission.http, connection):
                yield

    def upgraded(self, served: object, host: str | None) -> None:
        """The connection is a WebSocket from now on, of a client there."""
        connection = self._by_served.get(served)
        if connection is not None:
            self._admission.http.remove(connection)
            self._admission.enter(self._admission.websockets, connection, host or connection.peer.host)

    # -- what a connection says -----------------------------------------------------------------------------------------

    def made(self, connection: HttpConnection) -> None:
        self._by_served[connection.served] = connection
        self._admission.enter(self._admission.http, connection, connection.peer.host)

    def active(self, connection: HttpConnection) -> None:
        self._admission.active(self._admission.http, connection)

    def lost(self, connection: HttpConnection) -> None:
        self._by_served.pop(connection.served, None)
        self._admission.http.remove(connection)
        self._admission.websockets.remove(connection)

"""A TCP connection of which it is not known yet what it is for."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol, cast

from relay.edge.counters import EdgeCounters
from relay.edge.limits import EdgeLimits
from relay.edge.tcp.demux import MAX_HEAD, NEEDED, Kind, classify, has_whole_head
from relay.edge.tcp.outlet import UNSENT_LIMIT, configure_socket
from relay.edge.tcp.peers import Peer
from relay.edge.tcp.proxy_protocol import MAX_HEADER, MalformedHeader, begins_header, parse_header

_UNREAD: Final = 1 << 20
"""Bytes that must be there before a socket is readable (the kernel makes it half of its buffer). The first bytes are TLS's, but
uvloop begins to read before it can be told to wait."""

_NO_TLS: Final = bytes.fromhex("15 0301 0002 02 28")
"""RFC 8446 sections 5.1 and 6.2: a fatal alert, handshake_failure."""

Context = Callable[[], ssl.SSLContext]
"""The TLS settings for a connection that begins now."""


class Host(Protocol):
    """The listener that accepted a connection, and decides about it."""

    def takes_header(self, peer: Peer) -> bool:
        """Whether a PROXY header is believed from there; if not, that is counted."""
        ...

    def told(self, arrival: "Arrival") -> None:
        """A PROXY header has come."""
        ...

    def handshake_wait(self, peer: Peer) -> float:
        """Seconds until a TLS handshake with that peer may begin; 0: now, and it is counted."""
        ...

    def decided(self, arrival: "Arrival") -> None:
        """It is served from now on, or closed. Called once."""
        ...

    def protocol_for(self, kind: Kind, peer: Peer) -> asyncio.Protocol | None:
        """What serves a connection of that kind; None: nothing does, and that was counted."""
        ...


class Arrival(asyncio.Protocol):
    """One connection, from its acceptance until it is handed to what serves it, or refused.

    At first it is a socket whose bytes are only looked at, since TLS must see them all. If it is TLS, hands are shaken. Then it
    is a transport like any other, until enough has come to hand it on.

    Attributes:
        peer: the other end; once a PROXY header has come, the client that it names.
    """

    def __init__(
        self, connection: socket.socket, peer: Peer, tls: Context | None, host: Host, counters: EdgeCounters, limits: EdgeLimits
    ) -> None:
        self.peer = peer
        self._connection: socket.socket | None = connection
        self._tls = tls
        self._host = host
        self._counters = counters
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._peeked = 0
        self._may_have_header = True
        self._is_tls = False
        self._transport: asyncio.Transport | None = None
        self._is_readable = False
        """What comes now is what will be served; before, hands are still being shaken."""
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_over = False

    def start(self) -> None:
        assert self._connection is not None, "it has just been accepted"
        self._connection.setblocking(False)
        self._timer = self._loop.call_later(self._limits.decision_timeout, self._refuse, "refused_slow")
        self._loop.add_reader(self._connection, self._peek)

    def evict(self) -> None:
        """Hang up."""
        if self._is_over:
            return
        self._settle()
        if self._connection is not None:
            self._loop.remove_reader(self._connection)
            self._connection.close()
        elif self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _settle(self) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._host.decided(self)

    def _refuse(self, counter: str) -> None:
        if not self._is_over:
            self._counters[counter] += 1
            self.evict()

    # -- while it is a socket -----------------------------------------------------------------------------------------

    def _peek(self) -> None:
        connection = self._connection
        assert connection is not None, "it is looked at only as long as it is a socket"
        try:
            head = connection.recv(MAX_HEADER, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            head = b""
        if len(head) == self._peeked:  # readable, and yet nothing new: the other end has closed
            self._refuse("refused_silent")
            return
        try:
            rest = self._without_header(connection, head)
        except MalformedHeader:
            self._refuse("refused_proxy_header")
            return
        if self._is_over:
            return
        unread = head if rest is None else rest
        kind = None if rest is None else classify(rest[:NEEDED])
        if kind is None:
            # What is only looked at stays readable: without this we would be called again and again.
            self._peeked = len(unread)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(unread) + 1)
        elif kind is Kind.GARBAGE:
            self._refuse("refused_garbage")
        elif kind is Kind.TLS and self._tls is None:
            with contextlib.suppress(OSError):
                connection.recv(MAX_HEAD)  # with something unread, closing would be a reset, and the alert be lost
                connection.send(_NO_TLS)
            self._refuse("refused_tls")
        else:
            self._loop.remove_reader(connection)
            self._is_tls = kind is Kind.TLS
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _UNREAD if self._is_tls else 1)
            configure_socket(connection, self._limits.unacknowledged)
            self._connection = None
            self._task = self._loop.create_task(self._connect(connection))

    def _without_header(self, connection: socket.socket, head: bytes) -> bytes | None:
        """Take a PROXY header off, if there is one: what follows it is the client's. None: more has to come.

        Raises:
            MalformedHeader: it is none.
        """
        begins = self._may_have_header and begins_header(head)
        if begins is None:
            return None
        if not begins:
            self._may_have_header = False
            return head
        if not self._host.takes_header(self.peer):
            self.evict()
            return None
        header = parse_header(head)
        if header is None:
            return None
        connection.recv(header.length)
        self._may_have_header = False
        if header.client is not None:
            self.peer = header.client
        self._host.told(self)
        return head[header.length :]

    async def _connect(self, connection: socket.socket) -> None:
        try:
            while self._is_tls and (wait := self._host.handshake_wait(self.peer)):
                self._counters["tls_delayed"] += 1
                await asyncio.sleep(wait)
            await self._loop.connect_accepted_socket(lambda: self, connection)
        except OSError:
            connection.close()
            self._refuse("refused_silent")
            return
        except BaseException:
            connection.close()
            raise
        if not self._is_tls or self._is_over:
            return
        raw, tls = self._transport, self._tls
        assert raw is not None, "connection_made comes first"
        assert tls is not None, "TLS is refused where there is no certificate"
        raw.set_write_buffer_limits(high=UNSENT_LIMIT, low=0)
        self._counters["connections_tls"] += 1
        handshake = self._loop.create_task(
            self._loop.start_tls(raw, self, tls(), server_side=True, ssl_handshake_timeout=self._limits.decision_timeout)
        )
        handshake.add_done_callback(_consume_exception)
        try:
            for _ in range(2):  # one turn until TLS is in our place, one until it is ready to read
                await asyncio.sleep(0)
            with contextlib.suppress(OSError):  # it may be closed by now
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            secure = await handshake
        except (OSError, EOFError):  # ssl.SSLError is an OSError
            self._refuse("refused_tls")
            return
        finally:
            handshake.cancel()
        if secure is None or self._is_over:
            raw.abort()
            return
        self._transport = secure
        self._is_readable = True
        self._look()

    # -- once it is a transport ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._is_readable = not self._is_tls

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._buffer += data
        if self._is_readable:
            self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse("refused_silent" if self._is_readable else "refused_tls")

    def _look(self) -> None:
        """See whether enough is here to hand the connection on."""
        kind = classify(self._buffer)
        if kind is None:
            return
        if kind is Kind.HTTP and not has_whole_head(self._buffer):
            if len(self._buffer) > MAX_HEAD:
                self._refuse("refused_long")
            return
        transport = self._transport
        assert transport is not None, "only a transport is read from"
        self._settle()
        protocol = self._host.protocol_for(kind, self.peer)
        if protocol is None:
            transport.abort()
            return
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(self._buffer)


def _consume_exception(handshake: asyncio.Task[asyncio.Transport | None]) -> None:
    """Consume the exception of a handshake whose connection was closed meanwhile; asyncio would log it."""
    if not handshake.cancelled():
        handshake.exception()

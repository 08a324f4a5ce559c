"""Transports to the relay under test: local UDP ports, each of which forwards datagrams to one address by UDP, TCP or TURN.

aiortc is given those ports instead of the relay's candidates. So it can use ICE-TCP, which it does not implement, it uses only
the path under test, and what arrives is counted. Each local address that aiortc sends from gets a connection of its own, as
each candidate pair of a browser does.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, cast

from aioice import stun
from aioice.turn import TurnTransport, create_turn_endpoint

from relay.check.report import Target
from relay.edge.tcp.framing import Frames, FrameTooLong, frame

MAX_SOURCES: Final = 4
"""Local addresses of aiortc that are served: one for each network interface."""

MAX_BUFFERED: Final = 8
"""Datagrams that are buffered until a connection is open; ICE retransmits its checks."""

Receive = Callable[[bytes], None]
"""Takes a datagram that came from the relay."""


class Channel(Protocol):
    """One connection to the relay."""

    def send(self, datagram: bytes) -> None: ...

    def close(self) -> None: ...


class Connector(Protocol):
    """Opens connections."""

    async def __call__(self, receive: Receive) -> Channel:
        """
        Raises:
            OSError, ssl.SSLError, stun.TransactionError, asyncio.TimeoutError: the connection cannot be opened.
        """
        ...


@dataclass(frozen=True, slots=True)
class UdpConnector:
    """A UDP socket."""

    target: Target

    async def __call__(self, receive: Receive) -> Channel:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(lambda data, _: receive(data)), remote_addr=(self.target.host, self.target.port)
        )
        return _UdpChannel(transport)


@dataclass(frozen=True, slots=True)
class TcpConnector:
    """ICE-TCP (RFC 6544), with the framing of RFC 4571."""

    target: Target

    async def __call__(self, receive: Receive) -> Channel:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: _TcpChannel(receive), self.target.host, self.target.port)
        return protocol


@dataclass(frozen=True, slots=True)
class TurnConnector:
    """An allocation at a TURN server (RFC 8656).

    Args:
        server: address of the TURN server.
        media: the relay's candidate, the peer of the allocation.
        transport: `udp` or `tcp`.
        tls: None: without TLS.
    """

    server: Target
    media: Target
    username: str
    credential: str
    transport: str
    tls: ssl.SSLContext | None = None

    async def __call__(self, receive: Receive) -> Channel:
        transport, _ = await create_turn_endpoint(
            lambda: _Datagrams(lambda data, _: receive(data)),
            server_addr=(self.server.host, self.server.port),
            username=self.username,
            password=self.credential,
            ssl=self.tls,
            transport=self.transport,
        )
        return _TurnChannel(transport, (self.media.host, self.media.port))


class ProbeTransport:
    """The transport of one peer connection to one address. Made by `opened`.

    Attributes:
        target: that address, or that of the TURN server.
        port: the local address that aiortc sends to.
        received: bytes that came from the relay.
        problem: why a connection could not be opened; empty while none has failed.
    """

    def __init__(self, target: Target, connector: Connector) -> None:
        self.target = target
        self.port = Target("", 0)
        self.received = 0
        self.problem = ""
        self._connector = connector
        self._socket: asyncio.DatagramTransport | None = None
        self._channels: dict[Any, Channel] = {}
        self._buffered: dict[Any, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, target: Target, connector: Connector, host: str) -> AsyncIterator[Self]:
        """With a local port on `host`, a loopback address."""
        opened = cls(target, connector)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(opened._send), local_addr=(host, 0))
        opened._socket = transport
        opened.port = Target(*transport.get_extra_info("sockname")[:2])
        try:
            yield opened
        finally:
            await opened._close()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self._channels.values():
            channel.close()
        if self._socket is not None:
            self._socket.close()

    def _send(self, datagram: bytes, source: Any) -> None:
        if channel := self._channels.get(source):
            channel.send(datagram)
        elif source in self._buffered:
            if len(self._buffered[source]) < MAX_BUFFERED:
                self._buffered[source].append(datagram)
        elif len(self._buffered) < MAX_SOURCES:
            self._buffered[source] = [datagram]
            task = asyncio.create_task(self._open(source))
            self._tasks.add(task)

    async def _open(self, source: Any) -> None:
        try:
            channel = await self._connector(lambda datagram: self._receive(datagram, source))
        except stun.TransactionFailed as error:
            code, reason = error.response.attributes.get("ERROR-CODE", (0, ""))
            self.problem = f"the TURN server refuses: {code} {reason}".rstrip()
        except ssl.SSLCertVerificationError as error:
            self.problem = f"the TLS certificate is not valid: {error.verify_message}"
        except ssl.SSLError:
            self.problem = "the server does not speak TLS"
        except ConnectionRefusedError:
            self.problem = "connections are refused"
        except (OSError, stun.TransactionError, TimeoutError):
            # To ICE every other failure looks like a path without an answer.
            return
        else:
            self._channels[source] = channel
            for datagram in self._buffered[source]:
                channel.send(datagram)
            self._buffered[source].clear()

    def _receive(self, datagram: bytes, source: Any) -> None:
        assert self._socket is not None, "opened"
        self.received += len(datagram)
        if not self._socket.is_closing():
            self._socket.sendto(datagram, source)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[bytes, Any], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._receive(data, address)


class _TcpChannel(asyncio.Protocol):
    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for datagram in self._frames.feed(data):
                self._receive(datagram)
        except FrameTooLong:
            self.close()

    def send(self, datagram: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(datagram))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@dataclass(frozen=True, slots=True)
class _UdpChannel:
    transport: asyncio.DatagramTransport

    def send(self, datagram: bytes) -> None:
        self.transport.sendto(datagram)

    def close(self) -> None:
        self.transport.close()


@dataclass(frozen=True, slots=True)
class _TurnChannel:
    transport: TurnTransport
    peer: tuple[str, int]

    def send(self, datagram: bytes) -> None:
        self.transport.sendto(datagram, self.peer)

    def close(self) -> None:
        self.transport.close()

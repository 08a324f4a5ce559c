"""The ways of datagrams to the relay: UDP ports of this machine, each of which leads to one address by UDP, TCP or TURN.

aiortc is told of those ports instead of the relay's. So it uses ways that it does not know (ICE-TCP), no other than the one to be
tested, and what comes is seen. As with a browser's candidate pairs, each of its own addresses gets a connection of its own.
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
"""Addresses of aiortc that are served: its network interfaces."""

MAX_WAITING: Final = 8
"""Datagrams that wait for a connection; ICE sends its checks again."""

Receive = Callable[[bytes], None]
"""Takes a datagram that came from the relay."""


class Stream(Protocol):
    """One connection to the relay."""

    def send(self, datagram: bytes) -> None: ...

    def close(self) -> None: ...


class Opener(Protocol):
    """Makes connections."""

    async def __call__(self, receive: Receive) -> Stream:
        """
        Raises:
            OSError, ssl.SSLError, stun.TransactionError, asyncio.TimeoutError: it cannot be made.
        """
        ...


@dataclass(frozen=True, slots=True)
class UdpOpener:
    """A socket."""

    target: Target

    async def __call__(self, receive: Receive) -> Stream:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(lambda data, _: receive(data)), remote_addr=(self.target.host, self.target.port)
        )
        return _Socket(transport)


@dataclass(frozen=True, slots=True)
class TcpOpener:
    """ICE-TCP (RFC 6544): datagrams framed as RFC 4571 says."""

    target: Target

    async def __call__(self, receive: Receive) -> Stream:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: _FramedStream(receive), self.target.host, self.target.port)
        return protocol


@dataclass(frozen=True, slots=True)
class TurnOpener:
    """An allocation at a TURN server (RFC 8656).

    Args:
        server: its address.
        media: the relay's, where the allocation sends to.
        transport: `udp` or `tcp`.
        tls: None: none.
    """

    server: Target
    media: Target
    username: str
    credential: str
    transport: str
    tls: ssl.SSLContext | None = None

    async def __call__(self, receive: Receive) -> Stream:
        transport, _ = await create_turn_endpoint(
            lambda: _Datagrams(lambda data, _: receive(data)),
            server_addr=(self.server.host, self.server.port),
            username=self.username,
            password=self.credential,
            ssl=self.tls,
            transport=self.transport,
        )
        return _Allocation(transport, (self.media.host, self.media.port))


class Carrier:
    """The way of one peer connection to one address. Make it with `opened`.

    Attributes:
        target: that address, or that of the TURN server.
        port: where aiortc shall send to.
        received: bytes that came from the relay.
        problem: why a connection could not be made; empty while none has failed.
    """

    def __init__(self, target: Target, opener: Opener) -> None:
        self.target = target
        self.port = Target("", 0)
        self.received = 0
        self.problem = ""
        self._opener = opener
        self._socket: asyncio.DatagramTransport | None = None
        self._streams: dict[Any, Stream] = {}
        self._waiting: dict[Any, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, target: Target, opener: Opener, host: str) -> AsyncIterator[Self]:
        """With a port on `host`, a loopback address of this machine."""
        carrier = cls(target, opener)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(carrier._take), local_addr=(host, 0))
        carrier._socket = transport
        carrier.port = Target(*transport.get_extra_info("sockname")[:2])
        try:
            yield carrier
        finally:
            await carrier._close()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self._streams.values():
            stream.close()
        if self._socket is not None:
            self._socket.close()

    def _take(self, datagram: bytes, source: Any) -> None:
        if stream := self._streams.get(source):
            stream.send(datagram)
        elif source in self._waiting:
            if len(self._waiting[source]) < MAX_WAITING:
                self._waiting[source].append(datagram)
        elif len(self._waiting) < MAX_SOURCES:
            self._waiting[source] = [datagram]
            task = asyncio.create_task(self._open(source))
            self._tasks.add(task)

    async def _open(self, source: Any) -> None:
        try:
            stream = await self._opener(lambda datagram: self._give(datagram, source))
        except stun.TransactionFailed as error:
            code, reason = error.response.attributes.get("ERROR-CODE", (0, ""))
            self.problem = f"the TURN server refuses: {code} {reason}".rstrip()
        except ssl.SSLCertVerificationError as error:
            self.problem = f"the TLS certificate is not good: {error.verify_message}"
        except ssl.SSLError:
            self.problem = "no TLS is spoken there"
        except ConnectionRefusedError:
            self.problem = "connections are refused"
        except (OSError, stun.TransactionError, TimeoutError):
            # Whatever else it is, it looks to media like a path without an answer.
            return
        else:
            self._streams[source] = stream
            for datagram in self._waiting[source]:
                stream.send(datagram)
            self._waiting[source].clear()

    def _give(self, datagram: bytes, source: Any) -> None:
        assert self._socket is not None, "it has been opened"
        self.received += len(datagram)
        if not self._socket.is_closing():
            self._socket.sendto(datagram, source)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Any], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._take(data, address)


class _FramedStream(asyncio.Protocol):
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
class _Socket:
    transport: asyncio.DatagramTransport

    def send(self, datagram: bytes) -> None:
        self.transport.sendto(datagram)

    def close(self) -> None:
        self.transport.close()


@dataclass(frozen=True, slots=True)
class _Allocation:
    transport: TurnTransport
    media: tuple[str, int]

    def send(self, datagram: bytes) -> None:
        self.transport.sendto(datagram, self.media)

    def close(self) -> None:
        self.transport.close()

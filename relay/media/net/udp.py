"""The UDP sockets of the media plane: received by batches into a ring, and sent by batches out of it.

A subclass says what becomes of a batch (`relay.media.routing.direct`). That is one call per batch, and none per packet.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from relay.media.net.mmsg import (
    BATCH,
    BUFFER_SIZE,
    Packet,
    ReceiveRing,
    SendBatch,
    address_of,
    ffi,
    unpack_address,
)
from relay.media.net.source_filter import SourceFilter

BATCHES_PER_TURN: Final = 4
"""System calls before the event loop gets its turn: about 2 ms of packets, so that signaling breathes under full load."""

SOCKET_BUFFER: Final = 4 * 1024 * 1024
"""Bytes that the kernel may keep for us each way (it grants what net.core.rmem_max allows): 100 ms at 300 Mbit/s."""

MAX_PACKET: Final = BUFFER_SIZE - 148
"""Bytes of a received packet, so that the trailers of SRTP and SRTCP fit behind it."""

_SO_RCVBUFFORCE: Final = 33

AddressKey = int | tuple[int, int, int]
"""A source address as the forwarding path reads it from the kernel's memory: one uint64 (IPv4) or three (IPv6)."""


class Remote:
    """A peer's address, as seen by one socket: ready to be a destination."""

    __slots__ = ("allowance", "host_port", "key", "last_seen", "memory", "name", "outgoing", "socket", "source", "transport")

    def __init__(self, own: "UdpSocket", raw: bytes) -> None:
        self.socket = own
        self.outgoing = own.outgoing
        self.host_port = unpack_address(raw)
        self.source = (raw[8:24] if own.is_ipv6 else raw[4:8], self.host_port[1])
        """The same, as a filter compares it."""
        self.memory = ffi.new("unsigned char[]", raw)
        self.name = address_of(self.memory)
        self.key = own.key(raw)
        self.transport: Any = None
        """The `Transport` whose peer is there; set when the address is put into `routes`."""
        self.last_seen = 0.0
        """When something authentic last arrived from there; seconds, monotonic."""
        self.allowance = 0
        """Bytes that may be sent there while nothing shows that the peer receives them (`relay.media.transport.path`)."""

    def send(self, datagram: bytes) -> None:
        """Send one datagram outside the forwarding path."""
        self.socket.send(datagram, self)

    def forget(self) -> None:
        self.socket.forget(self)


class UdpSocket:
    """One socket, bound to one address of this machine: answers leave from the address that the peer sent to.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(
        self,
        host: str,
        port: int,
        ring: ReceiveRing,
        counters: dict[str, int],
    ) -> None:
        self.is_ipv6 = ":" in host
        self._socket = socket.socket(socket.AF_INET6 if self.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if self.is_ipv6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
            with contextlib.suppress(OSError):  # with CAP_NET_ADMIN, whatever net.core.rmem_max is
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, SOCKET_BUFFER)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
            self._socket.setblocking(False)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self.filter = SourceFilter(self._socket)
        """What the kernel drops before it is received."""
        self.routes: dict[AddressKey, Remote] = {}
        """Addresses that a transport has validated."""
        self._retired: list[Any] = []
        self.outgoing: list[Packet] = []
        """What waits to be sent when the batch that is being forwarded is done."""
        self.kept: list[Any] = []
        """What a subclass looks at when the packets that arrived with it are sent."""
        self._batch = SendBatch(self._socket.fileno(), 28 if self.is_ipv6 else 16)
        self._descriptor = self._socket.fileno()
        self._ring = ring
        self.on_load: Callable[[float], None] = lambda _: None
        """Told the time (seconds, monotonic) whenever a whole batch was waiting."""
        self._counters = counters

    def start(self) -> None:
        """Begin to receive, in the running event loop."""
        asyncio.get_running_loop().add_reader(self._descriptor, self._readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self._socket.close()

    def forget(self, remote: Remote) -> None:
        """Take an address out of the routing table. Headers that wait to be sent may still point to it, so it is freed later."""
        if self.routes.get(remote.key) is remote:
            del self.routes[remote.key]
        self._retired.append(remote.memory)

    def key(self, raw: bytes) -> AddressKey:
        """The routing key of a socket address."""
        quads = memoryview(raw).cast("Q")
        return (quads[0], quads[1], quads[2]) if self.is_ipv6 else quads[0]

    def send(self, datagram: bytes, remote: Remote) -> None:
        try:
            self._socket.sendto(datagram, remote.host_port)
        except OSError:
            self._counters["dropped_send"] += 1

    @property
    def octets(self) -> memoryview:
        """The ring's memory: what was received, as it lies there."""
        return self._ring.bytes

    def taken(self, start: int, length: int) -> bytes:
        """The datagram that lies there in the ring."""
        return self._ring.bytes[start : start + length].tobytes()

    def source(self, start: int) -> bytes:
        """The source of the datagram that lies there in the ring, as the kernel wrote it."""
        return self._ring.address(start // BUFFER_SIZE)

    # -- receiving ----------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        now = time.monotonic()
        self._retired.clear()
        for _ in range(BATCHES_PER_TURN):
            first, count = self._ring.fill(self._descriptor)
            if count:
                pending: list[UdpSocket] = []
                try:
                    self._forward(first, count, now, pending)
                finally:
                    for one in pending:
                        one.flush()
            if count < BATCH:
                break
            self.on_load(now)
        if self.kept:
            self._sent(now)

    def flush(self) -> None:
        """Send what waits."""
        packets = self.outgoing
        refused = self._batch.send(packets)
        self._counters["packets_sent"] += len(packets) - refused
        if refused:
            self._counters["dropped_send"] += refused
        packets.clear()

    def _sent(self, now: float) -> None:
        """All that was received in this turn has been sent: take what is in `kept`."""
        raise NotImplementedError

    def _forward(self, slot: int, count: int, now: float, pending: "list[UdpSocket]") -> None:
        """Handle `count` datagrams of the ring from `slot` on. Sockets with something to send afterwards go into `pending`."""
        raise NotImplementedError

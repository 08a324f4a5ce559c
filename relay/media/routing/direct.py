"""The UDP sockets of the media plane, and the forwarding path.

`UdpSocket._forward` is where the relay spends its time. Per packet it makes no task, no queue entry, no log line and no object
but small integers: it looks up the source address, decrypts in the receive buffer, encrypts in the same buffer, and writes one
message header for sendmmsg. Whatever is not the plain case (handshakes, RTCP, a party that is not up yet) leaves it by a call.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from relay.media.net.dtls_srtp import (
    length_cell,
    srtcp_protect,
    srtcp_unprotect,
    srtp_protect,
    srtp_unprotect,
)
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
from relay.media.quality.counters import Counters
from relay.media.routing.bridge import read_rtcp
from relay.media.transport.intake import hear, refusal, take_first
from relay.media.transport.transport import Transport
from relay.rtp.packet import peek

BATCHES_PER_TURN: Final = 4
"""System calls before the event loop gets its turn: about 2 ms of packets, so that signaling breathes under full load."""

SOCKET_BUFFER: Final = 4 * 1024 * 1024
"""Bytes that the kernel may keep for us each way (it grants what net.core.rmem_max allows): 100 ms at 300 Mbit/s."""

MAX_PACKET: Final = BUFFER_SIZE - 148
"""Bytes of a received packet, so that the trailers of SRTP and SRTCP fit behind it."""

_SO_RCVBUFFORCE: Final = 33

AddressKey = int | tuple[int, int, int]
"""A source address as the forwarding path reads it from the kernel's memory: one uint64 (IPv4) or three (IPv6)."""


class StunSink(Protocol):
    """Takes what arrives with a first byte of 0 to 3."""

    def __call__(self, own: "UdpSocket", datagram: bytes, raw: bytes, known: "Remote | None", now: float) -> None:
        """`raw` is the source as the kernel wrote it; `known`, if a transport has validated it."""
        ...


class StraySink(Protocol):
    """Takes SRTP and SRTCP, of at least 12 bytes, from addresses that no transport has validated."""

    def __call__(self, own: "UdpSocket", start: int, length: int, ssrc: int, now: float) -> None:
        """`start` and `length` say where it lies: `UdpSocket.source` and `taken` have the rest, if the SSRC makes one want it."""
        ...


class StrayDtlsSink(Protocol):
    """Takes DTLS from addresses that no transport has validated."""

    def __call__(self, own: "UdpSocket", datagram: bytes, raw: bytes, now: float) -> None:
        """`raw` is the source as the kernel wrote it."""
        ...


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
        on_stun: StunSink,
        on_stray: StraySink,
        on_stray_dtls: StrayDtlsSink,
        counters: Counters,
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
        self._batch = SendBatch(self._socket.fileno(), 28 if self.is_ipv6 else 16)
        self._descriptor = self._socket.fileno()
        self._ring = ring
        self.on_load: Callable[[float], None] = lambda _: None
        """Told the time (seconds, monotonic) whenever a whole batch was waiting."""
        self._on_stun = on_stun
        self._on_stray = on_stray
        self._on_stray_dtls = on_stray_dtls
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
                return
            self.on_load(now)

    def flush(self) -> None:
        """Send what waits."""
        packets = self.outgoing
        refused = self._batch.send(packets)
        self._counters["packets_sent"] += len(packets) - refused
        if refused:
            self._counters["dropped_send"] += refused
        packets.clear()

    def _forward(self, slot: int, count: int, now: float, pending: "list[UdpSocket]") -> None:  # noqa: PLR0912, PLR0915
        """Handle `count` datagrams of the ring. Straight-line code with local names: each call or attribute saved shows.

        Sockets that have something to send afterwards are added to `pending`.
        """
        ring = self._ring
        octets, addresses, lengths = ring.bytes, ring.addresses, ring.lengths
        routes, is_ipv6, counters = self.routes, self.is_ipv6, self._counters
        cell, unprotect, protect = length_cell, srtp_unprotect, srtp_protect
        received = received_bytes = 0
        for serial, (start, pointer, base, length_at, at) in enumerate(ring.slots[slot : slot + count], ring.next_serial - count):
            first, second, sequence, timestamp, ssrc = peek(octets, start)
            length = lengths[length_at]
            if not 127 < first < 192 or not 12 <= length <= MAX_PACKET:
                self._receive_other(start, first, length, now)
                continue
            remote = routes.get(addresses[at] if not is_ipv6 else (addresses[at], addresses[at + 1], addresses[at + 2]))
            if remote is None:
                # RFC 3550 section 6.4.1: RTCP has the SSRC where RTP has the timestamp.
                self._on_stray(self, start, length, timestamp if 191 < second < 224 else ssrc, now)
                continue
            source = remote.transport
            rx = source.rx
            if rx is None:
                source.receive_early(self.taken(start, length))
                continue
            cell[0] = length
            # RFC 5761 section 4: payload types 64 to 95 would be RTCP packet types 192 to 223.
            if 191 < second < 224:
                self._forward_rtcp(remote, start, pointer, base, length, now, pending)
                continue
            stream = source.streams.get(ssrc)
            if stream is not None:
                status = unprotect(rx, pointer, cell)
                if status:
                    counters[refusal(status)] += 1
                    continue
            else:
                if not self._take_first(source, start, length, now):
                    continue
                stream = source.streams[ssrc]
            size = cell[0]
            if stream.received(sequence, timestamp, size, now) and stream.is_read:
                source.read_payload(stream, octets[start : start + size], timestamp)
            remote.last_seen = now
            received += 1
            received_bytes += length
            target = source.peer
            if target is None:
                counters["dropped_unjoined"] += 1
                continue
            tx = target.tx
            if tx is None:
                source.hold(octets[start : start + size].tobytes(), is_rtcp=False)
                continue
            if protect(tx, pointer, cell):
                counters["dropped_unprotectable"] += 1
                continue
            size = cell[0]
            sent = target.sent.get(ssrc)
            if sent is None or sent.ring is not ring:
                sent = target.history.open_stream(ssrc, ring)
            sent.store(sequence, serial, size, now)
            destination = target.destination
            outgoing = destination.outgoing
            if not outgoing:
                pending.append(destination.socket)
            outgoing.append((base, size, destination))
        counters["packets_received"] += received
        counters["bytes_received"] += received_bytes

    def _take_first(self, source: Transport, start: int, length: int, now: float) -> bool:
        """Decrypt a packet of a stream that is new, or was silent for long, where it lies; False if it is none."""
        packet = take_first(source, self.taken(start, length), now)
        if isinstance(packet, str):
            self._counters[packet] += 1
            return False
        self._ring.bytes[start : start + len(packet)] = packet
        length_cell[0] = len(packet)
        return True

    def _forward_rtcp(
        self, remote: Remote, start: int, pointer: Any, base: int, length: int, now: float, pending: "list[UdpSocket]"
    ) -> None:
        """Handle a compound RTCP packet: a tenth of all packets. Its length is in the cell."""
        counters, source = self._counters, remote.transport
        ssrc = int.from_bytes(self._ring.bytes[start + 4 : start + 8], "big")
        if not source.ssrcs.has_room(ssrc, now):
            counters["dropped_streams"] += 1
            return
        status = srtcp_unprotect(source.rx, pointer, length_cell)
        if status:
            counters[refusal(status)] += 1
            return
        if not source.budget.admits_rtcp(now):
            counters["dropped_policed"] += 1
            return
        if not hear(source, ssrc, now):
            counters["dropped_streams"] += 1
            return
        remote.last_seen = now
        counters["packets_received"] += 1
        counters["bytes_received"] += length
        target = source.peer
        if target is None:
            counters["dropped_unjoined"] += 1
        elif not self._read_rtcp(source, start, now):
            pass
        elif target.tx is None:
            source.hold(self._ring.bytes[start : start + length_cell[0]].tobytes(), is_rtcp=True)
        elif srtcp_protect(target.tx, pointer, length_cell):
            counters["dropped_unprotectable"] += 1
        else:
            destination = target.destination
            if not destination.outgoing:
                pending.append(destination.socket)
            destination.outgoing.append((base, length_cell[0], destination))

    def _read_rtcp(self, source: Transport, start: int, now: float) -> bool:
        """Let the bridge read a decrypted compound packet, and leave in its place what is to be forwarded; False if nothing."""
        octets = self._ring.bytes
        compound = octets[start : start + length_cell[0]].tobytes()
        remaining = read_rtcp(source, compound, now)
        if remaining is None:
            return False
        assert len(remaining) <= len(compound), "the next slot holds somebody else's packet"
        octets[start : start + len(remaining)] = remaining
        length_cell[0] = len(remaining)
        return True

    def _receive_other(self, start: int, first: int, length: int, now: float) -> None:
        """Take a datagram that is not SRTP (RFC 7983)."""
        counters = self._counters
        if length > MAX_PACKET:
            counters["datagrams_too_long"] += 1
            return
        if length == 0 or (first > 3 and not 20 <= first <= 63):
            counters["rtp_malformed" if 127 < first < 192 and length else "unknown_class"] += 1
            return
        datagram, raw = self.taken(start, length), self.source(start)
        known = self.routes.get(self.key(raw))
        if first <= 3:
            self._on_stun(self, datagram, raw, known, now)
        elif known is None:
            self._on_stray_dtls(self, datagram, raw, now)
        else:
            counters["dtls_received"] += 1
            known.transport.receive_dtls(datagram, now, known)

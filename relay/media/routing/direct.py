"""Direct routing: the forwarding path, on which packets cross unchanged between two transports.

`ForwardingSocket._forward` is where the relay spends its time. Per packet it makes no task, no queue entry, no log line and no
object but small integers: it looks up the source address, decrypts in the receive buffer, encrypts in the same buffer, and writes
one message header for sendmmsg. Whatever is not the plain case (handshakes, RTCP, a party that is not up yet) leaves it by a
call, and takes the slow path (`relay.media.routing.slow`).
"""

from typing import Any, Protocol

from relay.media.net.dtls_srtp import length_cell, srtcp_protect, srtp_protect, srtp_unprotect
from relay.media.net.mmsg import ReceiveRing
from relay.media.net.udp import MAX_PACKET, Remote, UdpSocket
from relay.media.quality.counters import MediaCounters
from relay.media.routing.slow import TappedPackets, receive, show
from relay.media.transport.intake import refusal, take_first
from relay.media.transport.transport import Transport
from relay.rtp.packet import peek


class StunSink(Protocol):
    """Takes what arrives with a first byte of 0 to 3."""

    def __call__(self, own: UdpSocket, datagram: bytes, raw: bytes, known: Remote | None, now: float) -> None:
        """`raw` is the source as the kernel wrote it; `known`, if a transport has validated it."""
        ...


class UnvalidatedSink(Protocol):
    """Takes SRTP and SRTCP, of at least 12 bytes, from addresses that no transport has validated."""

    def __call__(self, own: "ForwardingSocket", start: int, length: int, now: float) -> None:
        """`start` and `length` say where it lies: `UdpSocket.octets`, `source` and `taken` have the rest; `kept` gets what a
        tap is to see.
        """
        ...


class UnvalidatedDtlsSink(Protocol):
    """Takes DTLS from addresses that no transport has validated."""

    def __call__(self, own: UdpSocket, datagram: bytes, raw: bytes, now: float) -> None:
        """`raw` is the source as the kernel wrote it."""
        ...


class ForwardingSocket(UdpSocket):
    """A socket whose packets are forwarded.

    Args:
        on_stun, on_unvalidated, on_unvalidated_dtls: take what is not the forwarding path's.
    """

    def __init__(
        self,
        host: str,
        port: int,
        ring: ReceiveRing,
        on_stun: StunSink,
        on_unvalidated: UnvalidatedSink,
        on_unvalidated_dtls: UnvalidatedDtlsSink,
        counters: MediaCounters,
    ) -> None:
        super().__init__(host, port, ring, counters)
        self._on_stun = on_stun
        self._on_unvalidated = on_unvalidated
        self._on_unvalidated_dtls = on_unvalidated_dtls
        self.kept: TappedPackets = []

    def _sent(self, now: float) -> None:
        show(self.kept, now)

    def _forward(self, slot: int, count: int, now: float, pending: list[UdpSocket]) -> None:  # noqa: PLR0912, PLR0915
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
                self._on_unvalidated(self, start, length, now)
                continue
            source = remote.transport
            rx = source.rx
            if rx is None:
                source.receive_early(self.taken(start, length))
                continue
            cell[0] = length
            if 191 < second < 224:  # `relay.rtp.packet.is_rtcp`, without a call
                self._receive_rtcp(remote, start, pointer, base, length, now, pending)
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
            if source.tap is not None:
                self.kept.append((source, octets[start : start + size].tobytes()))
            remote.last_seen = now
            received += 1
            received_bytes += length
            target = source.peer
            if target is None:
                counters["dropped_unjoined"] += 1
                continue
            tx = target.tx
            if tx is None:
                source.buffer(octets[start : start + size].tobytes(), is_rtcp=False)
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

    def _receive_rtcp(
        self, remote: Remote, start: int, pointer: Any, base: int, length: int, now: float, pending: list[UdpSocket]
    ) -> None:
        """Take a compound RTCP packet, about a tenth of all packets, by the slow path."""
        counters, source = self._counters, remote.transport
        packet = receive(source, self.taken(start, length), now, self.kept)
        if isinstance(packet, str):
            counters[packet] += 1
            return
        remote.last_seen = now
        if not packet:
            return
        assert len(packet) <= length, "the next slot holds another packet"
        # Encrypted where it came in, it leaves with its batch.
        self._ring.bytes[start : start + len(packet)] = packet
        length_cell[0] = len(packet)
        target = source.peer
        if srtcp_protect(target.tx, pointer, length_cell):
            counters["dropped_unprotectable"] += 1
            return
        destination = target.destination
        if not destination.outgoing:
            pending.append(destination.socket)
        destination.outgoing.append((base, length_cell[0], destination))

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
            self._on_unvalidated_dtls(self, datagram, raw, now)
        else:
            counters["dtls_received"] += 1
            known.transport.receive_dtls(datagram, now, known)

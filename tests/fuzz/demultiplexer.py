"""An engine whose receive ring is filled by hand: datagrams from anywhere, without the kernel.

Two peers are in a call, whose media must cross whatever else arrives. Mallory is in another one: her keys and her password are
good, and she may do with them what she likes.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from relay.media.api import TransportClosed
from relay.media.net.dtls_srtp import QUEUE_LENGTH
from relay.media.net.mmsg import ADDRESS_SIZE, BATCH, BUFFER_SIZE, HEADER_WORDS, LENGTH_WORD, ReceiveRing
from relay.media.net.udp import BATCHES_PER_TURN, UdpSocket
from relay.media.quality.statistics import MAX_STREAMS
from relay.media.repair.history import MAX_STREAMS as MAX_SENT_STREAMS
from relay.media.repair.history import SentStream
from relay.media.transport.buffers import MAX_BUFFERED
from relay.media.transport.path import MAX_ADDRESSES
from relay.media.validation import MAX_FAILING_HOSTS
from tests.fuzz.make_corpus import (
    FIRST,
    FORGED_CHECK,
    MALLORY,
    MALLORY_CHECK,
    MALLORY_RTCP,
    MALLORY_RTP,
    SECOND,
    SSRC,
    UFRAG,
)
from tests.fuzz.seeds import signed
from tests.kit.media import INTAKE, IPV4, IPV6, RunningEngine, rtp_packet
from tests.kit.wires import Address

_SSRCS: Final = range(0x5000, 0x5010)
"""Of what Mallory sends."""


def socket_address(address: Address) -> bytes:
    """As the kernel writes it: struct sockaddr_in or sockaddr_in6, in a slot of the ring."""
    host, port = address
    if ":" in host:
        raw = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16s", port, 0, socket.inet_pton(socket.AF_INET6, host))
    else:
        raw = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s", port, socket.inet_aton(host))
    return raw.ljust(ADDRESS_SIZE, b"\0")


class FedRing(ReceiveRing):
    """A ring that datagrams are put into from `waiting`, as if they had come from the network; then from there."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[bytes, bytes]] = []
        """Source address, as of `socket_address`, and datagram; the next one is the last."""

    def fill(self, descriptor: int) -> tuple[int, int]:
        waiting = self.waiting
        if not waiting:
            return super().fill(descriptor)
        first = self.next_serial % self.capacity
        count = min(BATCH, self.lay_out(first), len(waiting))
        octets, lengths, addresses = self.bytes, self.lengths, self._names
        for slot in range(first, first + count):
            address, datagram = waiting.pop()
            length = len(datagram)
            start = slot * BUFFER_SIZE
            octets[start : start + length] = datagram
            lengths[slot * HEADER_WORDS + LENGTH_WORD] = length
            addresses[slot * ADDRESS_SIZE : (slot + 1) * ADDRESS_SIZE] = address
        self.next_serial += count
        return first, count

    @property
    def _names(self) -> memoryview:
        return self.addresses.cast("B")


class Demultiplexer:
    """A running engine, and what may be asked of it. To be used outside of any event loop; `close` it.

    Attributes:
        relay: the engine and its peers.
        fed: datagrams so far, each of which must have been counted once.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._context = RunningEngine.started(IPV4, IPV6)
        self.relay = self._runner.run(self._context.__aenter__())
        self.fed = 0
        self._sequence = 0
        self._runner.run(self._meet())
        self.transports = self.relay.engine._transports
        sockets = self.relay.engine._listening.sockets
        self.sockets: dict[bool, UdpSocket] = {one.is_ipv6: one for one in sockets}
        self.rings = {False: FedRing(), True: FedRing()}
        for one in sockets:
            one._ring = self.rings[one.is_ipv6]
        self.addresses = {peer: socket_address(peer.path.address) for peer in (self.first, self.second, self.mallory)}
        self._before = self._counted()
        self._remember_what_mallory_may_ask_for()

    async def _meet(self) -> None:
        relay = self.relay
        self.first, self.second = await relay.call(IPV4, IPV6)
        self.mallory = await relay.peer("mallory", host=IPV4, router="other")
        self.accomplice = await relay.peer("accomplice", host=IPV6, router="other")
        await relay.engine.route("other", ("mallory", "accomplice"))
        await relay.connect(self.mallory, self.accomplice)
        self.peers = (self.first, self.second, self.mallory, self.accomplice)
        for peer in self.peers:
            peer.answers_checks = False  # nothing comes from the network that was not fed

    def _remember_what_mallory_may_ask_for(self) -> None:
        """A stream that was sent to her and does not grow old."""
        ring = ReceiveRing(BATCH)
        ring.next_serial = BATCH
        stream = SentStream(ring)
        for slot, sequence in enumerate(range(64, 64 + BATCH)):
            ring.bytes[slot * BUFFER_SIZE : slot * BUFFER_SIZE + 12] = struct.pack("!BBHII", 0x80, 96, sequence, 0, SSRC)
            stream.store(sequence, slot, 12, time.monotonic() + 1e9)
        self.transports["mallory"].history.streams[SSRC] = stream

    # -- feeding

    def feed(self, datagrams: Iterable[tuple[bytes, bytes]]) -> None:
        """Receive datagrams from these addresses (`socket_address`), in this order in each address family."""
        split: dict[bool, list[tuple[bytes, bytes]]] = {False: [], True: []}
        for address, datagram in datagrams:
            split[address[0] == socket.AF_INET6].append((address, datagram))
        for is_ipv6, waiting in split.items():
            self.fed += len(waiting)
            waiting.reverse()
            ring, own = self.rings[is_ipv6], self.sockets[is_ipv6]
            ring.waiting = waiting
            while waiting:
                own._readable()

    def survives(self, data: bytes) -> None:
        """Feed a run of frames (`make_corpus.frames`), and see that nothing has come of it."""
        datagrams = self._datagrams(data)
        self.still_talk(datagrams)
        if any(datagram and 20 <= datagram[0] <= 63 for _, datagram in datagrams):
            self.turn()
        self.drain()
        self.adds_up()

    def turn(self) -> None:
        """Let the engine's tasks run that have something to do: those that read DTLS."""
        for _ in range(3):
            self._runner.run(asyncio.sleep(0))

    def still_talk(self, amid: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """A packet of the live call crosses each way, unchanged, right behind these datagrams."""
        for peer in (self.first, self.second):
            # As if they had answered a check, which is not fed: this takes longer than consent lasts.
            self.transports[peer.transport_id].path.consent.grant(time.monotonic())
        before = list(amid)
        for sender, receiver, ssrc in ((self.first, self.second, 0xAAAA), (self.second, self.first, 0xBBBB)):
            self._sequence += 1
            packet = rtp_packet(self._sequence, ssrc)
            self.feed([*before, (self.addresses[sender], sender.encrypted(packet))])
            before.clear()
            receiver.path._readable()
            assert receiver.packets[-1:] == [packet], "media does not cross any more"

    def drain(self) -> None:
        """Read what the peers were sent, and forget it."""
        for peer in self.peers:
            peer.path._readable()
            peer.path.received.clear()
            peer.packets.clear()
            peer.answers.clear()
            while not peer._wire.queue.empty():
                peer._wire.queue.get_nowait()
        assert self.first.undecryptable == self.second.undecryptable == 0, "something else came, or came spoiled"

    def _datagrams(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """What the frames say, with Mallory's keys and password where they say so."""
        found: list[tuple[bytes, bytes]] = []
        position = 0
        while position + 3 <= len(data):
            sender, length = struct.unpack_from("!BH", data, position)
            position += 3
            # No more than a receive buffer takes.
            datagram = data[position : position + length][:BUFFER_SIZE]
            position += length
            found += self._datagram(sender & 7, sender >> 3, datagram)
        return found

    def _datagram(self, sender: int, number: int, datagram: bytes) -> list[tuple[bytes, bytes]]:
        mallory = self.addresses[self.mallory]
        if sender in (MALLORY_RTP, MALLORY_RTCP):
            encrypted = self._encrypted(datagram, rtcp=sender == MALLORY_RTCP)
            return [] if encrypted is None else [(mallory, encrypted)]
        if sender in (MALLORY_CHECK, FORGED_CHECK):
            relay = self.mallory.relay
            datagram = signed(datagram.replace(UFRAG.encode(), relay.ufrag.encode()), relay.pwd) or datagram
        elsewhere = socket_address((f"203.0.113.{number}", 9) if number < 16 else (f"2001:db8::{number}", 9))
        known = {FIRST: self.addresses[self.first], SECOND: self.addresses[self.second], MALLORY: mallory, MALLORY_CHECK: mallory}
        return [(known.get(sender, elsewhere), datagram)]

    def _encrypted(self, packet: bytes, *, rtcp: bool) -> bytes | None:
        """As authentic as can be; None if libsrtp does not take it."""
        if len(packet) < 12:
            return None
        self._sequence += 1
        changed = bytearray(packet[:1880])
        changed[0] = 0x80 | changed[0] & 0x3F
        if rtcp:
            changed[1] = 192 + changed[1] % 32
            changed[4:8] = _SSRCS[changed[7] % 16].to_bytes(4)
        else:
            changed[2:4] = (self._sequence & 0xFFFF).to_bytes(2)
            changed[8:12] = _SSRCS[changed[11] % 16].to_bytes(4)
        try:
            return self.mallory.encrypted(bytes(changed), rtcp=rtcp)
        except ValueError:
            return None

    # -- seeing what has come of it

    def counted(self) -> Mapping[str, int]:
        """The engine's counters."""
        return self.relay.engine._counters

    def _counted(self) -> int:
        """How many datagrams have been counted, each once."""
        counters = self.counted()
        return sum(counters[name] for name in (*INTAKE, "dtls_received"))

    def adds_up(self) -> None:
        """Every datagram is counted in one counter, no transport is closed, and no table is longer than it may be."""
        assert self._counted() - self._before == self.fed
        assert not [event for event in self.relay.events if isinstance(event, TransportClosed)]
        engine = self.relay.engine
        assert len(engine._validation._failures) <= MAX_FAILING_HOSTS
        assert set(engine._by_ufrag) == {peer.relay.ufrag for peer in self.peers}
        assert list(engine._transports) == ["first", "second", "mallory", "accomplice"]
        routes = [remote for one in engine._listening.sockets for remote in one.routes.values()]
        assert len(routes) <= MAX_ADDRESSES * len(self.peers)
        for one in engine._listening.sockets:
            assert len(one._retired) <= BATCHES_PER_TURN * BATCH
        for transport in engine._transports.values():
            assert sum(remote.transport is transport for remote in routes) <= len(transport.path.addresses) <= MAX_ADDRESSES
            assert len(transport.ssrcs) <= MAX_STREAMS
            assert set(transport.streams) <= set(transport.ssrcs)
            assert len(transport.sent) <= MAX_SENT_STREAMS
            assert len(transport._early._packets) <= MAX_BUFFERED
            assert transport._dtls._dtls._wire._queue.qsize() <= QUEUE_LENGTH

    def close(self) -> None:
        self._runner.run(self._context.__aexit__(None, None, None))
        self._runner.close()

"""The way from TCP connections and TURN allocations to the media workers: UDP over the kernel's loopback.

Each stream has a source address of its own out of 127.64.0.0/10, so that to a worker it is a peer like any other, and one socket
serves them all. It only sends to 127.0.0.1 and only takes what comes from there, so it is no way to anywhere else.
"""

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relay.edge.counters import EdgeCounters
from relay.edge.pktinfo import Control, Local, PacketInfoSocket
from relay.media.api import Route

WORKER_HOST: Final = "127.0.0.1"
"""Where every worker listens, besides the addresses that it advertises."""

DATAGRAMS_PER_TURN: Final = 256
"""Datagrams that are taken before the event loop gets its turn: about a millisecond."""

_FIRST: Final = 0x7F400000
_FIRST_OF_ALLOCATIONS: Final = 0x7F600000
_COUNT: Final = 1 << 21
"""127.64.0.0/11 and 127.96.0.0/11: this many addresses each, taken in turn, so that a worker has long forgotten whose an address
was before. In the first half a stream gets the next one that is free; in the second each TURN allocation has that of its id."""

_FIRST_RELAYED: Final = 0x64600000
"""100.96.0.0/11: what media tells those in the second half of their own address (`relay.media.transport.ice.reflexive`)."""


@dataclass(slots=True, eq=False)
class Stream:
    """One peer, as far as a worker can tell."""

    local: Local
    port: int
    """The worker's."""
    receive: Callable[[bytes], None]
    """Takes what the worker sends."""
    control: Control
    worker: tuple[str, int]
    route: Route | None = None
    """How its client reaches the edge."""


class Tunnel:
    """Make it, `start` it in the event loop that it shall live in, `close` it there.

    Args:
        size: addresses for streams, and for allocations; at most `_COUNT`.

    Raises:
        OSError: there is no loopback, or no even port left on it.
    """

    def __init__(self, counters: EdgeCounters, *, size: int = _COUNT) -> None:
        self._counters = counters
        self._size = size
        self._socket = _even()
        self._streams: dict[Local, Stream] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._streams)

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._streams.clear()

    def relayed(self, allocation_id: int) -> tuple[str, int]:
        """The address to tell a TURN allocation: the one that media will answer to its first stream as what it sees.

        A browser that hears of another makes a peer-reflexive candidate of it, where a relayed one ranks last. Chromium then
        prefers TURN to UDP from behind a NAT, which is peer-reflexive too.
        """
        return str(ipaddress.IPv4Address(_FIRST_RELAYED + allocation_id % self._size)), self._socket.port

    def open(
        self, port: int, receive: Callable[[bytes], None], route: Route | None = None, allocation_id: int | None = None
    ) -> Stream:
        """A stream to the worker that listens on that UDP port.

        Args:
            allocation_id: whose address, as `relayed` tells it, the stream shall have. It gets another while that is taken.
        """
        local = None if allocation_id is None else (_FIRST_OF_ALLOCATIONS + allocation_id % self._size).to_bytes(4)
        while local is None or local in self._streams:
            self._next = self._next % (self._size - 1) + 1
            local = (_FIRST + self._next).to_bytes(4)
        stream = Stream(local, port, receive, self._socket.leaving_from(local), (WORKER_HOST, port), route)
        self._streams[local] = stream
        return stream

    def shut(self, stream: Stream) -> None:
        """Let go of a stream. What is still on its way to it is dropped."""
        self._streams.pop(stream.local, None)

    def route_of(self, local: Local) -> Route | None:
        """How the client of the stream with that address comes; None if it is gone."""
        stream = self._streams.get(local)
        return None if stream is None else stream.route

    def send(self, stream: Stream, datagram: bytes) -> None:
        """Carry a datagram to the stream's worker."""
        if self._socket.send(datagram, stream.control, stream.worker):
            self._counters["stream_packets_received"] += 1
        else:
            self._counters["tunnel_dropped"] += 1

    def _readable(self) -> None:
        streams, receive = self._streams, self._socket.receive
        for _ in range(DATAGRAMS_PER_TURN):
            arrived = receive()
            if arrived is None:
                return
            datagram, source, local = arrived
            stream = streams.get(local)
            if stream is None or source != stream.worker:
                self._counters["tunnel_foreign"] += 1
                continue
            stream.receive(datagram)


def _even() -> PacketInfoSocket:
    """A socket with an even port: it is that of every allocation, and clients may ask for one (RFC 8656 section 18.6)."""
    with contextlib.ExitStack() as odd:
        # Bound to no address, for it has many; but nothing from outside reaches it.
        while (made := PacketInfoSocket("0.0.0.0", 0, interface="lo")).port % 2:  # noqa: S104
            odd.callback(made.close)
    return made

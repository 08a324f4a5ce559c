"""The sending side of a TCP connection that carries media: little waits in the kernel, and what waits here may be dropped."""

import asyncio
import socket
from typing import Final

from relay.edge.counters import EdgeCounters
from relay.edge.tcp.sendqueue import SendQueue

UNSENT_LIMIT: Final = 8 * 1024
"""Bytes that may wait in the kernel, and as many in the event loop: audio waits behind those, so they are few (130 ms at
1 Mbit/s). What is sent and not yet acknowledged does not count, so throughput does not suffer."""

KEEPALIVE: Final = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
"""Seconds of silence, seconds between probes, and their number, until a connection counts as half open."""


def configure_socket(connection: socket.socket, unacknowledged: float) -> None:
    """Set the options of a TCP connection that carries media: no delay, a short unsent queue, keepalives.

    Args:
        unacknowledged: as of `EdgeLimits`, in seconds.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * unacknowledged))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Outlet:
    """Sends what a worker has for one client, as fast as the connection takes it."""

    def __init__(self, transport: asyncio.WriteTransport, counters: EdgeCounters) -> None:
        self._transport = transport
        self._counters = counters
        self._queue = SendQueue()
        self._paused = False
        transport.set_write_buffer_limits(high=UNSENT_LIMIT, low=0)

    def send(self, datagram: bytes, wire: bytes) -> None:
        """Send a datagram, or drop it, if that must be.

        Args:
            wire: the bytes that carry it on the connection.
        """
        if self._transport.is_closing():
            return
        self._queue.push(datagram, wire)
        if self._paused:
            self._count_drops()
        else:
            self._drain()

    def pause(self) -> None:
        """The connection takes no more (`asyncio.Protocol.pause_writing`)."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._drain()

    def _drain(self) -> None:
        while not self._paused and (wire := self._queue.pop()) is not None:
            self._transport.write(wire)
            self._counters["stream_packets_sent"] += 1

    def _count_drops(self) -> None:
        queue = self._queue
        if queue.dropped_packets:
            self._counters["stream_packets_dropped"] += queue.dropped_packets
            self._counters["stream_frames_dropped"] += queue.dropped_frames
            queue.dropped_packets = queue.dropped_frames = 0

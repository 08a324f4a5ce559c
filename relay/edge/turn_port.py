"""TURN over UDP: the socket, and its clients."""

import asyncio
from dataclasses import dataclass
from typing import Final

from relay.edge.counters import EdgeCounters
from relay.edge.pktinfo import Control, Local, PacketInfoSocket
from relay.edge.turn import Turn
from relay.ip import family_of
from relay.media.api import Route
from relay.turn.messages import Address

DATAGRAMS_PER_TURN: Final = 64
"""Datagrams that are taken before the event loop gets its turn: a few milliseconds, should every one of them be a request."""


@dataclass(frozen=True, slots=True)
class _Datagrams:
    """A client over UDP: its address, and the one of ours that it sends to."""

    source: Address
    local: Local
    port: "TurnPort"

    @property
    def route(self) -> Route:
        return Route("turn-udp", family_of(self.source[0]))

    def send(self, datagram: bytes, wire: bytes) -> None:
        self.port.send(wire, self)

    def allocated(self, number: int) -> None:
        """Nothing ends with it: there is no connection."""


class TurnPort:
    """TURN over UDP, on one port of every address of a family.

    Raises:
        OSError: it cannot be bound.
    """

    def __init__(self, turn: Turn, host: str, port: int, counters: EdgeCounters) -> None:
        self._turn = turn
        self._counters = counters
        self._socket = PacketInfoSocket(host, port)
        self.port = self._socket.port

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def send(self, wire: bytes, client: _Datagrams) -> None:
        control: Control = self._socket.leaving_from(client.local)
        if self._socket.send(wire, control, client.source):
            self._counters["stream_packets_sent"] += 1
        else:
            self._counters["turn_dropped"] += 1

    def _readable(self) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            arrived = self._socket.receive()
            if arrived is None:
                return
            message, source, local = arrived
            self._counters["turn_datagrams"] += 1
            self._turn.receive(_Datagrams(source, local, self), source, message, stream=False)

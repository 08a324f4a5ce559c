"""A connection that carries media over TCP: what ICE-TCP and TURN do alike."""

import asyncio
from abc import ABC, abstractmethod
from typing import cast

from relay.edge.counters import EdgeCounters
from relay.edge.limits import EdgeLimits
from relay.edge.tcp.outlet import Outlet
from relay.edge.tcp.pace import Pace
from relay.edge.tcp.peers import Peer
from relay.edge.tcp.streams import StreamOwner


class PacedConnection(asyncio.Protocol, ABC):
    """Ends when the other side sends too much, or is idle for too long."""

    def __init__(self, peer: Peer, counters: EdgeCounters, owner: StreamOwner, limits: EdgeLimits) -> None:
        self.peer = peer
        self._counters = counters
        self._owner = owner
        self._pace = Pace(limits.messages_per_second)
        self._transport: asyncio.Transport
        self._outlet: Outlet
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outlet = Outlet(self._transport, self._counters)

    def pause_writing(self) -> None:
        self._outlet.pause()

    def resume_writing(self) -> None:
        self._outlet.resume()

    def sweep(self, now: float) -> None:
        """Close the connection if it has been idle for too long."""
        if self._pace.sweep():
            self._owner.active(self)
        if self._is_idle(now) and not self._transport.is_closing():
            self._abort("idle_closed")

    def close(self) -> None:
        self._transport.close()

    def evict(self) -> None:
        self._transport.abort()

    @abstractmethod
    def _is_idle(self, now: float) -> bool:
        """Whether it has said nothing of use for too long."""

    def _abort(self, counter: str) -> None:
        """Close it at once, and count why."""
        self._counters[counter] += 1
        self._transport.abort()

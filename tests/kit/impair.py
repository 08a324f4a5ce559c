"""A UDP path that loses, delays and has little room, for clients and a server that know nothing of it.

`tests.kit.network` decides what becomes of each datagram; here are the sockets. Every client gets a socket of its own towards the
server, so that the server still tells them apart.
"""

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any, Final, Self

from tests.kit.network import SimulatedNetwork

Address = tuple[str, int]

MAX_DATAGRAM: Final = 65536
BURST: Final = 64
"""Datagrams read from one socket before the others get their turn."""


class Bottleneck:
    """A link of so many bits per second, with a queue in front of it. Time is whatever the caller says it is."""

    def __init__(self, rate: float, queue: float) -> None:
        """
        Args:
            rate: bit/s, of UDP payload; `math.inf` for a link that is none.
            queue: seconds that a datagram may have to wait; one that would have to wait longer is dropped.
        """
        self._rate = rate
        self._queue = queue
        self._free = float("-inf")

    def leaves(self, size: int, now: float) -> float | None:
        """When a datagram of that many bytes, which comes now, has left; None: it is dropped. `now` must not go back."""
        begins = max(now, self._free)
        if begins - now > self._queue:
            return None
        self._free = begins + 8 * size / self._rate
        return self._free


class ImpairedPath:
    """A server's second address, at which it is badly reached. Make it with `to`.

    Attributes:
        address: where clients send to instead.
    """

    def __init__(self, server: Address, seed: int, rate: float, queue: float, impairment: dict[str, Any]) -> None:
        self._server = server
        self._seed = seed
        self._link = rate, queue
        self._impairment = impairment
        self._numbers = count()
        self._cut = False
        self._directions: list[_Direction] = []
        self._clients: dict[Address, _Direction] = {}
        self._towards_server: list[socket.socket] = []
        self._socket = _bound(server[0])
        self.address: Address = self._socket.getsockname()

    @classmethod
    @contextlib.asynccontextmanager
    async def to(
        cls, server: Address, seed: int, *, rate: float = math.inf, queue: float = 0.2, **impairment: Any
    ) -> AsyncIterator[Self]:
        """Open a path for IPv4.

        Args:
            server: its address; clients reach the path at the same host.
            seed: datagrams with the same number, of the client with the same number and in the same direction, meet the same
                fate.
            rate: bit/s, of each direction of each client, as of `Bottleneck`.
            queue: seconds.
            impairment: what `SimulatedNetwork` takes, for each direction of each client.
        """
        path = cls(server, seed, rate, queue, impairment)
        loop = asyncio.get_running_loop()
        loop.add_reader(path._socket, path._from_clients)
        try:
            yield path
        finally:
            for direction in path._directions:
                direction.close()
            for one in (path._socket, *path._towards_server):
                loop.remove_reader(one)
                one.close()

    @property
    def taken(self) -> int:
        """Datagrams that came to the path, in both directions."""
        return sum(one.taken for one in self._directions)

    @property
    def delivered(self) -> int:
        """Datagrams that left it."""
        return sum(one.delivered for one in self._directions)

    def impair(self, **impairment: Any) -> None:
        """Impair otherwise from now on: what `SimulatedNetwork` takes, and `cut=True` lets nothing through. What is on its way
        is lost."""
        self._cut = impairment.pop("cut", False)
        self._impairment = impairment
        for direction in self._directions:
            direction.change(self._network(), self._cut)

    def forget(self) -> None:
        """Forget every client, as a NAT does that starts anew: each comes to the server from another port from now on."""
        for onward in self._towards_server:
            asyncio.get_running_loop().remove_reader(onward)
            onward.close()
        for direction in self._directions:
            direction.close()
        self._towards_server.clear()
        self._directions.clear()
        self._clients.clear()

    def _from_clients(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(BURST):
                data, client = self._socket.recvfrom(MAX_DATAGRAM)
                if client not in self._clients:
                    self._clients[client] = self._welcome(client)
                self._clients[client].push(data)

    def _welcome(self, client: Address) -> "_Direction":
        """Open the client's own socket; what it sends goes in here."""
        onward = _bound(self._server[0])
        onward.connect(self._server)
        self._towards_server.append(onward)
        there = self._direction(onward.send)
        back = self._direction(lambda data: self._socket.sendto(data, client))

        def from_server() -> None:
            # Besides "nothing there", the server's port may be closed by now.
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                for _ in range(BURST):
                    back.push(onward.recv(MAX_DATAGRAM))

        asyncio.get_running_loop().add_reader(onward, from_server)
        return there

    def _direction(self, send: Callable[[bytes], object]) -> "_Direction":
        self._directions.append(_Direction(Bottleneck(*self._link), self._network(), send))
        self._directions[-1].is_cut = self._cut
        return self._directions[-1]

    def _network(self) -> SimulatedNetwork:
        return SimulatedNetwork((self._seed << 16) + next(self._numbers), **self._impairment)


class _Direction:
    """One client's datagrams, one way."""

    def __init__(self, bottleneck: Bottleneck, network: SimulatedNetwork, send: Callable[[bytes], object]) -> None:
        self.taken = self.delivered = 0
        self.is_cut = False
        self._bottleneck = bottleneck
        self._network = network
        self._send = send
        self._timer: asyncio.TimerHandle | None = None

    def change(self, network: SimulatedNetwork, is_cut: bool) -> None:
        self.close()
        self._network = network
        self.is_cut = is_cut

    def push(self, data: bytes) -> None:
        self.taken += 1
        if self.is_cut:
            return
        leaves = self._bottleneck.leaves(len(data), asyncio.get_running_loop().time())
        if leaves is not None:
            self._network.send(data, leaves)
        self._deliver()

    def _deliver(self) -> None:
        # One timer for all that is on its way: several, due at almost the same time, need not fire in their order.
        self.close()
        loop = asyncio.get_running_loop()
        for _, data in self._network.deliver(loop.time()):
            self.delivered += 1
            with contextlib.suppress(OSError):  # a full buffer, a closed port: a datagram gets lost there as anywhere
                self._send(data)
        arrival = self._network.next_arrival
        if arrival is not None:
            self._timer = loop.call_at(arrival, self._deliver)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _bound(host: str) -> socket.socket:
    """A socket at any free port of the host, roomy enough for a keyframe of everybody."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    made.setblocking(False)
    made.bind((host, 0))
    return made

"""The far ends of the calls through a server under test: the bare transports of `relay.client`, many at a time."""

import asyncio
from typing import Final

from bench.legs import Leg, udp_socket
from relay.client.bare import BareDescription, BareTransport

CONSENT_INTERVAL: Final = 2.5
"""Seconds between the checks that a browser sends on a path in use (libwebrtc: 2.5)."""


class Peer(BareTransport):
    """A transport with the socket of a load generator."""

    def __init__(self) -> None:
        super().__init__(udp_socket())

    async def leg(self, remote: BareDescription, patience: float = 0.0) -> Leg:
        """As `connect`."""
        return Leg(self.sock, srtp=await self.connect(remote, patience))


class Peers:
    """All the peers of one server."""

    def __init__(self) -> None:
        self._all: list[Peer] = []

    def make(self) -> Peer:
        """A new one, not connected yet."""
        peer = Peer()
        self._all.append(peer)
        return peer

    async def hold(self, seconds: float) -> None:
        """Do for so long what browsers do on paths without media: renew consent."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while loop.time() < ends:
            for peer in self._all:
                peer.check()
                await asyncio.sleep(CONSENT_INTERVAL / len(self._all))

    def close(self) -> None:
        """Free all sockets."""
        for peer in self._all:
            peer.close()
        self._all.clear()

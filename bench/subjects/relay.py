"""The relay: calls of two transports, routed to each other."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Final

from bench.legs import Flow, Leg
from bench.process import Process
from bench.subjects.lines import LineServer
from bench.webrtc import Description, Peers

_AT_ONCE: Final = 8
"""Calls being set up at a time: enough to keep the server's core busy, few enough for no handshake to time out."""


class Relay:
    """The relay's own media engine, in one process, as one worker runs it."""

    name = "relay"
    transports_per_call = 2
    any_payload = True
    description = "this relay: SRTP in, SRTP out by the call's other transport"

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="bench-relay-")
        self._server: LineServer | None = None
        self._peers = Peers()
        self._calls = count()

    @staticmethod
    def missing() -> str | None:
        """It is always there."""
        return None

    @property
    def process(self) -> Process:
        """The engine's process."""
        assert self._server is not None
        return self._server.process

    async def start(self) -> None:
        """Start the engine."""
        self._server = LineServer("bench.subjects.relay_server", Path(self._directory.name) / "output.log")
        await self._server.open()

    async def connect(self, transports: int) -> Sequence[Flow]:
        """Set up calls: for each, two transports with ICE and DTLS, routed to each other."""
        slots = asyncio.Semaphore(_AT_ONCE)
        pairs = await asyncio.gather(*(self._call(slots) for _ in range(transports // 2)))
        return [flow for pair in pairs for flow in pair]

    async def hold(self, seconds: float) -> None:
        """Keep the calls alive without media."""
        await self._peers.hold(seconds)

    async def stop(self) -> None:
        """End the engine and free the sockets."""
        self._peers.close()
        if self._server is not None:
            await self._server.stop()
        self._directory.cleanup()

    async def _call(self, slots: asyncio.Semaphore) -> tuple[Flow, Flow]:
        async with slots:
            assert self._server is not None
            number = next(self._calls)
            router, first, second = str(number), f"{number}a", f"{number}b"
            caller, callee = await asyncio.gather(self._transport(router, first), self._transport(router, second))
            await self._server.request({"do": "route", "router": router, "first": first, "second": second})
            return Flow(caller, callee, 2 * number + 1), Flow(callee, caller, 2 * number + 2)

    async def _transport(self, router: str, transport: str) -> Leg:
        assert self._server is not None
        peer = self._peers.make()
        opened = await self._server.request({"do": "open", "router": router, "transport": transport})
        opened["address"] = tuple(opened["address"])
        await self._server.request({"do": "connect", "transport": transport, **asdict(peer.local)})
        return await peer.connect(Description(**opened))

"""The relay: calls of two transports, routed to each other."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from itertools import count
from typing import Final

from bench.legs import Flow, Leg
from bench.subjects.line_subject import LineSubject
from relay.client.bare import BareDescription

_AT_ONCE: Final = 8
"""Calls being set up at a time: enough to keep the server's core busy, few enough for no handshake to time out."""

BLOCKED: Final = 2.0
"""Seconds that a disk takes nothing."""

_BLOCKED_AFTER: Final = 0.5
"""Seconds of the calls before that."""


class Relay(LineSubject):
    """The relay's own media engine, in one process, as one worker runs it."""

    name = "relay"
    module = "bench.subjects.relay_server"
    transports_per_call = 2
    any_payload = True
    description = "this relay: SRTP in, SRTP out by the call's other transport"

    def __init__(self) -> None:
        super().__init__()
        self._calls = count()

    @staticmethod
    def missing() -> str | None:
        """It is always there."""
        return None

    async def connect(self, transports: int) -> Sequence[Flow]:
        """Set up calls: for each, two transports with ICE and DTLS, routed to each other."""
        slots = asyncio.Semaphore(_AT_ONCE)
        pairs = await asyncio.gather(*(self._call(slots) for _ in range(transports // 2)))
        return [flow for pair in pairs for flow in pair]

    async def _call(self, slots: asyncio.Semaphore) -> tuple[Flow, Flow]:
        async with slots:
            number = next(self._calls)
            router, first, second = str(number), f"{number}a", f"{number}b"
            caller, callee = await asyncio.gather(self._transport(router, first), self._transport(router, second))
            await self.request({"do": "route", "router": router, "first": first, "second": second})
            await self._routed(router, first, second)
            return Flow(caller, callee, 2 * number + 1), Flow(callee, caller, 2 * number + 2)

    async def _transport(self, router: str, transport: str) -> Leg:
        peer = self._peers.make()
        opened = await self.request({"do": "open", "router": router, "transport": transport})
        opened["address"] = tuple(opened["address"])
        await self.request({"do": "connect", "transport": transport, **asdict(peer.local)})
        return await peer.leg(BareDescription(**opened))

    async def _routed(self, router: str, first: str, second: str) -> None:
        """What follows once a call is up."""


class RecordedRelay(Relay):
    """The same, with every call recorded to a temporary directory."""

    name = "relay_recorded"
    description = "this relay, recording every call to disk"

    async def _routed(self, router: str, first: str, second: str) -> None:
        # Below the directory that is removed with the server.
        directory = f"{self._directory.name}/recordings"
        await self.request({"do": "record", "router": router, "first": first, "second": second, "directory": directory})


class BlockedRelay(RecordedRelay):
    """The same, while the disk takes nothing for two seconds."""

    name = "relay_blocked"
    description = f"this relay, recording to a disk that takes nothing for {BLOCKED:g} s of the calls"
    disturbed = True

    async def disturb(self) -> None:
        """The disk is about to block."""
        await self.request({"do": "block", "after": _BLOCKED_AFTER, "seconds": BLOCKED})

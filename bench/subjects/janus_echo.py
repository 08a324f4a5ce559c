"""Janus EchoTest: what arrives at a transport is decrypted, encrypted and sent back by the same transport."""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Final

from bench.legs import AUDIO_SSRC, Flow
from bench.sdp import Media, write
from bench.subjects.janus import Janus

_AT_ONCE: Final = 32
"""Handshakes under way at a time, so that none runs into its retransmission timer."""


class JanusEcho(Janus):
    """Two echoing transports stand for the two of a call: as many packets go in and come out as in a relayed call."""

    name = "janus_echo"
    transports_per_call = 2
    any_payload = True
    event_loops = 0
    description = "Janus, EchoTest plugin: SRTP in, SRTP out by the same transport"

    def __init__(self) -> None:
        super().__init__("echotest", self.event_loops)
        self._ssrcs = count(1)

    async def connect(self, transports: int) -> Sequence[Flow]:
        """Open echoing transports."""
        slots = asyncio.Semaphore(_AT_ONCE)
        return await asyncio.gather(*(self._echo(slots) for _ in range(transports)))

    async def _echo(self, slots: asyncio.Semaphore) -> Flow:
        async with slots:
            ssrc = next(self._ssrcs)
            handle, peer = await self.attach(), self.peer()
            sdp = write(peer.local, (Media("audio", "sendrecv", ssrc + AUDIO_SSRC), Media("video", "sendrecv", ssrc)), "active")
            leg = await self.offer(handle, {"audio": True, "video": True}, peer, sdp)
            return Flow(leg, leg, ssrc)


class JanusEchoOneLoop(JanusEcho):
    """The same, told to serve all its transports from one thread: as much as one core can use."""

    name = "janus_echo_one_loop"
    description = "Janus, EchoTest plugin, with event_loops = 1 in place of a thread per transport"
    event_loops = 1

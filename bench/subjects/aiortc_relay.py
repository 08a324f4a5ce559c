"""aiortc's MediaRelay, which decodes what it receives and encodes it again for each viewer."""

import asyncio
from collections.abc import Sequence
from itertools import count

from bench.legs import AUDIO_SSRC, Flow
from bench.namespace import INSIDE
from bench.sdp import Media, read, write
from bench.subjects.line_subject import LineSubject


class AiortcRelay(LineSubject):
    """Calls of two peer connections. Only real codec data gets through it."""

    name = "aiortc_relay"
    module = "bench.subjects.aiortc_server"
    transports_per_call = 2
    any_payload = False
    description = "aiortc MediaRelay: decoded, queued and encoded again"

    def __init__(self) -> None:
        super().__init__()
        self._ssrcs = count(1)

    @staticmethod
    def missing() -> str | None:
        """Why it cannot run here, or None."""
        return None if INSIDE else "aioice gathers no loopback candidates, and no network namespace can be made here"

    async def connect(self, transports: int) -> Sequence[Flow]:
        """Set up calls, one after the other."""
        return [flow for _ in range(transports // 2) for flow in await self._call()]

    async def _call(self) -> tuple[Flow, Flow]:
        peers = [self._peers.make(), self._peers.make()]
        ssrcs = [next(self._ssrcs) for _ in peers]
        offers = [
            write(
                peer.local,
                (Media("audio", "sendrecv", ssrc + AUDIO_SSRC), Media("video", "sendrecv", ssrc)),
                "active",
            )
            for peer, ssrc in zip(peers, ssrcs, strict=True)
        ]
        answers = (await self.request({"do": "call", "offers": offers}))["answers"]
        connections = (peer.leg(read(answer)) for peer, answer in zip(peers, answers, strict=True))
        caller, callee = await asyncio.gather(*connections)
        return Flow(caller, callee, ssrcs[0]), Flow(callee, caller, ssrcs[1])

"""aiortc's MediaRelay, which decodes what it receives and encodes it again for each viewer."""

import asyncio
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from bench.legs import AUDIO_SSRC, Flow
from bench.namespace import INSIDE
from bench.process import Process
from bench.sdp import Media, read, write
from bench.subjects.lines import LineServer
from bench.webrtc import Peers


class AiortcRelay:
    """Calls of two peer connections. Only real codec data gets through it."""

    name = "aiortc_relay"
    transports_per_call = 2
    any_payload = False
    description = "aiortc MediaRelay: decoded, queued and encoded again"

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="bench-aiortc-")
        self._server: LineServer | None = None
        self._peers = Peers()
        self._ssrcs = count(1)

    @staticmethod
    def missing() -> str | None:
        """Why it cannot run here, or None."""
        return None if INSIDE else "aioice gathers no loopback candidates, and no network namespace can be made here"

    @property
    def process(self) -> Process:
        """The server's process."""
        assert self._server is not None
        return self._server.process

    async def start(self) -> None:
        """Start the server."""
        self._server = LineServer("bench.subjects.aiortc_server", Path(self._directory.name) / "output.log")
        await self._server.open()

    async def connect(self, transports: int) -> Sequence[Flow]:
        """Set up calls, one after the other."""
        return [flow for _ in range(transports // 2) for flow in await self._call()]

    async def hold(self, seconds: float) -> None:
        """Keep the calls alive without media."""
        await self._peers.hold(seconds)

    async def stop(self) -> None:
        """End the server and free the sockets."""
        self._peers.close()
        if self._server is not None:
            await self._server.stop()
        self._directory.cleanup()

    async def _call(self) -> tuple[Flow, Flow]:
        assert self._server is not None
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
        answers = (await self._server.request({"do": "call", "offers": offers}))["answers"]
        connections = (peer.connect(read(answer)) for peer, answer in zip(peers, answers, strict=True))
        caller, callee = await asyncio.gather(*connections)
        return Flow(caller, callee, ssrcs[0]), Flow(callee, caller, ssrcs[1])

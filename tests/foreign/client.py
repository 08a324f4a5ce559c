"""Runs a WebRTC implementation that is not ours, and carries its descriptions over the relay's signaling."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import aiohttp

from relay.ids import Profile
from tests.kit.caller import Caller
from tests.kit.wait import PATIENCE, eventually

CLIENTS: Final = Path(__file__).with_name("clients")

PROGRAMS: Final = {
    "libwebrtc in Node": ("node", "wrtc.mjs"),
    "werift": ("node", "werift.mjs"),
    "libdatachannel": ("node", "libdatachannel.mjs"),
    # Debian's interpreter, not the environment's: it has the bindings.
    "GStreamer": ("/usr/bin/python3", "gstreamer.py"),
}


@dataclass(frozen=True)
class Heard:
    """What has arrived at a client."""

    audio: int
    """Packets, or decoded blocks where the client decodes."""
    video: int
    """Packets, or decoded frames."""
    texts: tuple[str, ...]
    """Messages of the data channel."""
    layers: Mapping[str, int]
    """Packets of each layer of simulcast, by its RID."""


class ForeignClient(Caller):
    """One device whose peer connection lives in a process of its own."""

    def __init__(self, profile: Profile, socket: aiohttp.ClientWebSocketResponse, process: asyncio.subprocess.Process) -> None:
        super().__init__(profile, socket)
        self._process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, program: str, url: str, key: str, media: Path, **environment: str) -> AsyncIterator[Self]:
        """Start one of `PROGRAMS` and log it in.

        Args:
            media: what a client that encodes nothing sends, from `tests.foreign.media`.
            environment: variables for the process besides the test's own.
        """
        command, file = PROGRAMS[program]
        process = await asyncio.create_subprocess_exec(
            command,
            CLIENTS / file,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "MEDIA": str(media), **environment},
        )
        try:
            async with cls.connected(url, key, process=process) as client:
                yield client
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _command(self, name: str, **given: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": name, **given}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        assert line, f"the client of {self.profile.key} has ended"
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, f"{name}: {answer['error']}"
        return answer

    async def call(self, key: str, conversation_id: int, call_type: str = "video", **given: object) -> None:
        """Invite `key`, with the offer that the client makes."""
        await self.invite(key, conversation_id, call_type, await self._command("offer", **given))

    async def accept_answer(self) -> None:
        """Wait for the answer and connect."""
        message = await self.expect("call_answer")
        await self._command("accept", answer=message["answer"])

    async def answer_call(self) -> None:
        """Wait for an invitation, and accept it."""
        invitation = await self.ring()
        await self.send("call_answer", answer=await self._command("answer", offer=invitation["offer"]))

    async def write(self, text: str) -> None:
        """Send a text over the data channel, once it is open."""

        async def sent() -> bool:
            return bool((await self._command("send", text=text))["sent"])

        await eventually(sent, "the data channel is open")

    async def heard(self) -> Heard:
        """What has arrived so far."""
        heard = await self._command("heard")
        return Heard(heard["audio"], heard["video"], tuple(heard["texts"]), heard.get("layers", {}))

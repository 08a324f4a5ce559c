"""Servers under test that are Python programs of ours: driven by one JSON object per line, answered by one per line."""

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from bench.process import Process

_REPLY_TIMEOUT: Final = 30.0
_LINE_LIMIT: Final = 1 << 20
"""Bytes. A description is a few thousand."""

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class LineServer:
    """The benchmark's end."""

    def __init__(self, module: str, log: Path) -> None:
        """Start `python -m module`."""
        self._socket, channel = socket.socketpair()
        with channel:
            self.process = Process([sys.executable, "-m", module], log, channel)
        self._log = log
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Wait until the server is ready."""
        self._streams = await asyncio.open_connection(sock=self._socket, limit=_LINE_LIMIT)
        await self.request({"do": "start"})

    async def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """One request, one reply."""
        assert self._streams is not None
        reader, writer = self._streams
        async with self._turn:
            writer.write(json.dumps(message).encode() + b"\n")
            line = await asyncio.wait_for(reader.readline(), _REPLY_TIMEOUT)
        if not line:
            raise RuntimeError(f"the server ended: {self._log.read_text()[-2000:]}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    async def stop(self) -> None:
        """End the server."""
        if self._streams is not None:
            self._streams[1].close()
        await self.process.stop()


async def serve(handle: Handler) -> None:
    """The server's end: answer until the benchmark is gone."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=sys.stdin.fileno()), limit=_LINE_LIMIT)
    while line := await reader.readline():
        writer.write(json.dumps(await handle(json.loads(line))).encode() + b"\n")

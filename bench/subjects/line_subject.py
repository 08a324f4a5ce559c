"""What subjects have in common whose server is a Python program of ours."""

import tempfile
from pathlib import Path
from typing import Any

from bench.process import Process
from bench.subjects.lines import LineServer
from bench.webrtc import Peers


class LineSubject:
    """A subject whose server is a `LineServer`, and the far ends of its calls."""

    module: str
    """The server, as `python -m` starts it."""
    disturbed = False

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix=f"{self.module}-")
        self._server: LineServer | None = None
        self._peers = Peers()

    @property
    def process(self) -> Process:
        """The server's process."""
        assert self._server is not None
        return self._server.process

    async def start(self) -> None:
        """Start the server."""
        self._server = LineServer(self.module, Path(self._directory.name) / "output.log")
        await self._server.open()

    async def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """One request to the server, one reply."""
        assert self._server is not None
        return await self._server.request(message)

    async def hold(self, seconds: float) -> None:
        """Keep the calls alive without media."""
        await self._peers.hold(seconds)

    async def disturb(self) -> None:
        """Nothing goes wrong."""

    async def stop(self) -> None:
        """End the server and free the sockets."""
        self._peers.close()
        if self._server is not None:
            await self._server.stop()
        self._directory.cleanup()

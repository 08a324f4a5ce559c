"""Servers under test that others wrote: a program with a directory of its own."""

import tempfile
from pathlib import Path

from bench.process import Process


class Program:
    """What its process is, and where it writes."""

    disturbed = False

    def __init__(self, name: str) -> None:
        self._name = name
        self._temporary = tempfile.TemporaryDirectory(prefix=f"bench-{name}-")
        self._process: Process | None = None
        self._directory = Path(self._temporary.name)

    @property
    def process(self) -> Process:
        """The server's process."""
        assert self._process is not None
        return self._process

    async def disturb(self) -> None:
        """Nothing goes wrong."""

    async def stop(self) -> None:
        """End the server."""
        if self._process is not None:
            await self._process.stop()
        self._temporary.cleanup()

    def _launch(self, *command: str) -> None:
        self._process = Process(list(command), self._directory / "output.log")

    def _not_started(self) -> RuntimeError:
        return RuntimeError(f"{self._name} did not start: {(self._directory / 'output.log').read_text()[-2000:]}")

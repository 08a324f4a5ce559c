"""One life of a worker process, as the process that started it sees it: how it starts, whether it answers, how it ends."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import msgspec

from relay.media.api import MediaEventSink, RouterKind, WorkerLost
from relay.workers.assignment import Assignment
from relay.workers.channel import Caller, WorkerEngine
from relay.workers.timing import WorkerTiming


@dataclass(slots=True, eq=False)
class PlacedRouter:
    """A router, and the worker that has it."""

    router_id: str
    home: "WorkerProcess"
    kind: RouterKind
    transports: set[str] = field(default_factory=set)
    opening: int = 0
    """Transports that the worker has been asked for and has not opened yet."""


class WorkerProcess:
    """One life of a worker.

    Args:
        on_answer: called with True whenever it has answered, and with False once when it has not for `WorkerTiming.answer_fresh`.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, caller: Caller, on_answer: Callable[[bool], None], timing: WorkerTiming
    ) -> None:
        self.routers: set[PlacedRouter] = set()
        self.recordings: dict[str, str] = {}
        """Recording id → router id, of each capture that it has been asked for and that has not ended."""
        self.beginning: set[str] = set()
        """Ids of those of which it has not said that they have begun."""
        self.transports = 0
        """Open, or being opened: what counts as its load."""
        self.counted: Mapping[str, int] = {}
        """Its counters, when they were last known."""
        self.born = self._answered_at = time.monotonic()
        self.port = 0
        """That it listens on."""
        self._process = process
        self._caller = caller
        self._on_answer = on_answer
        self._timing = timing

    @classmethod
    async def launch(
        cls, assignment: Assignment, on_event: MediaEventSink, on_answer: Callable[[bool], None], timing: WorkerTiming
    ) -> Self:
        """Start a process and wait until it listens.

        Args:
            assignment: `descriptor` is filled in here.

        Raises:
            ConfigurationError: it cannot listen.
            WorkerLost: it cannot be started, or ended at once.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            assignment = msgspec.structs.replace(assignment, descriptor=theirs.fileno())
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",
                    "-m",
                    "relay.workers",
                    msgspec.json.encode(assignment).decode(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=_environment(),
                    start_new_session=True,  # out of reach of the terminal's Ctrl-C, from the first moment on
                )
            except BaseException as error:
                ours.close()
                if isinstance(error, OSError):
                    raise WorkerLost(f"no worker process can be started: {error}") from None
                raise
        caller = Caller(on_event)
        life = cls(process, caller, on_answer, timing)
        try:
            async with asyncio.timeout(timing.start_timeout):
                await asyncio.get_running_loop().create_unix_connection(lambda: caller, sock=ours)
                (life.port,) = await life.engine.start()
                life._answered_at = time.monotonic()
        except BaseException as error:
            if isinstance(error, TimeoutError | asyncio.CancelledError):
                life.kill()
            status = await life.end()
            if isinstance(error, TimeoutError | WorkerLost):
                raise WorkerLost(f"worker {assignment.number} ended ({status}) before it listened") from None
            raise
        return life

    @property
    def engine(self) -> WorkerEngine:
        return self._caller.engine

    @property
    def alive(self) -> bool:
        return not self._caller.lost.is_set()

    @property
    def answering(self) -> bool:
        """It is alive, and has answered a moment ago."""
        return self.alive and time.monotonic() - self._answered_at <= self._timing.answer_fresh

    @property
    def pid(self) -> int:
        return self._process.pid

    async def refresh(self, within: float) -> None:
        """Read its counters.

        Raises:
            TimeoutError, WorkerLost: it does not answer any more.
        """
        async with asyncio.timeout(within):
            self.counted = await self.engine.counters()
        self._answered_at = time.monotonic()
        self._on_answer(True)

    async def watch(self) -> None:
        """Read its counters again and again, until it is gone."""
        while self.alive:
            try:
                async with asyncio.timeout(self._timing.poll_interval):
                    await self._caller.lost.wait()
            except TimeoutError:
                await self._look()

    async def _look(self) -> None:
        look = asyncio.ensure_future(self.refresh(self._timing.answer_timeout))
        try:
            await asyncio.wait([look], timeout=self._timing.answer_fresh - self._timing.poll_interval)
            if not look.done():
                self._on_answer(False)
            await look
        finally:
            look.cancel()

    def kill(self) -> None:
        """End it without a word."""
        self._caller.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> str:
        """Close the channel, upon which it ends; kill it if it does not. How it ended, in words."""
        self._caller.close()
        try:
            async with asyncio.timeout(self._timing.close_grace):
                status = await self._process.wait()
        except TimeoutError:
            self.kill()
            status = await self._process.wait()
        return f"status {status}" if status >= 0 else signal.Signals(-status).name


def _environment() -> dict[str, str]:
    """What a worker gets of ours: the same modules, and no settings, for there are secrets among them."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    return {**inherited, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}

"""A pool of workers that runs, and what is known of its processes."""

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from relay.media.api import TransportClosed, TransportParameters
from relay.media.engine import LocalEngine
from relay.workers.pool import WorkerPool
from relay.workers.timing import WorkerTiming
from tests.kit.media import IPV4, MediaPeer, RunningEngine
from tests.kit.wait import eventually


class RunningPool(RunningEngine):
    """A pool that serves until its context ends, and the peers that tests made for it."""

    def __init__(self, workers: int, port: int, timing: WorkerTiming) -> None:
        super().__init__()
        self.pool = WorkerPool(self.events.append, workers, [IPV4], port, timing=timing)
        self.engine = cast(LocalEngine, self.pool)  # the same interface
        self._before: Counter[str] = Counter()
        """What was counted before it was as new."""

    async def as_new(self) -> None:
        """Clear away what a test has left: peers, calls, events, counters. Stopped workers go on, dead ones are replaced."""
        for peer in self._peers:
            await peer.vanish()
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        def all_answer() -> bool:
            return all(one.answering and one.pid is not None and is_running(one.pid) for one in self.pool.workers)

        await eventually(all_answer, "all workers answer")
        for router in [*self.pool._routers]:
            await self.pool.close_router(router)
        await eventually(lambda: not any(one.recordings for one in self.pool._alive.values()), "every capture has ended")
        self._peers.clear()
        self.events.clear()
        self._before = Counter(await self.pool.counters())

    async def counted(self) -> dict[str, int]:
        return dict(Counter(await self.pool.counters()) - self._before)

    @property
    def pids(self) -> list[int]:
        """Of the workers that are up."""
        return [one.pid for one in self.pool.workers if one.pid is not None]

    async def call_of(self, router: str) -> tuple[MediaPeer, MediaPeer]:
        """Two peers that are routed and up."""
        names = f"{router} first", f"{router} second"
        first, second = [await self.peer(name, router=router) for name in names]
        await self.pool.route(router, names)
        await self.connect(first, second)
        return first, second

    async def replaced(self, pid: int) -> None:
        """Wait until another process is in the place of that one."""
        count = len(self.pool.workers)
        await eventually(lambda: pid not in self.pids and len(self.pids) == count, "another worker takes its place")

    async def ended(self, *transport_ids: str) -> None:
        """Wait until these, and only these, were said to be gone with their worker."""
        expected = {TransportClosed(one, "worker_lost") for one in transport_ids}

        def gone() -> set[TransportClosed]:
            return {one for one in self.events if isinstance(one, TransportClosed)}

        await eventually(lambda: len(gone()) >= len(expected), lambda: f"{expected}, but {self.events}")
        assert gone() == expected


@contextlib.asynccontextmanager
async def running(workers: int = 2, port: int = 0, **timing: float) -> AsyncIterator[RunningPool]:
    """A pool on this machine's loopback address; `timing` as of `WorkerTiming`."""
    self = RunningPool(workers, port, WorkerTiming(**timing))
    try:
        await self.pool.start()
        yield self
    finally:
        for peer in self._peers:
            await peer.vanish()
        await self.pool.close()


def port_of(parameters: TransportParameters) -> int:
    [candidate] = parameters.candidates
    return candidate.port


def free_ports(count: int) -> int:
    """The first of so many free UDP ports in a row."""
    for first in range(random.randrange(20_000, 30_000), 60_000, count):
        with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
            for port in range(first, first + count):
                opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((IPV4, port))
            return first
    raise AssertionError("no free ports")


def read_process(pid: int, file: str) -> str:
    return Path(f"/proc/{pid}/{file}").read_text()


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return read_process(pid, "stat").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def stops_answering(relay: RunningPool, number: int = 0) -> int:
    """Stop a worker, and wait until it is known; its process."""
    pid = relay.pids[number]
    os.kill(pid, signal.SIGSTOP)
    await eventually(lambda: not relay.pool.workers[number].answering, "it is known to hang")
    return pid


def note_processes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the processes that are started from here on."""
    started = []
    create = asyncio.create_subprocess_exec

    async def noted(*args: Any, **kwargs: Any) -> asyncio.subprocess.Process:
        process = await create(*args, **kwargs)
        started.append(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    return started

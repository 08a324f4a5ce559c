"""One worker process: what it loads, and when it ends."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from relay.errors import ConfigurationError
from relay.media.api import MediaEvent, WorkerLost
from relay.workers.assignment import Assignment
from relay.workers.channel import Caller
from tests.kit.children import child, end_child, start_child
from tests.kit.wait import PATIENCE

pytestmark = pytest.mark.servers

NOT_FOR_WORKERS = {"aiohttp", "sqlalchemy", "relay.db", "relay.signaling", "relay.http", "relay.app", "relay.workers.pool"}


@dataclass(frozen=True)
class Worker:
    process: asyncio.subprocess.Process
    caller: Caller

    async def log(self) -> str:
        """What it wrote, once it has ended."""
        assert self.process.stderr is not None
        text = (await self.process.stderr.read()).decode()
        await self.process.wait()
        return text


def assigned(channel: socket.socket, port: int = 0) -> Assignment:
    return Assignment(
        number=3, parent=os.getpid(), descriptor=channel.fileno(), hosts=("127.0.0.1",), port=port, log_level=logging.DEBUG
    )


@contextlib.asynccontextmanager
async def running_worker(port: int = 0) -> AsyncIterator[Worker]:
    """A worker on this machine's loopback address, which has not been told to start."""
    ours, theirs = socket.socketpair()
    with theirs:
        assignment = assigned(theirs, port)
        command = (sys.executable, "-m", "relay.workers", msgspec.json.encode(assignment))
        process = await start_child(*command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE)
    events: list[MediaEvent] = []
    caller = Caller(events.append)
    await asyncio.get_running_loop().create_unix_connection(lambda: caller, sock=ours)
    try:
        yield Worker(process, caller)
    finally:
        caller.close()
        await end_child(process)


async def test_a_worker_loads_nothing_of_the_signaling_plane() -> None:
    program = "import sys, relay.workers.worker; print(*sys.modules)"
    async with child(sys.executable, "-c", program, stdout=subprocess.PIPE) as process:
        output, _ = await process.communicate()
    assert "relay.media.engine" in (loaded := set(output.decode().split()))
    assert not loaded & NOT_FOR_WORKERS


async def test_a_server_loads_the_media_engine_only_where_it_has_no_workers() -> None:
    program = "import sys, relay.cli.serve, relay.workers.pool; print(*sys.modules)"
    async with child(sys.executable, "-c", program, stdout=subprocess.PIPE) as process:
        output, _ = await process.communicate()
    assert "relay.workers.pool" in (loaded := set(output.decode().split()))
    assert not loaded & {"relay.media.engine", "aiortc", "av"}


async def test_a_worker_ends_in_peace_when_its_channel_closes() -> None:
    async with running_worker() as worker:
        await worker.caller.engine.start()
        await worker.caller.engine.open_transport("router", "one")
        worker.caller.close()
        assert await worker.process.wait() == 0
        assert "ERROR" not in await worker.log()


async def test_a_worker_that_cannot_listen_says_why() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with running_worker(port) as worker:
            with pytest.raises(ConfigurationError, match=f"UDP 127.0.0.1 port {port}: Address already in use"):
                await worker.caller.engine.start()


async def test_sigint_does_not_end_a_worker() -> None:
    async with running_worker() as worker:
        await worker.caller.engine.start()
        worker.process.send_signal(signal.SIGINT)
        assert await worker.caller.engine.counters()
        worker.caller.close()
        assert await worker.process.wait() == 0


async def test_sigterm_ends_a_worker_in_peace_after_a_moment_for_its_calls() -> None:
    async with running_worker() as worker:
        await worker.caller.engine.start()
        worker.process.send_signal(signal.SIGTERM)
        assert await worker.caller.engine.counters()
        assert await worker.process.wait() == 0
        with pytest.raises(WorkerLost):
            await worker.caller.engine.counters()


async def test_garbage_on_its_channel_ends_a_worker() -> None:
    async with running_worker() as worker:
        await worker.caller.engine.start()
        assert worker.caller._transport is not None
        worker.caller._transport.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await worker.process.wait() == 0
        assert "ERROR worker 3 relay.workers.channel: the other end of the channel speaks garbage" in await worker.log()


async def test_a_crash_says_where() -> None:
    async with running_worker() as worker:
        await worker.caller.engine.start()
        worker.process.send_signal(signal.SIGSEGV)
        assert "Fatal Python error: Segmentation fault" in await worker.log()
        assert worker.process.returncode == -signal.SIGSEGV


async def test_the_loop_of_a_worker_is_the_fastest_there_is() -> None:
    pytest.importorskip("uvloop")
    async with running_worker() as worker:
        await worker.caller.engine.start()
        assert "uvloop" in _mapped(worker.process.pid)


def _mapped(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


STUCK_WORKER = """
import asyncio, sys, time
from relay.workers import worker

class Stuck(worker.LocalEngine):
    async def start(self):
        time.sleep(60)

worker.main(sys.argv[1:], Stuck, stuck=1.0)
"""


async def test_a_stuck_worker_logs_where_and_ends_even_without_a_watching_parent() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        assignment = assigned(theirs)
        command = (sys.executable, "-c", STUCK_WORKER, msgspec.json.encode(assignment))
        process = await start_child(*command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE)
    caller = Caller(lambda _: None)
    try:
        await asyncio.get_running_loop().create_unix_connection(lambda: caller, sock=ours)
        with pytest.raises(WorkerLost):
            await caller.engine.start()
        _, log = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        await end_child(process)
    assert b"Timeout" in log
    assert b"in start" in log
    assert process.returncode == 1

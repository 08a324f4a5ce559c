"""Worker processes, one media port each, behind the same interface as the engine of one process.

A bridge lives in one worker from its first transport to its end. A worker that dies takes its bridges with it: each of their
transports is reported as closed with the reason `worker_lost`, and another process takes the worker's place and port.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import msgspec

from relay.errors import ConfigurationError
from relay.media.api import (
    WORKER_LOST,
    MediaDescription,
    MediaEvent,
    MediaEventSink,
    TransportClosed,
    TransportParameters,
    WorkerLost,
)
from relay.media.channel import Caller, WorkerEngine
from relay.media.worker import Assignment

logger = logging.getLogger(__name__)

START_TIMEOUT: Final = 30.0
"""Seconds until a new worker must listen. Generous: all of them start at once, on a machine that may be busy."""

OPEN_PATIENCE: Final = 3.0
"""Seconds that a new call waits while no worker is alive: a restart takes about one."""

POLL_INTERVAL: Final = 2.0
"""Seconds between looks at a worker's counters: what it counted after the last one is lost when it dies."""

ANSWER_TIMEOUT: Final = 10.0
"""Seconds that a worker may take to answer a look; then it hangs, and is killed."""

SCRAPE_TIMEOUT: Final = 1.0
"""Seconds that `counters` waits for a worker; then its last known figures count."""

CLOSE_GRACE: Final = 0.7
"""Seconds that a worker gets to end by itself; then it is killed."""

RESTART_FIRST: Final = 0.05
"""Seconds from the death of a worker to its restart. Doubled each time, up to `RESTART_LAST`."""

RESTART_LAST: Final = 10.0
"""Seconds, at most, between restarts. A worker that lived longer begins with `RESTART_FIRST` again."""

MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker, for operators and tests."""

    number: int
    pid: int | None
    """None while it is being restarted."""
    bridges: int
    transports: int


@dataclass(slots=True, eq=False)
class _Bridge:
    bridge_id: str
    home: "_Process"
    transports: set[str] = field(default_factory=set)


class _Process:
    """One life of a worker."""

    def __init__(self, process: asyncio.subprocess.Process, caller: Caller) -> None:
        self.bridges: set[_Bridge] = set()
        self.transports = 0
        """Open, or being opened: what counts as its load."""
        self.counted: Mapping[str, int] = {}
        """Its counters, when they were last known."""
        self.born = time.monotonic()
        self.port = 0
        """That it listens on."""
        self._process = process
        self._caller = caller

    @classmethod
    async def launch(cls, assignment: Assignment, on_event: MediaEventSink) -> Self:
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
                    "relay.media.worker",
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
        life = cls(process, caller)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await asyncio.get_running_loop().create_unix_connection(lambda: caller, sock=ours)
                (life.port,) = await life.engine.start()
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
    def pid(self) -> int:
        return self._process.pid

    async def refresh(self, within: float) -> None:
        """Read its counters.

        Raises:
            TimeoutError, WorkerLost: it does not answer any more.
        """
        async with asyncio.timeout(within):
            self.counted = await self.engine.counters()

    async def watch(self) -> None:
        """Read its counters again and again, until it is gone."""
        while self.alive:
            try:
                async with asyncio.timeout(POLL_INTERVAL):
                    await self._caller.lost.wait()
            except TimeoutError:
                await self.refresh(ANSWER_TIMEOUT)

    def kill(self) -> None:
        """End it without a word."""
        self._caller.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> str:
        """Close the channel, upon which it ends; kill it if it does not. How it ended, in words."""
        self._caller.close()
        try:
            async with asyncio.timeout(CLOSE_GRACE):
                status = await self._process.wait()
        except TimeoutError:
            self.kill()
            status = await self._process.wait()
        return f"status {status}" if status >= 0 else signal.Signals(-status).name


def _environment() -> dict[str, str]:
    """What a worker gets of ours: the same modules, and no settings, for there are secrets among them."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    return {**inherited, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}


class WorkerPool:
    """A `MediaEngine` of several processes. Make it, `start` it in the event loop that it shall live in, `close` it there.

    Every method but the closing ones and `counters` raises `WorkerLost` when the worker of the bridge has died. The bridge is
    then forgotten by `close_bridge`, like any other.

    Args:
        on_event: takes what happens to transports.
        workers: how many processes.
        hosts: addresses to listen on; none: every address of this machine.
        port: UDP port of the first worker, the next ones following; 0: each takes any free one.
    """

    def __init__(self, on_event: MediaEventSink, workers: int, hosts: Iterable[str] = (), port: int = 0) -> None:
        assert workers > 0, "without a worker there is no media: use a LocalEngine"
        self._on_event = on_event
        self._assignments = [
            Assignment(
                number=number,
                parent=os.getpid(),
                descriptor=-1,
                hosts=tuple(hosts),
                port=port and port + number,
                log_level=logging.getLogger().getEffectiveLevel(),
            )
            for number in range(workers)
        ]
        self._alive: dict[int, _Process] = {}
        """Worker number → its present life; none while it is being restarted."""
        self._unburied: set[_Process] = set()
        """Every process that has not been waited for."""
        self._available = asyncio.Event()
        self._bridges: dict[str, _Bridge] = {}
        self._by_transport: dict[str, _Bridge] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._left: Counter[str] = Counter()
        """What workers that died had counted."""

    async def start(self) -> tuple[int, ...]:
        """Start the workers, and wait until all of them listen.

        Returns:
            The UDP port of each worker.

        Raises:
            ConfigurationError: one cannot. None is left then.
        """
        last = self._assignments[-1].port
        if last > MAX_PORT:
            raise ConfigurationError(f"{len(self._assignments)} media workers need the UDP ports up to {last}, above {MAX_PORT}")
        try:
            failures = await asyncio.gather(*map(self._launch, self._assignments), return_exceptions=True)
            texts = dict.fromkeys(str(one) for one in failures if isinstance(one, ConfigurationError | WorkerLost))
            if texts:
                raise ConfigurationError("\n".join(texts))
            for one in failures:
                if one is not None:
                    raise one
        except BaseException:
            await self.close()
            raise
        self._tasks = [asyncio.create_task(self._look_after(one)) for one in self._assignments]
        return tuple(self._alive[one.number].port for one in self._assignments)

    @property
    def ports(self) -> tuple[int, ...]:
        """The UDP port of each worker that is alive."""
        return tuple(life.port for _, life in sorted(self._alive.items()))

    @property
    def workers(self) -> tuple[WorkerStatus, ...]:
        """How the workers are."""
        found = []
        for assignment in self._assignments:
            life = self._alive.get(assignment.number)
            if life is None:
                found.append(WorkerStatus(assignment.number, None, 0, 0))
            else:
                found.append(WorkerStatus(assignment.number, life.pid, len(life.bridges), life.transports))
        return tuple(found)

    # -- MediaEngine --------------------------------------------------------------------------------------------------

    async def open_transport(self, bridge_id: str, transport_id: str) -> TransportParameters:
        if bridge_id not in self._bridges:
            home = await self._least_loaded()
            if bridge_id not in self._bridges:
                self._bridges[bridge_id] = bridge = _Bridge(bridge_id, home)
                home.bridges.add(bridge)
        bridge = self._bridges[bridge_id]
        bridge.home.transports += 1
        try:
            parameters = await bridge.home.engine.open_transport(bridge_id, transport_id)
        except BaseException:
            bridge.home.transports -= 1
            raise
        if self._bridges.get(bridge_id) is bridge:
            bridge.transports.add(transport_id)
            self._by_transport[transport_id] = bridge
        return parameters

    async def connect_transport(
        self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]
    ) -> None:
        await self._by_transport[transport_id].home.engine.connect_transport(transport_id, remote, media)

    async def update_transport(self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]) -> None:
        await self._by_transport[transport_id].home.engine.update_transport(transport_id, remote, media)

    async def join(self, bridge_id: str, first: str, second: str) -> None:
        await self._bridges[bridge_id].home.engine.join(bridge_id, first, second)

    async def part(self, bridge_id: str, first: str, second: str) -> None:
        await self._bridges[bridge_id].home.engine.part(bridge_id, first, second)

    async def restart_transport(self, transport_id: str) -> TransportParameters:
        return await self._by_transport[transport_id].home.engine.restart_transport(transport_id)

    async def close_transport(self, transport_id: str) -> None:
        bridge = self._by_transport.pop(transport_id, None)
        if bridge is None:
            return
        bridge.transports.discard(transport_id)
        bridge.home.transports -= 1
        with contextlib.suppress(WorkerLost):
            await bridge.home.engine.close_transport(transport_id)

    async def close_bridge(self, bridge_id: str) -> None:
        bridge = self._bridges.pop(bridge_id, None)
        if bridge is None:
            return
        for transport_id in bridge.transports:
            del self._by_transport[transport_id]
        bridge.home.transports -= len(bridge.transports)
        bridge.home.bridges.discard(bridge)
        with contextlib.suppress(WorkerLost):
            await bridge.home.engine.close_bridge(bridge_id)

    async def counters(self) -> Mapping[str, int]:
        looks = [one.refresh(SCRAPE_TIMEOUT) for one in self._alive.values() if one.alive]
        for outcome in await asyncio.gather(*looks, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, TimeoutError | WorkerLost):
                raise outcome
        total = Counter(self._left)
        for one in self._alive.values():
            total.update(one.counted)
        return dict(total)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(one.end() for one in self._unburied))
        self._unburied.clear()
        self._alive.clear()
        self._bridges.clear()
        self._by_transport.clear()

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _least_loaded(self) -> _Process:
        try:
            async with asyncio.timeout(OPEN_PATIENCE):
                while True:
                    alive = [one for _, one in sorted(self._alive.items()) if one.alive]
                    if alive:
                        return min(alive, key=lambda one: (one.transports, len(one.bridges)))
                    self._available.clear()
                    await self._available.wait()
        except TimeoutError:
            raise WorkerLost("no media worker is running") from None

    async def _launch(self, assignment: Assignment) -> None:
        life = await _Process.launch(assignment, self._happened)
        self._unburied.add(life)
        self._alive[assignment.number] = life
        self._available.set()
        logger.debug("media worker %d is process %d", assignment.number, life.pid)

    async def _look_after(self, assignment: Assignment) -> None:
        """Watch a worker, and put another process in its place whenever it dies."""
        delay = RESTART_FIRST
        while True:
            life = self._alive[assignment.number]
            try:
                await life.watch()
            except TimeoutError:
                logger.error("media worker %d (process %d) hangs, and is killed", assignment.number, life.pid)
                life.kill()
            except WorkerLost:
                pass
            except Exception:
                logger.exception("media worker %d (process %d) fails, and is killed", assignment.number, life.pid)
                life.kill()
            lost = self._lose(assignment.number)
            status = await life.end()
            logger.error("media worker %d (process %d) has died (%s): %d calls lost", assignment.number, life.pid, status, lost)
            self._unburied.discard(life)
            if time.monotonic() - life.born > RESTART_LAST:
                delay = RESTART_FIRST
            while assignment.number not in self._alive:
                await asyncio.sleep(delay)
                delay = min(2 * delay, RESTART_LAST)
                try:
                    await self._launch(assignment)
                except (ConfigurationError, WorkerLost) as error:
                    logger.error("media worker %d does not start again, next try in %g s: %s", assignment.number, delay, error)

    def _lose(self, number: int) -> int:
        """Say of every transport of a dead worker that it is closed; how many bridges it had."""
        life = self._alive.pop(number)
        self._left.update(life.counted)
        self._left["workers_lost"] += 1
        lost = len(life.bridges)
        for transport_id in [one for bridge in life.bridges for one in bridge.transports]:
            try:
                self._on_event(TransportClosed(transport_id, WORKER_LOST))
            except Exception:
                logger.exception("the loss of transport %s could not be taken", transport_id)
        return lost

    def _happened(self, event: MediaEvent) -> None:
        # What was under way while its transport was closed is no news to anybody.
        if event.transport_id in self._by_transport:
            self._on_event(event)

"""Worker processes, one media port each, behind the same interface as the engine of one process.

A router lives in one worker from its first transport to its end. A worker that dies takes its routers with it: each of their
transports is reported as closed with the reason `worker_lost`, and another process takes the worker's place and port.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from relay import logs
from relay.errors import ConfigurationError
from relay.media.api import (
    WORKER_LOST,
    CaptureEnded,
    CaptureOrder,
    MediaDescription,
    MediaEvent,
    MediaEventSink,
    PartyLabel,
    RouterKind,
    TransportClosed,
    TransportParameters,
    WorkerLost,
)
from relay.settings.media import UNLIMITED, MediaLimits
from relay.workers.assignment import Assignment
from relay.workers.process import PlacedRouter, WorkerProcess
from relay.workers.timing import USUAL, WorkerTiming

logger = logging.getLogger(__name__)

MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker, for operators and tests."""

    number: int
    pid: int | None
    """None while it is being restarted."""
    routers: int
    transports: int
    answering: bool = True
    """It has answered within the last `WorkerTiming.answer_fresh` seconds, so that it gets new calls."""


class WorkerPool:
    """A `MediaEngine` of several processes. Make it, `start` it in the event loop that it shall live in, `close` it there.

    Every method but the closing ones and `counters` raises `WorkerLost` when the worker of the router has died. The router is
    then forgotten by `close_router`, like any other.

    Args:
        on_event: takes what happens to transports.
        workers: how many processes.
        hosts: addresses to listen on; none: every address of this machine.
        port: UDP port of the first worker, the next ones following; 0: each takes any free one.
        limits: what each peer may send.
        timing: how long workers get.
    """

    def __init__(
        self,
        on_event: MediaEventSink,
        workers: int,
        hosts: Iterable[str] = (),
        port: int = 0,
        *,
        limits: MediaLimits = UNLIMITED,
        timing: WorkerTiming = USUAL,
    ) -> None:
        assert workers > 0, "without a worker there is no media: use a LocalEngine"
        self._on_event = on_event
        self._timing = timing
        self._assignments = [
            Assignment(
                number=number,
                parent=os.getpid(),
                descriptor=-1,
                hosts=tuple(hosts),
                port=port and port + number,
                log_level=logging.getLogger().getEffectiveLevel(),
                log_style=logs.style(),
                limits=limits,
            )
            for number in range(workers)
        ]
        self._alive: dict[int, WorkerProcess] = {}
        """Worker number → its present life; none while it is being restarted."""
        self._unburied: set[WorkerProcess] = set()
        """Every process that has not been waited for."""
        self._available = asyncio.Event()
        self._routers: dict[str, PlacedRouter] = {}
        self._by_transport: dict[str, PlacedRouter] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._counted: Counter[str] = Counter()
        """What is counted here, and what workers that died had counted."""
        self._closing: set[asyncio.Future[None]] = set()
        """Routers that workers which do not answer are still to close."""

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
                found.append(WorkerStatus(assignment.number, None, 0, 0, answering=False))
            else:
                found.append(WorkerStatus(assignment.number, life.pid, len(life.routers), life.transports, life.answering))
        return tuple(found)

    # -- MediaEngine --------------------------------------------------------------------------------------------------

    async def open_transport(
        self, router_id: str, transport_id: str, kind: RouterKind = RouterKind.DIRECT
    ) -> TransportParameters:
        if router_id not in self._routers:
            home = await self._least_loaded()
            if router_id not in self._routers:
                self._routers[router_id] = router = PlacedRouter(router_id, home, kind)
                home.routers.add(router)
        router = self._routers[router_id]
        parameters = await self._open_at_home(router, transport_id)
        if self._routers.get(router_id) is router:
            router.transports.add(transport_id)
            self._by_transport[transport_id] = router
        return parameters

    async def _open_at_home(self, router: PlacedRouter, transport_id: str) -> TransportParameters:
        """Open a transport at the worker that has the router; at another one if that hangs and the router is still empty."""
        while True:
            home = router.home
            home.transports += 1
            router.opening += 1
            try:
                opening = asyncio.ensure_future(home.engine.open_transport(router.router_id, transport_id, router.kind))
                await asyncio.wait([opening], timeout=self._timing.open_timeout)
                if opening.done() or not self._rehome(router):
                    return await opening
            except BaseException:
                home.transports -= 1
                raise
            finally:
                router.opening -= 1
            home.transports -= 1
            opening.cancel()

    def _rehome(self, router: PlacedRouter) -> bool:
        """Give a call that has nothing yet to another worker, because its own does not answer; False if there is none."""
        others = [one for one in self._alive.values() if one.answering and one is not router.home]
        if router.home.answering or router.transports or router.opening > 1 or not others:
            return False
        former = router.home
        former.routers.discard(router)
        router.home = _emptiest(others)
        router.home.routers.add(router)
        self._counted["calls_rehomed"] += 1
        # It is read once the worker goes on, behind the request that has just been given up.
        closing = asyncio.ensure_future(former.engine.close_router(router.router_id))
        closing.add_done_callback(lambda one: one.cancelled() or one.exception())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return True

    async def connect_transport(
        self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]
    ) -> None:
        await self._by_transport[transport_id].home.engine.connect_transport(transport_id, remote, media)

    async def update_transport(self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]) -> None:
        await self._by_transport[transport_id].home.engine.update_transport(transport_id, remote, media)

    async def route(self, router_id: str, transport_ids: tuple[str, ...]) -> None:
        await self._routers[router_id].home.engine.route(router_id, transport_ids)

    async def unroute(self, router_id: str, transport_ids: tuple[str, ...]) -> None:
        await self._routers[router_id].home.engine.unroute(router_id, transport_ids)

    async def restart_transport(self, transport_id: str) -> TransportParameters:
        return await self._by_transport[transport_id].home.engine.restart_transport(transport_id)

    async def close_transport(self, transport_id: str) -> None:
        router = self._by_transport.pop(transport_id, None)
        if router is None:
            return
        router.transports.discard(transport_id)
        router.home.transports -= 1
        with contextlib.suppress(WorkerLost):
            await router.home.engine.close_transport(transport_id)

    async def close_router(self, router_id: str) -> None:
        router = self._routers.pop(router_id, None)
        if router is None:
            return
        for transport_id in router.transports:
            del self._by_transport[transport_id]
        router.home.transports -= len(router.transports)
        router.home.routers.discard(router)
        with contextlib.suppress(WorkerLost):
            await router.home.engine.close_router(router_id)

    async def start_capture(self, router_id: str, order: CaptureOrder) -> None:
        home = self._routers[router_id].home
        # Before it is asked: the end may follow the answer at once. Until the answer is taken here, a lost worker is an error.
        home.recordings[order.recording_id] = router_id
        home.beginning.add(order.recording_id)
        try:
            await home.engine.start_capture(router_id, order)
            if not home.alive:
                raise WorkerLost("the media worker that recorded this call is gone")
        except BaseException:
            home.recordings.pop(order.recording_id, None)
            raise
        finally:
            home.beginning.discard(order.recording_id)

    async def stop_capture(self, router_id: str, reason: str, at: float) -> None:
        if (router := self._routers.get(router_id)) is not None:
            with contextlib.suppress(WorkerLost):
                await router.home.engine.stop_capture(router_id, reason, at)

    async def pause_capture(self, router_id: str, paused: bool, reason: str) -> None:
        await self._routers[router_id].home.engine.pause_capture(router_id, paused, reason)

    async def capture_party(self, router_id: str, transport_id: str, party: PartyLabel) -> None:
        await self._routers[router_id].home.engine.capture_party(router_id, transport_id, party)

    async def counters(self) -> Mapping[str, int]:
        looks = [one.refresh(self._timing.scrape_timeout) for one in self._alive.values() if one.alive]
        for outcome in await asyncio.gather(*looks, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, TimeoutError | WorkerLost):
                raise outcome
        total = Counter(self._counted)
        for one in self._alive.values():
            total.update(one.counted)
        return dict(total)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._end_captures()
        await asyncio.gather(*(one.end() for one in self._unburied))
        self._unburied.clear()
        self._alive.clear()
        self._routers.clear()
        self._by_transport.clear()

    async def _end_captures(self) -> None:
        """Let the ends of captures arrive, while there are channels by which they do."""
        left = [(life, router_id) for life in self._alive.values() for router_id in life.recordings.values()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.capture_grace):
                for life, router_id in left:
                    with contextlib.suppress(WorkerLost):
                        await life.engine.stop_capture(router_id, "call_ended", time.monotonic())
                while any(life.recordings and life.alive for life in self._alive.values()):  # noqa: ASYNC110 - at the very end
                    await asyncio.sleep(self._timing.capture_grace / 50)

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _least_loaded(self) -> WorkerProcess:
        try:
            async with asyncio.timeout(self._timing.open_patience):
                while True:
                    answering = [one for _, one in sorted(self._alive.items()) if one.answering]
                    if answering:
                        return _emptiest(answering)
                    self._available.clear()
                    await self._available.wait()
        except TimeoutError:
            raise WorkerLost("no media worker is running" if not self._alive else "no media worker answers") from None

    async def _launch(self, assignment: Assignment) -> None:
        life = await WorkerProcess.launch(assignment, self._happened, partial(self._answered, assignment.number), self._timing)
        self._unburied.add(life)
        self._alive[assignment.number] = life
        self._available.set()
        logger.debug("media worker %d is process %d", assignment.number, life.pid)

    def _answered(self, number: int, answered: bool) -> None:
        if answered:
            self._available.set()
        else:
            self._counted["workers_unresponsive"] += 1
            logger.warning("media worker %d does not answer; new calls go to the others", number)

    async def _look_after(self, assignment: Assignment) -> None:
        """Watch a worker, and put another process in its place whenever it dies."""
        timing = self._timing
        delay = timing.restart_first
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
            if time.monotonic() - life.born > timing.restart_last:
                delay = timing.restart_first
            while assignment.number not in self._alive:
                await asyncio.sleep(delay)
                delay = min(2 * delay, timing.restart_last)
                try:
                    await self._launch(assignment)
                except (ConfigurationError, WorkerLost) as error:
                    logger.error("media worker %d does not start again, next try in %g s: %s", assignment.number, delay, error)

    def _lose(self, number: int) -> int:
        """Say of every transport of a dead worker that it is closed; how many routers it had."""
        life = self._alive.pop(number)
        self._counted.update(life.counted)
        self._counted["workers_lost"] += 1
        lost = len(life.routers)
        for transport_id in [one for router in life.routers for one in router.transports]:
            try:
                self._on_event(TransportClosed(transport_id, WORKER_LOST))
            except Exception:
                logger.exception("the loss of transport %s could not be taken", transport_id)
        for recording_id, router_id in life.recordings.items():
            if recording_id in life.beginning:
                continue
            try:
                self._on_event(CaptureEnded(router_id, recording_id, WORKER_LOST))
            except Exception:
                logger.exception("the loss of recording %s could not be taken", recording_id)
        life.recordings.clear()
        return lost

    def _happened(self, event: MediaEvent) -> None:
        if isinstance(event, CaptureEnded):
            # Of a router that may have been closed a moment ago, which is why it ends.
            known = [life.recordings.pop(event.recording_id, None) for life in self._alive.values()]
            if any(known):
                self._on_event(event)
            return
        # An event that was in flight while its transport was closed is dropped.
        if event.transport_id in self._by_transport:
            self._on_event(event)


def _emptiest(workers: Iterable[WorkerProcess]) -> WorkerProcess:
    return min(workers, key=lambda one: (one.transports, len(one.routers)))

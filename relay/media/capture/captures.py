"""The captures of one engine: when they begin and end, and when what they have goes to the thread that writes."""

import asyncio
import contextlib
import functools
import logging
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from relay.media.api import CaptureEnded, CaptureOrder, CaptureRefused, MediaDescription, PartyLabel
from relay.media.capture.block import CaptureBlocks, CaptureClock, media_comment
from relay.media.capture.capture import FLUSH, HOLD, Capture, CapturedRouter
from relay.media.capture.writer import WRITE_FAILED, Append, CaptureFile, CaptureWriter, Discard, Job, Open
from relay.media.quality.counters import MediaCounters
from relay.media.transport.transport import Transport

logger = logging.getLogger(__name__)

MAX_AT_ONCE: Final = 8
"""Captures whose blocks are taken in one turn of the event loop, 5 to 10 µs each: packets of calls wait meanwhile."""

SHORTEST_PAUSE: Final = 0.001
"""Seconds between two such turns, at least."""

LONGEST_ROUND: Final = 0.008
"""Seconds that blocks which have been taken wait for those of other captures, before they all go to the thread that writes."""

LOOK: Final = 1.0
"""Seconds between looks at the key frames of a capture, and at its age."""

CALL_ENDED: Final = "call_ended"
ALREADY_CAPTURED: Final = "already_captured"
TOO_LONG: Final = "too_long"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureTiming:
    """Seconds."""

    grace: float = (FLUSH - LONGEST_ROUND) / 2
    """That a packet waits at least, so that a capture can be cut at a moment ago: a party withdrew its consent, and this process
    hears of it from another one."""
    open_patience: float = 5.0
    """That creating a file may take."""
    close_patience: float = 0.3
    """That the end of the process waits for the last writes. A worker has half a second for all of its end."""


USUAL_TIMING: Final = CaptureTiming()


def _compressed(comment: bytes) -> bytes:
    # With a window of 4 KiB: what zlib takes by itself, 256 KiB a time, stays with the process of a relay that records nothing.
    compressor = zlib.compressobj(wbits=12, memLevel=4)
    return compressor.compress(comment) + compressor.flush()


class Captures:
    """Those of one engine.

    Args:
        emit: takes the end of each.
    """

    def __init__(
        self, emit: Callable[[CaptureEnded], None], counters: MediaCounters, timing: CaptureTiming = USUAL_TIMING
    ) -> None:
        self._emit = emit
        self._timing = timing
        self._counters = counters
        self._writer = CaptureWriter()
        self._running: dict[str, Capture] = {}
        """By router id."""
        self._opening: set[str] = set()
        """Ids of routers whose file is being created."""
        self._ending: set[Capture] = set()
        """Whose last blocks are being written."""
        self._held: set[str] = set()
        """Ids of routers whose transports are not routed to each other any more."""
        self._described: dict[str, bytes] = {}
        """Transport id → the comment of an interface, compressed: a capture may begin in mid-call."""
        self._due: deque[Capture] = deque()
        """Those that run, and some that have just ended, by the time at which their blocks are taken."""
        self._taken: list[Job] = []
        """What was taken in this round, and is not yet with the thread that writes."""
        self._round_at = 0.0
        """When the first of it was taken; seconds, monotonic."""
        self._clock = CaptureClock(time.time_ns(), time.monotonic())
        self._timer: asyncio.TimerHandle | None = None
        self._all_written = asyncio.Event()

    # -- the seam -----------------------------------------------------------------------------------------------------

    async def start(self, router: CapturedRouter, order: CaptureOrder) -> None:
        """Begin to capture a router: as of `MediaEngine.start_capture`."""
        router_id = router.router_id
        parties = [(router.transports[name], party) for name, party in order.parties.items()]
        if router_id in self._running or router_id in self._opening:
            raise CaptureRefused(ALREADY_CAPTURED)
        self._opening.add(router_id)
        try:
            file = await self._open(order)
            if router_id not in self._opening:
                self._put(Discard(file))
                raise KeyError(router_id)
        except CaptureRefused:
            self._counters["capture_errors"] += 1
            raise
        finally:
            self._opening.discard(router_id)
        now = time.monotonic()
        if not self._clock.agrees(time.time_ns(), now):
            self._clock = CaptureClock(time.time_ns(), now)
        blocks = CaptureBlocks(self._writer.backlog, self._clock, now, _version())
        capture = self._running[router_id] = Capture(router, order, file, blocks, now)
        started = {"recording_id": order.recording_id, "call_id": order.call_id, "wall": time.time(), "policy": order.policy}
        blocks.add_event("started", started, now)
        for transport, party in parties:
            if transport.transport_id in router.transports:
                capture.add(transport, party, self._comment(transport), now)
        if router_id in self._held:
            capture.pause(HOLD, True, now)
        if file.trouble is not None:
            self._end(capture, file.trouble, now)
            return
        self._due.append(capture)
        if self._timer is None:
            self._step()

    def stop(self, router_id: str, reason: str, at: float) -> None:
        """End a capture: as of `MediaEngine.stop_capture`."""
        self._opening.discard(router_id)
        capture = self._running.get(router_id)
        if capture is not None:
            self._end(capture, reason, at)

    def pause(self, router_id: str, paused: bool, reason: str) -> None:
        """As of `MediaEngine.pause_capture`."""
        capture = self._running.get(router_id)
        if capture is not None:
            capture.pause(reason, paused, time.monotonic())

    def add_party(self, router_id: str, transport: Transport, party: PartyLabel) -> None:
        """As of `MediaEngine.capture_party`."""
        capture = self._running.get(router_id)
        if capture is not None:
            capture.add(transport, party, self._comment(transport), time.monotonic())

    # -- what the engine does besides ---------------------------------------------------------------------------------

    def hold(self, router_id: str, held: bool) -> None:
        """The transports of a router are not routed to each other any more, or they are again."""
        if held:
            self._held.add(router_id)
        else:
            self._held.discard(router_id)
        self.pause(router_id, held, HOLD)

    def describe(self, router_id: str, transport_id: str, media: tuple[MediaDescription, ...]) -> None:
        """The peer of a transport has described what it sends from now on."""
        comment = media_comment(media)
        self._described[transport_id] = _compressed(comment)
        capture = self._running.get(router_id)
        if capture is not None:
            capture.describe(transport_id, comment, time.monotonic())

    def forget(self, router_id: str, transport_id: str) -> None:
        """A transport is closed."""
        self._described.pop(transport_id, None)
        capture = self._running.get(router_id)
        if capture is not None:
            capture.remove(transport_id)

    def close_router(self, router_id: str) -> None:
        """A router is about to be closed."""
        self._held.discard(router_id)
        self.stop(router_id, CALL_ENDED, time.monotonic())

    async def close(self) -> None:
        """End all of them, and wait a moment until they are written."""
        for router_id in list(self._running):
            self.close_router(router_id)
        if self._timer is not None:
            self._timer.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.close_patience):
                while self._ending:
                    self._all_written.clear()
                    await self._all_written.wait()
        self._writer.close()

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _open(self, order: CaptureOrder) -> CaptureFile:
        """Create the file.

        Raises:
            CaptureRefused: that is not possible, or takes too long.
        """
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[str | None] = loop.create_future()
        file = CaptureFile(
            Path(order.directory) / f"{order.recording_id}.pcapng",
            order.key,
            order.min_free,
            on_trouble=partial(_in_loop, loop, self._in_trouble, order),
            on_closed=partial(_in_loop, loop, self._written, order),
        )
        self._writer.backlog.limit = order.buffer
        self._put(Open(file, partial(_in_loop, loop, opened.set_result)))
        try:
            async with asyncio.timeout(self._timing.open_patience):
                refused = await asyncio.shield(opened)
        except BaseException as error:
            opened.add_done_callback(partial(self._opened_late, file))
            if isinstance(error, TimeoutError):
                logger.warning("%s cannot be created within %g s", file.path, self._timing.open_patience)
                raise CaptureRefused(WRITE_FAILED) from None
            raise
        if refused is not None:
            raise CaptureRefused(refused)
        return file

    def _opened_late(self, file: CaptureFile, opened: "asyncio.Future[str | None]") -> None:
        if opened.result() is None:
            self._put(Discard(file))

    def _put(self, *jobs: Job) -> None:
        """Hand jobs over, behind what has been taken before."""
        self._writer.put((*self._taken, *jobs))
        self._taken = []

    def _comment(self, transport: Transport) -> bytes:
        compressed = self._described.get(transport.transport_id)
        return media_comment(()) if compressed is None else zlib.decompress(compressed)

    def _end(self, capture: Capture, reason: str, at: float) -> None:
        now = time.monotonic()
        del self._running[capture.router.router_id]
        self._ending.add(capture)
        try:
            last = capture.end(reason, at, now)
        except Exception:
            logger.exception("the last packets of router %s cannot be laid out", capture.router.router_id)
            capture.reason, last = WRITE_FAILED, Append(capture.file, (), last=True)
        self._put(last)

    def _fail(self, capture: Capture) -> None:
        """End a capture that lacks packets by a mistake of ours: it is not to pass for a whole one."""
        self._counters["capture_errors"] += 1
        if self._running.get(capture.router.router_id) is capture:
            self._end(capture, WRITE_FAILED, time.monotonic())

    def _in_trouble(self, order: CaptureOrder, reason: str) -> None:
        self._counters["capture_errors"] += 1
        for capture in list(self._running.values()):
            if capture.order is order:
                self._end(capture, reason, time.monotonic())

    def _written(self, order: CaptureOrder) -> None:
        for capture in [one for one in self._ending if one.order is order]:
            self._ending.discard(capture)
            self._all_written.set()
            self._count(capture)
            packets, size, dropped = capture.figures
            reason = capture.file.trouble or capture.reason
            self._emit(CaptureEnded(capture.router.router_id, order.recording_id, reason, packets, size, dropped))

    def _count(self, capture: Capture) -> None:
        names = ("capture_packets", "capture_bytes", "capture_dropped")
        figures = capture.figures
        for name, figure, counted in zip(names, figures, capture.counted, strict=True):
            self._counters[name] += figure - counted
        capture.counted = figures

    def _step(self) -> None:
        """Take the blocks of the captures that are due."""
        now, grace = time.monotonic(), self._timing.grace
        due = self._due
        if not self._taken:
            self._round_at = now
        for _ in range(MAX_AT_ONCE):
            if not due or due[0].flush_at > now:
                break
            capture = due.popleft()
            try:
                if now >= capture.look_at and not capture.reason:
                    capture.look_at = now + LOOK
                    self._look(capture, now)
                if capture.reason:
                    continue
                blocks = capture.blocks.take(now - grace)
            except Exception as error:
                # What goes wrong with one call must not keep the others from being written.
                logger.exception("the packets of router %s cannot be taken", capture.router.router_id)
                capture.fail(f"{type(error).__name__}: {error}")
                self._fail(capture)
                continue
            # The next turn takes the block that this one closes, so that no packet waits for longer than FLUSH.
            capture.flush_at = now + grace
            due.append(capture)
            if blocks:
                self._taken.append(Append(capture.file, tuple(blocks)))
        # The thread that writes is woken once for all that are due: each time it takes the core from the one that forwards.
        if self._taken and (not due or due[0].flush_at > now or now - self._round_at >= LONGEST_ROUND):
            self._put()
        pause = max(SHORTEST_PAUSE, due[0].flush_at - now) if due else 0.0
        self._timer = asyncio.get_running_loop().call_later(pause, self._step) if due else None

    def _look(self, capture: Capture, now: float) -> None:
        self._count(capture)
        if capture.failure:
            self._fail(capture)
            return
        if now >= capture.ends_at:
            self._end(capture, TOO_LONG, now)
            return
        try:
            capture.request_keyframes(now)
        except Exception:
            # What goes wrong with one call must not keep the others from being written.
            logger.exception("key frames of router %s cannot be requested", capture.router.router_id)


def _in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: Any) -> None:
    """Call it in the loop's thread, unless the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)


@functools.cache
def _version() -> str:
    try:
        return version("call-relay")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"

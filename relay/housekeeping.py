"""What is done from time to time: the retention periods are applied, and recordings without a call are ended."""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

from relay.clock import Clock
from relay.errors import Unavailable
from relay.records.calls import Purged
from relay.settings.retention import RecordingRetentionSettings, RetentionSettings

logger = logging.getLogger(__name__)

DAY: Final = 86_400.0
"""Seconds from the end of a run to the next."""

RETRY: Final = 300.0
"""Seconds from a failure to the next attempt."""

WATCH: Final = 30.0
"""Seconds between two looks at the recordings. A start has the first one."""

_Days = TypeVar("_Days", bound=RetentionSettings | RecordingRetentionSettings)
_Days_contra = TypeVar("_Days_contra", bound=RetentionSettings | RecordingRetentionSettings, contravariant=True)


class Retention(Protocol[_Days_contra]):
    """Removes data older than its retention period."""

    async def apply(self, days: _Days_contra, now: datetime) -> Purged: ...


class Housekeeping(Generic[_Days]):
    """Runs the retention, one run after the other. Several servers may share a database."""

    def __init__(self, retention: Retention[_Days], days: _Days, clock: Clock | None = None) -> None:
        self._retention = retention
        self._days = days
        self._clock = clock or Clock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if any(dataclasses.astuple(self._days)):  # else everything is kept
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop, even in the middle of a run: the next run removes the rest."""
        if self._task is not None:
            await _ended(self._task)

    async def _run(self) -> None:
        failing = False
        while True:
            try:
                purged = await self._retention.apply(self._days, self._clock.utcnow())
            except Unavailable:  # which `relay.db.outage` has logged
                await asyncio.sleep(RETRY)
                continue
            except Exception:
                # Log only the first failure: a fault that lasts all night would fill the log.
                if not failing:
                    logger.exception("old data could not be removed; trying again every %g s", RETRY)
                failing = True
                await asyncio.sleep(RETRY)
                continue
            failing = False
            if purged != Purged():
                counts = (f"{count} {name}" for name, count in dataclasses.asdict(purged).items() if count)
                logger.info("old data removed, in rows: %s", ", ".join(counts))
            await asyncio.sleep(DAY)


class LiveCaptures(Protocol):
    """The recordings that this server captures."""

    def concerns(self, recording_id: str) -> bool:
        """Whether this server captures that recording, or is about to write how it ended."""
        ...

    async def watch(self, now: float) -> None:
        """End those whose call is over."""
        ...


class LostRecordings(Protocol):
    """The rows of recordings."""

    async def close_lost(self, concerns: Callable[[str], bool], at: datetime) -> Sequence[str]:
        """Close those that are captured and concern no server any more; their ids."""
        ...


class RecordingWatch:
    """Ends recordings without a call: captures that go on after it, and rows that an earlier life of this server left open.

    Args:
        on_closed: called when rows were closed, so that something is to be done about the recordings.
        is_written: whether some process captures a recording, maybe one of another server of the same name.
    """

    def __init__(
        self,
        captures: LiveCaptures,
        rows: LostRecordings,
        on_closed: Callable[[], None],
        is_written: Callable[[str], bool] = lambda _: False,
        clock: Clock | None = None,
    ) -> None:
        self._is_written = is_written
        self._captures = captures
        self._rows = rows
        self._on_closed = on_closed
        self._clock = clock or Clock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            await _ended(self._task)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except Unavailable:  # which `relay.db.outage` has logged
                pass
            except Exception:
                logger.exception("recordings without a call could not be looked for")
            await asyncio.sleep(WATCH)

    async def _look(self) -> None:
        await self._captures.watch(self._clock.now())
        closed = await self._rows.close_lost(self._concerns, self._clock.utcnow())
        if closed:
            logger.warning(
                "%d recordings were not ended by the server that made them; they are closed as server_lost", len(closed)
            )
            self._on_closed()

    def _concerns(self, recording_id: str) -> bool:
        return self._captures.concerns(recording_id) or self._is_written(recording_id)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended: one that waits for a connection of the pool may miss it (`wait_for`, before 3.12)."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=1.0)

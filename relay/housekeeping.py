"""Applies the retention periods: at start, and once a day."""

import asyncio
import dataclasses
import logging
from datetime import datetime
from typing import Final, Protocol

from relay.clock import Clock
from relay.errors import Unavailable
from relay.settings.retention import RetentionSettings
from relay.signaling.records import Purged

logger = logging.getLogger(__name__)

DAY: Final = 86_400.0
"""Seconds from the end of a run to the next."""

RETRY: Final = 300.0
"""Seconds from a failure to the next attempt."""


class Retention(Protocol):
    """Removes data older than its retention period."""

    async def apply(self, days: RetentionSettings, now: datetime) -> Purged: ...


class Housekeeping:
    """Runs the retention, one run after the other. Several servers may share a database."""

    def __init__(self, retention: Retention, days: RetentionSettings, clock: Clock | None = None) -> None:
        self._retention = retention
        self._days = days
        self._clock = clock or Clock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._days != RetentionSettings():  # else everything is kept
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop, even in the middle of a run: the next run removes the rest."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

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

"""Signs of life in the tables of calls, so that a server that dies leaves no call open, and its durations nearly right."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from relay.ids import PlaceKind
from relay.signaling.clock import Clock
from relay.signaling.ports import CallLog

logger = logging.getLogger(__name__)

INTERVAL: Final = 5.0
"""Seconds between two heartbeats: how wrong a duration can be after a crash."""

STALE_AFTER: Final = 30.0
"""Seconds without a heartbeat after which a call of another server is taken for abandoned."""


class Heartbeat:
    """Beats for the calls that `call_ids` names, and closes those that have stopped.

    Args:
        call_ids: the calls of this server that have not ended, of one kind of place.
    """

    def __init__(self, logs: Mapping[PlaceKind, CallLog], call_ids: Callable[[PlaceKind], Sequence[str]], clock: Clock) -> None:
        self._logs = logs
        self._call_ids = call_ids
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Close what an earlier life of this server left open, and begin to beat."""
        closed = sum([await log.close_own() for log in self._logs.values()])
        if closed:
            logger.warning("%d calls of an earlier run were still open; they are closed as expired", closed)
        self._task = asyncio.get_running_loop().create_task(self._beat())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            now = self._clock.utcnow()
            try:
                for kind, log in self._logs.items():
                    await log.heartbeat(self._call_ids(kind), now)
                    await log.close_stale(now - timedelta(seconds=STALE_AFTER))
            except Exception:
                logger.exception("the heartbeat could not be written to the database")

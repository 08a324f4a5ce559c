"""Signs of life in the tables of calls, so that a server that dies leaves no call open, and its durations nearly right."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from relay.errors import Unavailable
from relay.ids import ScopeKind
from relay.signaling.ports import CallLog

logger = logging.getLogger(__name__)

INTERVAL: Final = 5.0
"""Seconds between two heartbeats: how wrong a duration can be after a crash."""

STALE_AFTER: Final = 30.0
"""Seconds without a new heartbeat after which a call of another server is taken for abandoned."""

LOOKS: Final = int(STALE_AFTER // INTERVAL) + 1
"""Looks in a row that must have seen the same sign of life. Each is an interval after the one before, and found the database:
a live server that reaches it has had the time to beat after an outage. No server's clock is compared with another's."""


class Heartbeat:
    """Beats for the calls that go on here, and closes those that have stopped.

    Args:
        beats: the calls of this server that have not ended, of one kind of scope, by the time that it is for them.
        on_taken_over: called with the id of a call that another server has taken over.
    """

    def __init__(
        self,
        logs: Mapping[ScopeKind, CallLog],
        beats: Callable[[ScopeKind], Mapping[datetime, Sequence[str]]],
        on_taken_over: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_taken_over = on_taken_over
        self._logs = logs
        self._beats = beats
        self._seen: dict[ScopeKind, dict[str, tuple[datetime, int]]] = {}
        """Of each open call that is not of this server: its last sign of life, and how many looks have seen that."""
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
            try:
                for kind, log in self._logs.items():
                    await self._beat_once(kind, log)
            except Exception as error:
                self._seen.clear()
                if not isinstance(error, Unavailable):  # which has been said
                    logger.exception("the heartbeat could not be written to the database")

    async def look(self) -> None:
        """See at once which calls another server has taken over."""
        with contextlib.suppress(Unavailable):  # the next heartbeat sees it
            for kind, log in self._logs.items():
                await self._give_signs(log, self._beats(kind))

    async def _give_signs(self, log: CallLog, beats: Mapping[datetime, Sequence[str]]) -> None:
        for at, call_ids in beats.items():
            for call_id in await log.heartbeat(call_ids, at):
                self._on_taken_over(call_id)

    async def _beat_once(self, kind: ScopeKind, log: CallLog) -> None:
        beats = self._beats(kind)
        await self._give_signs(log, beats)
        signs = await log.signs(beats.keys())
        mine = {call_id for call_ids in self._beats(kind).values() for call_id in call_ids}
        before = self._seen.get(kind, {})
        seen = self._seen[kind] = {}
        for call_id, sign in signs.items():
            if call_id not in mine:
                last, looks = before.get(call_id, (sign, 0))
                seen[call_id] = sign, looks + 1 if last == sign else 1
        stale = {call_id: sign for call_id, (sign, looks) in seen.items() if looks >= LOOKS}
        if stale and (closed := await log.close_stale(stale)):
            logger.warning("%d calls had no sign of life for %g s; they are closed as expired", closed, STALE_AFTER)

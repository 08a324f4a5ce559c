"""What happens to calls is sent first and written afterwards: no party that talks, answers or hangs up waits for the database.

Each call has a queue: its entries are written in order, those of different calls beside each other. While the database is away
they wait, and a journal has them for the case that this process dies before it is back.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from relay.errors import LostRace, TakenOver, Unavailable
from relay.ids import ScopeKind
from relay.signaling.log.entries import (
    Answered,
    Ended,
    Entry,
    Opened,
    RecordingAnswered,
    RecordingCaptured,
    RecordingDiscarded,
    RecordingEntry,
    RecordingStarted,
    Said,
    Updated,
)
from relay.signaling.ports import CallLog, ChatLog, RecordingLog

logger = logging.getLogger(__name__)

WRITERS: Final = 2
"""Entries that are written at a time. A database that hangs keeps so many connections busy, and others need some too."""

MAX_WAITING: Final = 20_000
"""Entries, some 10 MB. A database that is away lets few calls begin, so that it is mostly the ends of those that there were."""

RETRY_FIRST: Final = 0.5
"""Seconds from a failure to the next attempt. Doubled each time, up to `RETRY_LAST`."""

RETRY_LAST: Final = 5.0

NAMES: Final = {
    "late": "entries of calls that were written later than they happened, because the database was away",
    "refused": "entries of calls that the database did not take, by its or our fault: the log says more",
    "taken_over": "entries of calls that another server had taken over: it writes how they went on",
    "overflowed": "calls of which too much waited for the database: the journal has them until the next start",
}
"""What `WriteBehind.counters` counts."""

WAITING: Final = "entries of calls that are not in the database yet"


class Journal(Protocol):
    """Where entries wait as well, for the case that this process dies. Nothing in it waits, and nothing fails."""

    async def open(self) -> Mapping[str, Collection[Entry]]:
        """What an earlier life of this server left there, by call, oldest first."""
        ...

    def append(self, entry: Entry) -> None: ...

    def written(self, call_id: str) -> None:
        """All entries of that call are in the database."""
        ...

    def sync(self) -> None:
        """What is there is to outlive the machine, not only this process."""
        ...

    async def close(self) -> None: ...


class WriteBehind:
    """Writes down what happens to calls, as soon as the database takes it.

    Attributes:
        on_lost: called with the id of a call whose row was closed by another hand before its answer.
        on_taken_over: called with the id of a call that another server has taken over.
        on_recorded: called when the row of a recording says that something is to be done: it was captured, or is to be deleted.
    """

    def __init__(
        self,
        logs: Mapping[ScopeKind, CallLog],
        chat: ChatLog,
        journal: Journal | None = None,
        recordings: RecordingLog | None = None,
        *,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        """
        Args:
            recordings: None: no call is recorded.
        """
        self._max_waiting = max_waiting
        self.on_lost: Callable[[str], None] = lambda _: None
        self.on_taken_over: Callable[[str], None] = lambda _: None
        self.on_recorded: Callable[[], None] = lambda: None
        self.counters: Counter[str] = Counter()
        self._logs = logs
        self._chat = chat
        self._recordings = recordings
        self._journal = journal
        self._queues: dict[str, deque[Entry]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._replayed: set[str] = set()
        """Calls of an earlier life of this server."""
        self._overflowed: set[str] = set()
        """Calls of which the journal has more than this."""
        self._waiting = 0
        self._slots = asyncio.Semaphore(WRITERS)
        self._open = asyncio.Event()
        """An attempt may be made."""
        self._open.set()
        self._delay = 0.0
        """Seconds until the next attempt; 0 while the database answers."""

    @property
    def waiting(self) -> int:
        """Entries that are not in the database yet."""
        return self._waiting

    async def start(self) -> None:
        """Write what an earlier life of this server left in the journal, as far as that goes now."""
        if self._journal is None:
            return
        left = await self._journal.open()
        self._replayed.update(left)
        for kind, log in self._logs.items():
            await log.take_over([call_id for call_id, entries in left.items() if entries and next(iter(entries)).kind is kind])
        for call_id, entries in left.items():
            self._queue(call_id, entries)
        if left:
            await self.settled(RETRY_LAST)
            logger.warning("%d calls of an earlier run were in the journal; %d of them still are", len(left), len(self._queues))

    async def close(self, within: float) -> None:
        """Write what waits, as far as it goes in that many seconds. The journal keeps the rest."""
        await self.settled(within)
        if self._waiting:
            logger.warning("%d calls are not in the database yet: the next start writes them from the journal", len(self._queues))
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        journal, self._journal = self._journal, None
        if journal is not None:
            await journal.close()

    def is_ending(self, recording_id: str) -> bool:
        """Whether the end of that recording is not in the database yet."""
        waiting = (entry for queue in self._queues.values() for entry in queue)
        return any(isinstance(one, RecordingCaptured) and one.recording_id == recording_id for one in waiting)

    def add(self, entry: Entry) -> None:
        """Write it down, soon."""
        if self._journal is not None and not isinstance(entry, Said):
            self._journal.append(entry)
            if self._delay:
                self._journal.sync()
        self._queue(entry.call_id, [entry])

    async def settled(self, within: float) -> None:
        """Wait until what waits now is written, but no longer than that many seconds, and not for a database that is away."""
        tasks = list(self._tasks.values())
        if tasks and not self._delay:
            await asyncio.wait(tasks, timeout=within)

    async def has_written(self, call_id: str, within: float) -> bool:
        """Wait until all that there is of a call is written, but no longer than that many seconds; whether it is."""
        task = self._tasks.get(call_id)
        if task is not None and not self._delay:
            await asyncio.wait([task], timeout=within)
        return call_id not in self._queues

    def _queue(self, call_id: str, entries: Collection[Entry]) -> None:
        queue = self._queues.setdefault(call_id, deque())
        queue.extend(entries)
        self._waiting += len(entries)
        if call_id not in self._tasks:
            self._tasks[call_id] = asyncio.get_running_loop().create_task(self._drain(call_id, queue))
        if self._waiting > self._max_waiting:
            self._overflow(next(iter(self._queues)))

    def _overflow(self, call_id: str) -> None:
        """Forget the entries of a call; the journal does not."""
        if not self.counters["overflowed"]:
            logger.error(
                "more than %d entries of calls wait for the database: the oldest are in the journal only", self._max_waiting
            )
        self.counters["overflowed"] += 1
        self._overflowed.add(call_id)
        self._waiting -= len(self._queues.pop(call_id))
        self._tasks.pop(call_id).cancel()

    async def _drain(self, call_id: str, queue: deque[Entry]) -> None:
        late = False
        while queue:
            late |= not self._open.is_set()
            await self._open.wait()
            async with self._slots:
                if not self._open.is_set():  # another attempt has failed meanwhile
                    continue
                try:
                    await self._write(queue[0])
                except Unavailable:
                    late = True
                    self._close_for_a_while()
                    continue
            if self._delay:
                self._delay = 0.0
            self.counters["late"] += late
            queue.popleft()
            self._waiting -= 1
        del self._queues[call_id], self._tasks[call_id]
        if self._journal is not None and call_id not in self._overflowed:
            self._journal.written(call_id)

    def _close_for_a_while(self) -> None:
        if not self._open.is_set():
            return
        if self._journal is not None and not self._delay:
            self._journal.sync()
        self._delay = min(max(RETRY_FIRST, 2 * self._delay), RETRY_LAST)
        self._open.clear()
        asyncio.get_running_loop().call_later(self._delay, self._open.set)

    async def _write(self, entry: Entry) -> None:
        """
        Raises:
            Unavailable: to be tried again.
        """
        log = self._logs[entry.kind]
        try:
            match entry:
                case Opened():
                    await log.opened(entry.call)
                case Answered():
                    await log.answered(entry.call_id, entry.at)
                case Updated():
                    await log.updated(entry.call_id, entry.call_type)
                case Ended():
                    await log.ended(
                        entry.call_id,
                        entry.at,
                        entry.reason,
                        answered_at=entry.answered_at,
                        caller=entry.caller,
                        callee=entry.callee,
                        decline_message=entry.decline_message,
                    )
                case Said():
                    await self._chat.add(entry.call_id, entry.scope, entry.message)
                case RecordingStarted() | RecordingCaptured() | RecordingAnswered() | RecordingDiscarded():
                    await self._write_recording(entry)
        except Unavailable:
            raise
        except TakenOver:
            self.counters["taken_over"] += 1
            self.on_taken_over(entry.call_id)
        except LostRace as error:
            # Of an earlier life: this was written, and the word that it is was not.
            if entry.call_id not in self._replayed:
                logger.warning("%s: another hand was first", error)
                if isinstance(entry, Answered):
                    self.on_lost(entry.call_id)
        except Exception:
            self.counters["refused"] += 1
            logger.exception("the database does not take that call %s has %s", entry.call_id, entry.__struct_config__.tag)

    async def _write_recording(self, entry: RecordingEntry) -> None:
        log = self._recordings
        assert log is not None, "only what is recorded is written down"
        match entry:
            case RecordingStarted():
                await log.started(entry.recording)
            case RecordingCaptured():
                await log.captured(entry.recording_id, entry.at, entry.result)
                self.on_recorded()
            case RecordingAnswered():
                await log.answered(entry.consent)
            case RecordingDiscarded():
                await log.discard(entry.recording_id)
                self.on_recorded()

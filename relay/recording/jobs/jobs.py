"""Assembling and verifying recordings beside the calls: each in a process of its own, few at a time.

A capture is assembled once its call is over, and at a start whatever was left: interrupted work is taken up again, and files of
recordings that are being deleted are removed. The rows in the database say what is to be done; a lock on the files says which of
it some process does at this moment.
"""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from relay.errors import Unavailable
from relay.recording.jobs.folder import RecordingFolder
from relay.recording.jobs.job import Job, JobKind, JobStore, Unfinished
from relay.recording.jobs.process import WorkFailed, run

logger = logging.getLogger(__name__)

LOOK_INTERVAL: Final = 30.0
"""Seconds between two looks into the database. The end of a capture wakes it at once; this is for what other servers leave."""

RETRY: Final = 5.0
"""Seconds until something that the database could not take is said to it again."""

PAUSE: Final = 60.0
"""Seconds between two attempts at one recording: what failed for a full disk may fit by then."""

SEARCH_INTERVAL: Final = 86_400.0
"""Seconds between two searches for orphans."""

ORPHAN_AGE: Final = 3600.0
"""Seconds that a capture is old before it is an orphan: the row of one that begins is written a little later than the file."""

SEARCHED: Final = 200
"""Recordings that the database is asked for at a time."""

SUSPICION: Final = 20.0
"""Seconds that a recording may be said to be assembled while no process has a lock on it: the time to start one is in it."""

MAX_ATTEMPTS: Final = 3
"""Attempts to assemble a recording. Asking for it again gives it as many more."""

MAX_QUEUED: Final = 1000
"""Jobs that wait. A look finds the rest of the captures when there is room again."""

INHERITED: Final = {"HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV"}
"""What a job has of the server's environment."""

_Answer = TypeVar("_Answer")

NAMES: Final = {
    "assembled": "recordings assembled",
    "assembly_failures": "attempts to assemble a recording that failed",
    "verified": "recordings verified, whatever the verdict",
    "verification_failures": "attempts to verify a recording that failed",
    "removed": "recordings whose files were removed",
    "removal_failures": "attempts to remove the files of a recording that failed",
}
"""Counters, and what they mean."""

LEVELS: Final = {
    "orphans": "captures in the directory that the database does not know, found once a day",
    "jobs_running": "recordings that are being assembled or verified",
    "jobs_waiting": "recordings that wait to be assembled or verified",
}


def work_command(job: Job, folder: RecordingFolder, *, verify: bool) -> Sequence[str]:
    """The program that does a job. Its keys are in its environment: arguments can be read by all users of a machine."""
    options = ["--locked", *(["--mp4"] if job.mp4 else []), *(["--verify"] if verify else [])]
    return [sys.executable, "-m", "relay.recording.jobs.work", job.kind, str(folder.directory), job.recording_id, *options]


@dataclass
class RecordingJobs:
    """The jobs of one server.

    Args:
        at_a_time: processes, at most; 0: this server assembles nothing, and removes only.
        keys: `RELAY_RECORDING_KEY`.
        verifies: a recording is verified right after it was assembled.
        limits: that it is held to then, as of `parse_limits`.
        command: the program for a job.
        pause, retry: as of `PAUSE` and `RETRY`.
    """

    folder: RecordingFolder
    store: JobStore
    node: str
    at_a_time: int = 1
    keys: str = ""
    verifies: bool = True
    limits: str = ""
    command: Callable[..., Sequence[str]] = work_command
    pause: float = PAUSE
    retry: float = RETRY
    counters: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(NAMES, 0)))

    def __post_init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        """By recording: those that run and those that wait, in the order in which they came."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, float] = {}
        """Recording → when its next attempt may begin, by the loop's clock."""
        self._something_to_do = asyncio.Event()
        self._suspected: dict[str, float] = {}
        """Recordings that are being assembled, and which no process has a lock on → since when, by the loop's clock."""
        self._looking: asyncio.Task[None] | None = None
        self._orphans = 0
        self._next_search = 0.0
        """When orphans are looked for again, by the loop's clock."""
        self._starting = True
        self._failing = False

    async def start(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look_again_and_again())

    async def close(self) -> None:
        """Stop everything. What was being assembled is begun anew at the next start."""
        tasks = [*self._tasks.values(), *([] if self._looking is None else [self._looking])]
        await asyncio.gather(*map(_ended, tasks))
        self._jobs.clear()

    def wake(self) -> None:
        """Something may be to do: a capture has ended, or a recording is to be deleted."""
        self._something_to_do.set()

    def levels(self) -> Mapping[str, float]:
        running = sum(job.running for job in self._jobs.values())
        return {"jobs_running": running, "jobs_waiting": len(self._jobs) - running, "orphans": self._orphans}

    def under_way(self) -> Mapping[str, Job]:
        """What is being done at this moment, or is to be done soon, by this server: by recording."""
        return dict(self._jobs)

    def assemble(self, recording_id: str, duration: float, *, mp4: bool = False) -> bool:
        """Assemble a recording, also one that was assembled before; whether nothing else is being done with it.

        Args:
            duration: seconds.
            mp4: with an MP4 of both parties side by side.
        """
        return self._add(Job(JobKind.ASSEMBLE, recording_id, duration, mp4, asked_for=True))

    def verify(self, recording_id: str, duration: float) -> bool:
        """Verify a recording that is assembled; whether nothing else is being done with it."""
        return self._add(Job(JobKind.VERIFY, recording_id, duration, asked_for=True))

    def _add(self, job: Job) -> bool:
        if job.recording_id in self._jobs or len(self._jobs) >= MAX_QUEUED or not self.at_a_time:
            return False
        self._jobs[job.recording_id] = job
        self._start_next()
        return True

    async def cancel(self, recording_id: str) -> None:
        """End what is being done with a recording, or was to be done."""
        self._jobs.pop(recording_id, None)
        task = self._tasks.get(recording_id)
        if task is not None:
            await _ended(task)

    # -- what there is to do ------------------------------------------------------------------------------------------

    async def _look_again_and_again(self) -> None:
        await asyncio.to_thread(self.folder.remove_leftovers)
        while True:
            self._something_to_do.clear()
            try:
                await self._look()
                self._failing = False
            except Unavailable:  # which `relay.db.outage` has logged
                pass
            except Exception:
                # Only the first failure: a fault that lasts all night would fill the log.
                if not self._failing:
                    logger.exception(
                        "recordings that are to be assembled could not be found; trying again every %g s", LOOK_INTERVAL
                    )
                self._failing = True
            try:
                async with asyncio.timeout(LOOK_INTERVAL):
                    await self._something_to_do.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        suspected = {}
        now = asyncio.get_running_loop().time()
        for row in await self.store.unfinished():
            recording_id = row.recording_id
            if row.state == "deleting":
                await self._remove(row)
            elif recording_id in self._jobs:
                continue
            elif not await asyncio.to_thread(self.folder.has_capture, recording_id):
                await self._miss(row)
            elif row.state == "captured" and not self.at_a_time:
                await self._adopt(row)
            elif row.state == "captured":
                if self._not_before.get(recording_id, 0.0) <= now:
                    self._add(Job(JobKind.ASSEMBLE, recording_id, seconds_of(row.started_at, row.ended_at)))
            elif not await asyncio.to_thread(self.folder.is_locked, recording_id):
                since = self._suspected.get(recording_id, now)
                # Another server's process may be about to take the lock. Nothing of this server's own runs as it starts.
                if now - since >= SUSPICION or (self._starting and row.node == self.node):
                    await self._take_back(row)
                else:
                    suspected[recording_id] = since
        self._suspected, self._starting = suspected, False
        if now >= self._next_search:
            await self._search_orphans()
            self._next_search = now + SEARCH_INTERVAL

    async def _search_orphans(self) -> None:
        """Say which files there are that fill the disk and that no retention removes. They stay: the database may be the wrong
        one, or an older one that was restored.
        """
        there = await asyncio.to_thread(self.folder.old_captures, time.time() - ORPHAN_AGE)
        orphans = [one for at in range(0, len(there), SEARCHED) for one in await self.store.unknown(there[at : at + SEARCHED])]
        if len(orphans) != self._orphans and orphans:
            logger.warning(
                "%d captures in %s are of no recording that the database knows, the first one %s.pcapng; see docs/recording.md",
                *(len(orphans), self.folder.directory, orphans[0]),
            )
        self._orphans = len(orphans)

    async def _miss(self, row: Unfinished) -> None:
        """The files are with another server, or are lost."""
        if row.node == self.node and await asyncio.to_thread(self.folder.directory.is_dir):
            if row.state == "captured" and not await self.store.begin_assembly(row.recording_id):
                return
            logger.error("recording %s: its capture is missing in %s", row.recording_id, self.folder.directory)
            await self.store.assembly_failed(row.recording_id, "the capture is missing", state="failed", files={})

    async def _adopt(self, row: Unfinished) -> None:
        """Show what `python -m relay assemble` has made, where that is what assembles. All files appear at once, by a rename."""
        if not await asyncio.to_thread(self.folder.products(row.recording_id).is_dir):
            return
        if await self.store.begin_assembly(row.recording_id):
            files = await asyncio.to_thread(self.folder.sizes, row.recording_id)
            await self.store.assembled(row.recording_id, files, None, None)

    async def _take_back(self, row: Unfinished) -> None:
        """What was interrupted is to be assembled again, or was interrupted often enough."""
        if row.attempts >= MAX_ATTEMPTS:
            note = f"assembling was interrupted {row.attempts} times"
            files = await asyncio.to_thread(self.folder.sizes, row.recording_id)
            await self.store.assembly_failed(row.recording_id, note, state="failed", files=files)
            self.counters["assembly_failures"] += 1
            logger.error("recording %s: %s", row.recording_id, note)
        else:
            await self.store.put_back(row.recording_id)
            self.wake()

    async def _remove(self, row: Unfinished) -> None:
        await self.cancel(row.recording_id)
        if row.node != self.node and not await asyncio.to_thread(self.folder.has_anything, row.recording_id):
            return
        try:
            await asyncio.to_thread(self._remove_files, row.recording_id)
        except BlockingIOError:
            return  # another server is at work on it, and ends that at its next look: what it makes would be left
        except OSError as error:
            self.counters["removal_failures"] += 1
            logger.error("files of recording %s could not be removed: %s", row.recording_id, error)
            return
        await self.store.removed(row.recording_id)
        self.counters["removed"] += 1
        logger.info("recording %s is deleted", row.recording_id)

    def _remove_files(self, recording_id: str) -> None:
        with self.folder.locked(recording_id) if self.folder.has_capture(recording_id) else contextlib.nullcontext():
            self.folder.remove(recording_id)

    # -- doing it -----------------------------------------------------------------------------------------------------

    def _start_next(self) -> None:
        for job in self._jobs.values():
            if len(self._tasks) >= self.at_a_time:
                return
            if not job.running:
                job.running = True
                self._tasks[job.recording_id] = asyncio.get_running_loop().create_task(self._do(job))

    async def _do(self, job: Job) -> None:
        lock: int | None = None
        try:
            # Before the row says so, and until it says what came of it: where it says that something is done, and no process has
            # the lock, nothing is.
            lock = await asyncio.to_thread(self.folder.lock, job.recording_id)
            await (self._assemble(job, lock) if job.kind is JobKind.ASSEMBLE else self._verify(job, lock))
        except BlockingIOError:  # another server, or the command
            await self._put_off(job, "another process works on this recording", LOOK_INTERVAL / 2)
        except OSError as error:
            logger.error("recording %s: its capture cannot be opened: %s", job.recording_id, error)
            await self._put_off(job, f"its capture cannot be opened: {error.strerror}", self.pause)
        except Exception:
            logger.exception("recording %s: %s failed", job.recording_id, job.kind)
        finally:
            if lock is not None:
                os.close(lock)
            self._tasks.pop(job.recording_id, None)
            self._jobs.pop(job.recording_id, None)
            if self._looking is not None and not self._looking.cancelling():
                self._start_next()
                self.wake()

    async def _put_off(self, job: Job, reason: str, pause: float) -> None:
        """It cannot be done now. A user who asked for a verification is told."""
        self._not_before[job.recording_id] = asyncio.get_running_loop().time() + pause
        if job.kind is JobKind.VERIFY:
            await self._verified(job, None, f"verifying failed: {reason}")

    async def _assemble(self, job: Job, lock: int) -> None:
        recording_id = job.recording_id
        attempt = await self._written(lambda: self.store.begin_assembly(recording_id, again=job.asked_for))
        if not attempt:
            return  # another server was first, or it is being deleted
        try:
            result = await self._run(job, lock)
        except WorkFailed as error:
            await self._failed(job, attempt, str(error))
        except asyncio.CancelledError:
            # At the end of the server, in a hurry: if the database does not take it, the next start finds the row as it is.
            with contextlib.suppress(Exception):
                await self.store.put_back(recording_id)
            raise
        else:
            self.counters["assembled"] += 1
            files = await asyncio.to_thread(self.folder.sizes, recording_id)
            verdict, note = result.get("verdict"), result.get("note")
            if (reason := result.get("not_verified")) is not None:
                note = self._not_verified(job, reason)
            await self._written(lambda: self.store.assembled(recording_id, files, verdict, note))
            logger.info("recording %s is assembled: %s", recording_id, ", ".join(sorted(files)))

    async def _failed(self, job: Job, attempt: int, reason: str) -> None:
        recording_id = job.recording_id
        self.counters["assembly_failures"] += 1
        logger.warning("recording %s: attempt %d to assemble it failed: %s", recording_id, attempt, reason)
        state = "captured"
        if job.asked_for or attempt >= MAX_ATTEMPTS:
            state = "ready" if await asyncio.to_thread(self.folder.products(recording_id).is_dir) else "failed"
            self._not_before.pop(recording_id, None)
        else:
            self._not_before[recording_id] = asyncio.get_running_loop().time() + self.pause
        files = await asyncio.to_thread(self.folder.sizes, recording_id)
        await self._written(lambda: self.store.assembly_failed(recording_id, reason, state=state, files=files))

    async def _verify(self, job: Job, lock: int) -> None:
        verdict, note = None, None
        try:
            result = await self._run(job, lock)
            verdict, note = result.get("verdict"), result.get("note")
            self.counters["verified"] += 1
        except WorkFailed as error:
            note = self._not_verified(job, str(error))
        await self._verified(job, verdict, note)

    def _not_verified(self, job: Job, reason: str) -> str:
        """Count it and log it; the note for the users."""
        self.counters["verification_failures"] += 1
        logger.warning("recording %s: verifying it failed: %s", job.recording_id, reason)
        return f"verifying failed: {reason}"

    async def _verified(self, job: Job, verdict: str | None, note: str | None) -> None:
        files = await asyncio.to_thread(self.folder.sizes, job.recording_id)
        await self._written(lambda: self.store.verified(job.recording_id, files, verdict, note))

    async def _written(self, write: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Say something to the database, for as long as it takes: the work of minutes is not to be lost for an outage."""
        while True:
            try:
                return await write()
            except Unavailable:
                await asyncio.sleep(self.retry)

    async def _run(self, job: Job, lock: int) -> Mapping[str, Any]:
        def progress(step: str, done: float) -> None:
            job.step, job.done = step, done

        arguments = self.command(job, self.folder, verify=self.verifies and job.kind is JobKind.ASSEMBLE)
        if self.limits:
            arguments = [*arguments, "--limits", self.limits]
        return await run(arguments, _environment(self.keys), job.time_limit, progress, [lock])


def seconds_of(started_at: datetime, ended_at: datetime | None) -> float:
    """The duration of a recording; 0 if its end is not known."""
    return 0.0 if ended_at is None else max(0.0, (ended_at - started_at).total_seconds())


def _environment(keys: str) -> Mapping[str, str]:
    """What a job gets of the environment. It reads what clients have sent, so it has no secret that it does not need."""
    inherited = {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith(("LC_", "PYTHON"))}
    return {**inherited, **({"RELAY_RECORDING_KEY": keys} if keys else {})}


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended: one that waits for a connection of the pool may miss it (`wait_for`, before 3.12)."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=1.0)

"""Recordings in a folder, with rows in memory, and a program that does what a job's program does, or fails to."""

import contextlib
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from relay.errors import Unavailable
from relay.ids import new_id
from relay.recording.jobs.folder import RecordingFolder
from relay.recording.jobs.job import Job
from relay.recording.jobs.jobs import RecordingJobs
from relay.sealed import SealKeys

T0: Final = datetime(2026, 3, 1, tzinfo=UTC)

WORKER: Final = """
import json, os, pathlib, sys, time
kind, directory, recording_id, how = sys.argv[1:]
folder = pathlib.Path(directory)
(folder / "began").open("a").write(f"{os.getpid()} {recording_id}\\n")
print("a library says something", flush=True)
print(json.dumps({"step": "reading", "done": 0.5}), flush=True)
if how == "hangs" or (how == "hangs once" and len((folder / "began").read_text().splitlines()) == 1):
    os.fork()
    time.sleep(600)
(folder / f"{recording_id}.part").mkdir(exist_ok=True)
while how == "waits" and not (folder / "go").exists():
    time.sleep(0.02)
(folder / f"{recording_id}.part").rmdir()
if how == "fails":
    print(json.dumps({"failed": "this is no recording of a relay"}), flush=True)
    sys.exit(1)
if how == "crashes":
    raise ZeroDivisionError("what a traceback ends with")
products = folder / recording_id
products.mkdir(exist_ok=True)
(products / "A.webm").write_bytes(b"video")
print(json.dumps({"result": {"verdict": "passed", "note": ""}}), flush=True)
"""
"""Does what a job's program does, or fails to."""


@dataclass(frozen=True)
class Row:
    recording_id: str
    state: str = "captured"
    node: str = "here"
    attempts: int = 0
    started_at: datetime = T0
    ended_at: datetime | None = T0 + timedelta(minutes=1)
    files: Mapping[str, int] = field(default_factory=dict)
    verdict: str | None = None
    note: str | None = None


@dataclass
class Rows:
    """What a database does, in memory."""

    rows: dict[str, Row] = field(default_factory=dict)
    away: bool = False

    async def unfinished(self) -> Sequence[Row]:
        self._check()
        return [one for one in self.rows.values() if one.state in ("captured", "assembling", "deleting")]

    async def unknown(self, recording_ids: Sequence[str]) -> Sequence[str]:
        self._check()
        return [one for one in recording_ids if one not in self.rows]

    async def begin_assembly(self, recording_id: str, *, again: bool = False) -> int:
        self._check()
        row = self.rows[recording_id]
        if row.state not in (("captured", "ready", "failed") if again else ("captured",)):
            return 0
        self._change(recording_id, state="assembling", attempts=row.attempts + 1)
        return row.attempts + 1

    async def assembled(self, recording_id: str, files: Mapping[str, int], verdict: str | None, note: str | None) -> None:
        self._change(recording_id, "assembling", state="ready", files=files, verdict=verdict, note=note)

    async def assembly_failed(self, recording_id: str, note: str, *, state: str, files: Mapping[str, int]) -> None:
        self._change(recording_id, "assembling", state=state, note=note, files=files)

    async def put_back(self, recording_id: str) -> None:
        self._change(recording_id, "assembling", state="captured")

    async def verified(self, recording_id: str, files: Mapping[str, int], verdict: str | None, note: str | None) -> None:
        self._change(recording_id, files=files, verdict=verdict, note=note)

    async def removed(self, recording_id: str) -> None:
        self._check()
        del self.rows[recording_id]

    def _change(self, recording_id: str, *from_states: str, **values: Any) -> None:
        self._check()
        row = self.rows[recording_id]
        if not from_states or row.state in from_states:
            self.rows[recording_id] = replace(row, **values)

    def _check(self) -> None:
        if self.away:
            raise Unavailable("away")


class Bench:
    """Recordings in a folder, and the jobs that work on them."""

    def __init__(self, directory: Path) -> None:
        self.store = Rows()
        self.folder = RecordingFolder(directory, SealKeys())
        self.how = "works"

    def add(self, state: str = "captured", **values: Any) -> str:
        recording_id = new_id()
        self.store.rows[recording_id] = Row(recording_id, state, **values)
        self.folder.capture(recording_id).write_bytes(b"packets")
        return recording_id

    def jobs(self, **values: Any) -> RecordingJobs:
        def command(job: Job, folder: RecordingFolder, *, verify: bool) -> Sequence[str]:
            return [sys.executable, "-c", WORKER, job.kind, str(folder.directory), job.recording_id, self.how]

        return RecordingJobs(self.folder, self.store, "here", **{"command": command, "pause": 0.0, "retry": 0.05, **values})

    @contextlib.asynccontextmanager
    async def running(self, **values: Any) -> AsyncIterator[RecordingJobs]:
        jobs = self.jobs(**values)
        await jobs.start()
        try:
            yield jobs
        finally:
            await jobs.close()

    def state(self, recording_id: str) -> str:
        return self.store.rows[recording_id].state

    def began(self) -> list[tuple[int, str]]:
        """Process and recording of each attempt."""
        file = self.folder.directory / "began"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(line.split()[0]), line.split()[1]) for line in lines]

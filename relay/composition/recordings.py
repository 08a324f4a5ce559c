"""Recordings: their rows, their files, and the jobs that work on them."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.composition.database import DatabasePlane
from relay.db.recordings.accesses import SqlRecordingAccesses
from relay.db.recordings.people import SqlRecordingPeople
from relay.db.recordings.retention import SqlRecordingRetention
from relay.db.recordings.rows import SqlRecordings
from relay.recording.jobs.folder import RecordingFolder
from relay.recording.jobs.jobs import RecordingJobs
from relay.records.recordings import RecordingFilter, RecordingRecord, RecordingState, RecordingVerdict
from relay.sealed import SealKeys
from relay.settings.recording import RecordingSettings

_VERIFICATION: Final = ("relay.recording.verify", "numpy", "scipy", "jinja2")
"""What the extra `verify` brings."""

_OTHERS: Final = 200
"""Unfinished recordings of other servers that are looked at, newest first: a server may have got another name since."""

_UNFINISHED: Final = (RecordingState.CAPTURED, RecordingState.ASSEMBLING, RecordingState.DELETING)


@dataclass
class RecordingPlane:
    """What the other planes have of recordings.

    Attributes:
        folder: their files; None: no directory is set.
        jobs: None likewise.
        retention: removes what is too old.
    """

    store: SqlRecordings
    accesses: SqlRecordingAccesses
    folder: RecordingFolder | None
    jobs: RecordingJobs | None
    retention: SqlRecordingRetention

    def is_written(self, recording_id: str) -> bool:
        """Whether some process still captures that recording: maybe one of another server that has this directory, too."""
        return self.folder is not None and self.folder.is_locked(recording_id)


class JobRows:
    """`relay.recording.jobs.job.JobStore` on the rows."""

    def __init__(self, store: SqlRecordings, people: SqlRecordingPeople) -> None:
        self._store = store
        self._people = people

    async def unfinished(self) -> Sequence[RecordingRecord]:
        own = [one for state in _UNFINISHED for one in await self._store.unfinished(state)]
        others = await self._store.page(RecordingFilter(states=_UNFINISHED), limit=_OTHERS)
        return [*{one.recording_id: one for one in (*own, *reversed(others.entries))}.values()]

    async def unknown(self, recording_ids: Sequence[str]) -> Sequence[str]:
        known = await self._people.known(recording_ids)
        return [one for one in recording_ids if one not in known]

    async def begin_assembly(self, recording_id: str, *, again: bool = False) -> int:
        from_states = (RecordingState.CAPTURED, *((RecordingState.READY, RecordingState.FAILED) if again else ()))
        if not await self._store.move(recording_id, from_states, RecordingState.ASSEMBLING):
            return 0
        record = await self._store.get(recording_id)
        return 0 if record is None else record.attempts

    async def assembled(self, recording_id: str, files: Mapping[str, int], verdict: str | None, note: str | None) -> None:
        # The verdict first: a client that sees that it is ready sees this, too.
        await self._store.set_verdict(recording_id, RecordingVerdict(verdict or "none"))
        await self._store.assembled(recording_id, files, note)

    async def assembly_failed(self, recording_id: str, note: str, *, state: str, files: Mapping[str, int]) -> None:
        if state == RecordingState.READY:
            changed = await self._store.move(recording_id, [RecordingState.ASSEMBLING], RecordingState.READY)
        else:
            changed = await self._store.assembly_failed(recording_id, note, again=state == RecordingState.CAPTURED)
        if changed:
            await self.verified(recording_id, files, None, note)

    async def put_back(self, recording_id: str) -> None:
        await self._store.move(recording_id, [RecordingState.ASSEMBLING], RecordingState.CAPTURED)

    async def verified(self, recording_id: str, files: Mapping[str, int], verdict: str | None, note: str | None) -> None:
        record = await self._store.get(recording_id)
        if record is not None:
            found = record.verdict if verdict is None else RecordingVerdict(verdict)
            await self._store.set_verdict(recording_id, found, files=files, note=note)

    async def removed(self, recording_id: str) -> None:
        await self._store.removed(recording_id)


def recording_plane(settings: RecordingSettings, database: DatabasePlane) -> RecordingPlane:
    """Recordings, with no job running yet."""
    node, keys = database.settings.node_name, SealKeys.parse(settings.recording_key)
    store, directory = SqlRecordings(database.engine, database.cluster), settings.recordings
    folder = None if directory is None else RecordingFolder(Path(directory), keys)
    accesses, jobs = SqlRecordingAccesses(database.engine), None
    if folder is not None:
        verifies = all(_is_installed(name) for name in _VERIFICATION)
        jobs = RecordingJobs(
            folder,
            JobRows(store, SqlRecordingPeople(database.engine)),
            node,
            settings.assemblers,
            keys=settings.recording_key,
            verifies=verifies,
            limits=settings.verify_limits,
        )

    def expired() -> None:
        if jobs is not None:
            jobs.wake()

    return RecordingPlane(store, accesses, folder, jobs, SqlRecordingRetention(database.engine, store, expired))


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a package above it
        return False

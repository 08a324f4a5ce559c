"""Two servers with one database and one directory: each recording is assembled once, and none is taken from its server."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.composition.recordings import JobRows
from relay.db.recordings.people import SqlRecordingPeople
from relay.db.recordings.rows import SqlRecordings
from relay.housekeeping import RecordingWatch
from relay.ids import new_id
from relay.media.capture.writer import CaptureFile
from relay.recording.jobs.folder import RecordingFolder
from relay.recording.jobs.job import Job
from relay.recording.jobs.jobs import RecordingJobs
from relay.records.recordings import CaptureResult, RecordingEnd, RecordingState
from relay.sealed import SealKeys
from tests.db.recordings.test_rows import new
from tests.kit.cluster import ThisNode
from tests.kit.databases import database_url, empty_engine, engine, postgresql, sqlite_with_schema
from tests.kit.wait import eventually
from tests.recording.jobs.kit import WORKER

__all__ = ["database_url", "empty_engine", "engine", "postgresql", "sqlite_with_schema"]

NODES = pytest.mark.parametrize("nodes", [("here", "there"), ("here", "here")], ids=["two names", "one name"])


class Servers:
    """As much of two servers as works on recordings."""

    def __init__(self, engine: AsyncEngine, directory: Path) -> None:
        self.engine = engine
        self.folder = RecordingFolder(directory, SealKeys())
        self.store = SqlRecordings(engine, ThisNode("here"))
        self.how = "works"

    async def captured(self) -> str:
        """A recording of the server `here`."""
        recording_id = await self.capturing()
        self.folder.capture(recording_id).write_bytes(b"packets")
        left = CaptureResult(RecordingEnd.STOPPED, 1, 7, 0, {f"{recording_id}.pcapng": 7})
        await self.store.captured(recording_id, new().started_at, left)
        return recording_id

    async def capturing(self) -> str:
        recording_id = new_id()
        await self.store.started(replace(new(), recording_id=recording_id))
        return recording_id

    @contextlib.asynccontextmanager
    async def running(self, node: str) -> AsyncIterator[RecordingJobs]:
        def command(job: Job, folder: RecordingFolder, *, verify: bool) -> Sequence[str]:
            return [sys.executable, "-c", WORKER, job.kind, str(folder.directory), job.recording_id, self.how]

        rows = JobRows(SqlRecordings(self.engine, ThisNode(node)), SqlRecordingPeople(self.engine))
        jobs = RecordingJobs(self.folder, rows, node, 2, command=command, pause=0.0, retry=0.05)
        await jobs.start()
        try:
            yield jobs
        finally:
            await jobs.close()

    async def is_(self, recording_id: str, state: RecordingState) -> bool:
        record = await self.store.get(recording_id)
        return record is not None and record.state is state

    async def attempts(self, recording_id: str) -> int:
        record = await self.store.get(recording_id)
        assert record is not None
        return record.attempts

    def began(self) -> list[str]:
        """The recordings that processes have begun to assemble."""
        file = self.folder.directory / "began"
        return [line.split()[1] for line in file.read_text().splitlines()] if file.exists() else []

    def go(self) -> None:
        """Let processes that wait go on."""
        (self.folder.directory / "go").touch()


@pytest.fixture
def servers(engine: AsyncEngine, tmp_path: Path) -> Servers:
    return Servers(engine, tmp_path)


async def until(condition: Any, what: str) -> None:
    await eventually(condition, what)


@NODES
async def test_each_recording_is_assembled_by_one_of_them(servers: Servers, nodes: tuple[str, str]) -> None:
    recording_ids = [await servers.captured() for _ in range(6)]
    async with servers.running(nodes[0]) as first, servers.running(nodes[1]) as second:
        for one in recording_ids:
            await until(lambda one=one: servers.is_(one, RecordingState.READY), "it is assembled")
        assert first.counters["assembled"] + second.counters["assembled"] == 6
        assert first.counters["assembly_failures"] == second.counters["assembly_failures"] == 0
    assert sorted(servers.began()) == sorted(recording_ids)
    assert [await servers.attempts(one) for one in recording_ids] == [1] * 6


@NODES
async def test_a_start_takes_nothing_from_a_server_that_is_at_work(servers: Servers, nodes: tuple[str, str]) -> None:
    servers.how = "waits"
    recording_id = await servers.captured()
    part = servers.folder.part(recording_id)
    async with servers.running(nodes[0]):
        await until(part.is_dir, "it is being assembled")
        async with servers.running(nodes[1]) as second:
            own = await servers.captured()
            second.wake()
            await until(lambda: len(servers.began()) == 2, "the second one is at work, too")
            assert part.is_dir()
            assert await servers.is_(recording_id, RecordingState.ASSEMBLING)
            servers.go()
            for one in (recording_id, own):
                await until(lambda one=one: servers.is_(one, RecordingState.READY), "it is assembled")
    assert sorted(servers.began()) == sorted([recording_id, own])
    assert await servers.attempts(recording_id) == 1


@NODES
async def test_what_the_one_deletes_while_the_other_works_on_it_leaves_nothing(servers: Servers, nodes: tuple[str, str]) -> None:
    servers.how = "waits"
    recording_id = await servers.captured()
    async with servers.running(nodes[0]) as first:
        await until(servers.folder.part(recording_id).is_dir, "it is being assembled")
        assert await servers.store.begin_deletion(recording_id)
        async with servers.running(nodes[1]) as second:
            own = await servers.captured()
            second.wake()
            await until(lambda: own in servers.began(), "the second one has looked")
            assert await servers.is_(recording_id, RecordingState.DELETING), "it waits for the first one, which is at work"
            first.wake()

            async def gone() -> bool:
                return await servers.store.get(recording_id) is None

            await until(gone, "it is deleted")
            assert not servers.folder.has_anything(recording_id)
            assert second.counters["removal_failures"] == 0
            servers.go()


async def test_what_another_server_of_the_same_name_still_captures_is_not_lost(servers: Servers) -> None:
    recording_id, lost = await servers.capturing(), await servers.capturing()
    servers.folder.capture(lost).write_bytes(b"packets")
    file = CaptureFile(servers.folder.capture(recording_id), None, 0, lambda _: None, lambda: None)
    assert file.open() is None
    try:

        class NoCaptures:
            def concerns(self, recording_id: str) -> bool:
                return False

            async def watch(self, now: float) -> None: ...

        watch = RecordingWatch(NoCaptures(), servers.store, lambda: None, servers.folder.is_locked)
        await watch._look()
        assert await servers.is_(lost, RecordingState.CAPTURED)
        assert await servers.is_(recording_id, RecordingState.CAPTURING)
        with pytest.raises(BlockingIOError):
            servers.folder.lock(recording_id)
        file.unlock()
        await watch._look()
        assert await servers.is_(recording_id, RecordingState.CAPTURED)
    finally:
        os.close(file.descriptor)

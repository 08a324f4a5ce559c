"""Recordings on the disk and in the database of a relay, as a call would have left them."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.demo import LESSONS
from relay.db.engine import create_engine
from relay.db.recordings.rows import SqlRecordings
from relay.ids import Profile, Scope, new_id
from relay.records.recordings import CaptureResult, NewRecording, RecordingEnd, RecordingPolicy, RecordingRecord, RecordingState
from relay.sealed import Sealer, SealKeys, seal_file
from tests.http.records import DANIEL, MAYA, T0, asked
from tests.kit.cluster import ThisNode
from tests.kit.server import RunningRelay

KEY: Final = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
"""For `RELAY_RECORDING_KEY`."""

NODE: Final = "here"

VIDEO: Final = bytes(range(256)) * 800
"""204,800 bytes: four chunks of a sealed file."""

PRODUCTS: Final = {
    "A.webm": VIDEO,
    "sidecar.json": b'{"tracks": []}',
    "report.json": b'{"verdict": "passed"}',
    "report.html": b"<!doctype html><title>Report</title>",
}


@dataclass(frozen=True)
class Recorded:
    """Writes recordings where a relay finds them."""

    store: SqlRecordings
    directory: Path

    async def add(
        self,
        minute: float = 0,
        *,
        caller: str = DANIEL,
        callee: str = MAYA,
        scope: Scope = LESSONS,
        policy: RecordingPolicy = RecordingPolicy.CONSENT,
        state: RecordingState = RecordingState.READY,
        products: Mapping[str, bytes] = PRODUCTS,
        capture: bytes = b"the packets",
        key: str = "",
        since: datetime = T0,
    ) -> str:
        """Add a recording of a minute; its id."""
        recording_id, started = new_id(), since + timedelta(minutes=minute)
        parties = (Profile.parse(caller), Profile.parse(callee))
        await self.store.started(
            NewRecording(recording_id, new_id(), scope, *parties, started, policy, "1", consented=True, sealed=bool(key))
        )
        if state is RecordingState.CAPTURING:
            return recording_id
        files = self.write(recording_id, products if state is RecordingState.READY else {}, capture, key)
        captured = {name: size for name, size in files.items() if name.endswith(".pcapng")}
        result = CaptureResult(RecordingEnd.CALL_ENDED, 100, len(capture), 0, captured)
        await self.store.captured(recording_id, started + timedelta(minutes=1), result)
        if state is not RecordingState.CAPTURED:
            await self.store.move(recording_id, [RecordingState.CAPTURED], RecordingState.ASSEMBLING)
        if state is RecordingState.READY:
            await self.store.assembled(recording_id, files)
        if state is RecordingState.FAILED:
            await self.store.assembly_failed(recording_id, "no packet makes sense", again=False)
        return recording_id

    def write(self, recording_id: str, products: Mapping[str, bytes], capture: bytes, key: str = "") -> Mapping[str, int]:
        """The files of a recording, sealed with a key; their sizes, unsealed."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        path = self.directory / f"{recording_id}.pcapng"
        [sealing] = SealKeys.parse(key) if key else (None,)
        if sealing is None:
            path.write_bytes(capture)
        else:
            sealer = Sealer(sealing)
            path.write_bytes(sealer.header + sealer.seal(capture[:4]) + sealer.seal(capture[4:], last=True))
        folder = self.directory / recording_id
        if products:
            folder.mkdir(mode=0o700)
        for name, content in products.items():
            (folder / name).write_bytes(content)
            if sealing is not None:
                seal_file(folder / name, folder / f"{name}.sealed", sealing)
                (folder / f"{name}.sealed").replace(folder / name)
        return {path.name: path.stat().st_size, **{name: len(content) for name, content in products.items()}}

    async def get(self, recording_id: str) -> RecordingRecord:
        record = await self.store.get(recording_id)
        assert record is not None
        return record

    def files(self, recording_id: str) -> list[str]:
        """What lies on the disk."""
        return sorted(str(one.relative_to(self.directory)) for one in self.directory.rglob(f"{recording_id}*/**/*")) + sorted(
            one.name for one in self.directory.glob(f"{recording_id}*")
        )


@contextlib.asynccontextmanager
async def recordings_of(relay: RunningRelay, folder: Path) -> AsyncIterator[Recorded]:
    database: AsyncEngine = create_engine(relay.database_url)
    try:
        yield Recorded(SqlRecordings(database, ThisNode(NODE)), folder / "recordings")
    finally:
        await database.dispose()


def accesses(folder: Path) -> list[dict[str, Any]]:
    """The log of accesses, oldest first."""
    with contextlib.closing(sqlite3.connect(folder / "relay.db")) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT * FROM recording_accesses ORDER BY accessed_at, rowid").fetchall()
    return [dict(one) for one in rows]


quiet = pytest.mark.settings(node=NODE, assemblers=0)
"""No job touches what a test has written."""
sealed = pytest.mark.settings(node=NODE, assemblers=0, recording_key=KEY)

UNKNOWN = "0123456789abcdef0123456789abcdef"


async def listed(http: aiohttp.ClientSession, who: str, query: str = "") -> list[str]:
    status, answer = await asked(http, "GET", f"/api/recordings{query}", who)
    assert status == 200, answer
    return [one["recording_id"] for one in answer["recordings"]]


def file_of(recording_id: str, name: str = "A.webm") -> str:
    return f"/api/recordings/{recording_id}/files/{name}"


@pytest.fixture
async def recorded(relay: RunningRelay, tmp_path: Path) -> AsyncIterator[Recorded]:
    async with recordings_of(relay, tmp_path) as recorded:
        yield recorded

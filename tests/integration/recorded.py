"""Two aiortc peers in a call that is recorded, and what is in its file and in the database."""

from pathlib import Path
from typing import Any

from sqlalchemy import text

from relay.db.engine import create_engine
from relay.recording.records import CapturedPacket, CaptureEvent, CaptureInterface, read_capture
from tests.integration.conftest import Connect
from tests.kit.peer import BLUE, RED, Peer
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

TOLERANCE = 10_000_000
"""Nanoseconds between the clock of messages, which are in milliseconds, and that of the capture."""

LOW, HIGH = 440.0, 1200.0
SIZE = (160, 120)


async def talking(connect: Connect, *, callee_shows: bool = True) -> tuple[Peer, Peer]:
    """Two peers in a call with media, whose clients show recordings."""
    caller = await connect("student_456", colour=RED, size=SIZE, tone=LOW)
    callee = await connect("tutor_789", colour=BLUE, size=SIZE, tone=HIGH)
    caller.shows_recording, callee.shows_recording = True, callee_shows
    await caller.call("tutor_789", 123, "video")
    await callee.answer(await callee.ring())
    await caller.accept_answer()
    await media_flows(caller, callee)
    return caller, callee


async def media_flows(caller: Peer, callee: Peer) -> None:
    for one in (caller, callee):
        one.forget_what_was_heard()
    await eventually(lambda: caller.hears(HIGH) and callee.hears(LOW), "each hears the other one")
    await eventually(lambda: min(caller.frames, callee.frames) > 0, "each sees the other one")


async def state(peer: Peer, wanted: str) -> dict[str, Any]:
    """Wait until the peer is told that the recording is in that state."""
    while True:
        told: dict[str, Any] = await peer.expect("call_recording")
        if told["state"] == wanted:
            return told


async def begun(caller: Peer, callee: Peer) -> str:
    """The caller has asked and the callee agreed: the id of the recording."""
    await caller.send("call_record", action="start")
    request = await callee.expect("call_record_request")
    await callee.send("call_record_answer", accepted=True)
    for one in (caller, callee):
        await state(one, "recording")
    return str(request["recording_id"])


async def rows(relay: RunningRelay, table: str = "recordings") -> list[dict[str, Any]]:
    engine = create_engine(relay.database_url)
    try:
        async with engine.connect() as connection:
            found = await connection.execute(text(f"SELECT * FROM {table}"))
            return [dict(row) for row in found.mappings()]
    finally:
        await engine.dispose()


async def the_row(relay: RunningRelay) -> dict[str, Any]:
    """The only recording, once it is captured."""

    async def captured() -> list[dict[str, Any]]:
        return [one for one in await rows(relay) if one["state"] != "capturing"]

    found: list[dict[str, Any]] = await eventually(captured, "the recording is captured")
    [row] = found
    return row


def file_of(tmp_path: Path, recording_id: str) -> Path:
    return tmp_path / "recordings" / f"{recording_id}.pcapng"


def packets_by_party(file: Path) -> dict[str, list[int]]:
    """When packets of each party arrived, in nanoseconds since 1970."""
    found: dict[str, list[int]] = {"A": [], "B": []}
    parties: dict[int, str] = {}
    for record in read_capture(file):
        if isinstance(record, CaptureInterface):
            parties[record.number] = record.party
        elif isinstance(record, CapturedPacket):
            found[parties[record.interface]].append(record.at)
    return found


def events(file: Path) -> list[str]:
    return [one.name for one in read_capture(file) if isinstance(one, CaptureEvent)]


async def time_passes(*peers: Peer) -> None:
    """Some frames more have come to each."""
    for one in peers:
        before = one.frames
        await eventually(lambda one=one, before=before: one.frames > before + 10, "frames go on")  # type: ignore[misc]

"""Recordings whose worker, server or database goes away."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.recording.assemble import assemble
from relay.recording.records import CapturedPacket, CaptureInterface, read_capture
from relay.recording.verify import verify
from tests.integration.conftest import Connect
from tests.integration.recorded import begun, file_of, packets_by_party, rows, state, talking, the_row, time_passes
from tests.kit.outages import locked
from tests.kit.peer import Peer
from tests.kit.process import Server, serving
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually


@pytest.fixture
def relay_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Nothing is made of the captures."""
    marker = request.node.get_closest_marker("settings")
    return {"assemblers": 0, **(marker.kwargs if marker else {})}


@pytest.fixture
def no_errors_logged() -> None:
    """The death of a worker is an error, and logged as one; so is an outage of the database."""


@contextlib.asynccontextmanager
async def recording_server(folder: Path, **settings: str) -> AsyncIterator[tuple[Server, Connect]]:
    """A relay in a process of its own that assembles nothing, and what connects peers to it."""
    recordings = folder / "recordings"
    recordings.mkdir(mode=0o700, exist_ok=True)
    chosen = {"assemblers": "0", "recording_directory": str(recordings), **settings}
    async with serving(folder, **chosen) as server, contextlib.AsyncExitStack() as peers:

        async def connect(key: str, **sends: Any) -> Peer:
            return await peers.enter_async_context(Peer.connected(server.relay.url, key, **sends))

        yield server, connect


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def last_audio_of(receiver: Peer) -> int:
    """The sequence number of the last audio packet that came to a peer."""
    audio: Any
    [audio] = [one.receiver for one in receiver.connection.getTransceivers() if one.kind == "audio"]
    [stream] = audio._RTCRtpReceiver__remote_streams.values()
    return int(stream.max_seq) & 0xFFFF


def audio_by_party(file: Path) -> dict[str, list[int]]:
    """The sequence numbers of each party's audio in a capture."""
    found: dict[str, list[int]] = {"A": [], "B": []}
    parties: dict[int, tuple[str, set[int]]] = {}
    for record in read_capture(file):
        if isinstance(record, CaptureInterface):
            types = {codec.payload_type for media in record.media if media.kind == "audio" for codec in media.codecs}
            parties[record.number] = (record.party, types)
        elif isinstance(record, CapturedPacket) and record.data[1] & 0x7F in parties[record.interface][1]:
            found[parties[record.interface][0]].append(int.from_bytes(record.data[2:4]))
    return found


@pytest.mark.settings(workers=1)
async def test_a_recording_whose_worker_dies_is_kept(relay: RunningRelay, connect: Connect, tmp_path: Path) -> None:
    caller, callee = await talking(connect)
    recording_id = await begun(caller, callee)
    await time_passes(caller, callee)
    file = file_of(tmp_path, recording_id)
    await eventually(lambda: min(map(len, packets_by_party(file).values())) > 10, "packets of both are in the file")
    [victim] = [one.pid for one in relay.workers]
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    assert (await callee.expect("call_ended"))["reason"] == "worker_lost"
    row = await the_row(relay)
    assert (row["state"], row["end_reason"]) == ("captured", "worker_lost")


async def test_a_database_that_is_away_loses_no_recording(relay: RunningRelay, connect: Connect, tmp_path: Path) -> None:
    caller, callee = await talking(connect)
    async with locked(tmp_path / "relay.db"):
        recording_id = await begun(caller, callee)
        await time_passes(caller, callee)
        await callee.send("call_record_answer", accepted=False)
        await state(caller, "stopped")
    row = await the_row(relay)
    assert (row["id"], row["end_reason"]) == (recording_id, "consent_withdrawn")
    answers = {(one["profile_type"], one["answer"]) for one in await rows(relay, "recording_consents")}
    assert answers == {("student", "requested"), ("tutor", "accepted"), ("tutor", "withdrawn")}


@pytest.mark.servers
@pytest.mark.parametrize("workers", ["0", "1"], ids=["that forwards by itself", "and its worker at once"])
async def test_a_server_that_is_killed_finds_its_recording_when_it_starts_again_and_all_but_the_last_second_plays(
    tmp_path: Path, workers: str
) -> None:
    async with recording_server(tmp_path, workers=workers) as (server, connect):
        caller, callee = await talking(connect)
        recording_id = await begun(caller, callee)
        await time_passes(caller, callee)
        file = file_of(tmp_path, recording_id)
        await eventually(lambda: min(map(len, packets_by_party(file).values())) > 10, "packets of both are in the file")
        children = children_of(server.process.pid)
        # So that it does not see its worker die before it does.
        os.kill(server.process.pid, signal.SIGSTOP)
        for worker in children:
            os.kill(worker, signal.SIGKILL)
        await server.stop(signal.SIGKILL)
        received = {"A": last_audio_of(callee), "B": last_audio_of(caller)}
    async with recording_server(tmp_path, workers=workers) as (server, _):
        row = await the_row(server.relay)
        assert (row["id"], row["end_reason"]) == (recording_id, "server_lost")
    assert min(map(len, packets_by_party(file).values())) > 10
    kept = audio_by_party(file)
    lost = {party: (received[party] - sequences[-1] + 0x8000 & 0xFFFF) - 0x8000 for party, sequences in kept.items()}
    assert max(lost.values()) * 0.02 <= 1, f"packets of 20 ms that the other party had received: {lost}"
    sidecar = assemble(file, tmp_path / "made").sidecar
    tracks = {one["party"]: one for one in sidecar["tracks"] if one["kind"] == "audio"}
    for party, sequences in kept.items():
        assert round(tracks[party]["duration"] / 0.02, 3) >= len(sequences)
    result = verify(tmp_path / "made")
    assert result.verdict == "passed", result.reasons
    assert "The capture has no end: the process that wrote it was interrupted." in verify(file, out=tmp_path / "out").report.notes


@pytest.mark.servers
async def test_a_server_that_is_stopped_ends_its_recordings_first(tmp_path: Path) -> None:
    async with recording_server(tmp_path, workers="1") as (server, connect):
        caller, callee = await talking(connect)
        recording_id = await begun(caller, callee)
        await time_passes(caller, callee)
        outcome = await server.stop(signal.SIGTERM)
        assert outcome.status == 0, outcome.err
        [row] = await rows(server.relay)
        assert (row["state"], row["end_reason"]) == ("captured", "call_ended")
        assert row["packets"] == sum(map(len, packets_by_party(file_of(tmp_path, recording_id)).values()))


@pytest.mark.servers
async def test_a_recording_in_the_journal_is_written_although_recording_is_off_by_then(tmp_path: Path) -> None:
    async with recording_server(tmp_path) as (server, connect):
        caller, callee = await talking(connect)
        async with locked(tmp_path / "relay.db"):
            recording_id = await begun(caller, callee)
            await time_passes(caller, callee)
            await callee.send("call_record", action="stop")
            journal = tmp_path / "calls.journal"
            await eventually(lambda: b"recording_captured" in journal.read_bytes(), "the end is in the journal")
            await server.stop(signal.SIGKILL)
    async with recording_server(tmp_path, recording="off") as (server, _):
        row = await the_row(server.relay)
        assert (row["id"], row["end_reason"]) == (recording_id, "stopped")

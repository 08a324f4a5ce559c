"""A disk that is full while a recording is assembled: nothing half is shown, and the next attempt makes it."""

import subprocess
from pathlib import Path

import pytest

from relay.recording.assembly.mux import Muxer, PlannedTrack
from relay.recording.assembly.sources import TrackKey
from relay.recording.jobs.jobs import work_command
from tests.kit.wait import eventually
from tests.media.capture.disks import mounted
from tests.recording.jobs.kit import Bench
from tests.recording.kit import captured


def larger(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)


def test_a_file_that_the_disk_has_no_room_for_is_no_finished_one(tmp_path: Path) -> None:
    with mounted(tmp_path, "64k") as disk:
        muxer = Muxer(disk, [PlannedTrack(TrackKey("A", "audio", 0, "opus"), "Caller")], cues=1)
        with pytest.raises(OSError, match="No space left on device"):
            for number in range(1000):
                muxer.write(TrackKey("A", "audio", 0, "opus"), number * 960, b"\xf8" + bytes(200), 960)
            muxer.close()


async def test_a_full_disk_fails_an_attempt_with_its_reason_and_the_next_one_makes_the_files(tmp_path: Path) -> None:
    with mounted(tmp_path, "76k") as disk:
        bench = Bench(disk)
        recording_id = bench.add()
        captured(bench.folder.capture(recording_id))
        async with bench.running(command=work_command, verifies=False, pause=3600.0):
            await eventually(lambda: bench.store.rows[recording_id].note, "the first attempt has failed", within=60.0)
            row = bench.store.rows[recording_id]
            assert row.note is not None
            assert "No space left on device" in row.note
            assert (row.state, row.attempts) == ("captured", 1)
            assert [one.name for one in disk.iterdir()] == [f"{recording_id}.pcapng"], "nothing half is left"
        larger(disk)
        async with bench.running(command=work_command, verifies=False):
            await eventually(lambda: bench.state(recording_id) == "ready", "the next one has made it", within=60.0)
        assert set(bench.store.rows[recording_id].files) >= {"A.webm", "B.webm", "call.mkv", "sidecar.json"}


@pytest.mark.parametrize("left", ["everything", "no parts", "no products", "no files"])
async def test_a_deletion_that_a_crash_interrupted_goes_on_at_the_next_start(tmp_path: Path, left: str) -> None:
    """In the order in which files are removed: what is being made, what was made, the capture; and at last the row."""
    bench = Bench(tmp_path)
    recording_id = bench.add("deleting")
    folder = bench.folder
    if left == "everything":
        folder.part(recording_id).mkdir()
    if left in ("everything", "no parts"):
        folder.products(recording_id).mkdir()
        (folder.products(recording_id) / "A.webm").write_bytes(b"video")
    if left == "no files":
        folder.capture(recording_id).unlink()
    async with bench.running() as jobs:
        await eventually(lambda: recording_id not in bench.store.rows, "it is deleted")
        assert jobs.counters["removed"] == 1
    assert not folder.has_anything(recording_id)

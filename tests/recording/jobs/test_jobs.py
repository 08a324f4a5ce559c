"""Recordings are assembled beside the calls, by processes that may die."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from relay.ids import new_id
from relay.recording.jobs.folder import RecordingFolder
from relay.recording.jobs.job import Job, JobKind
from relay.recording.jobs.jobs import MAX_ATTEMPTS, work_command
from relay.recording.jobs.process import WorkFailed, run
from tests.kit.children import child
from tests.kit.wait import eventually
from tests.recording.jobs.kit import Bench
from tests.recording.kit import captured


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def group_lives(process: int) -> bool:
    """Whether anything is left of what a process has started: it leads a group of its own."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            state, _parent, group, *_ = file.read_text().rpartition(")")[2].split()
            if group == str(process) and state != "Z":
                return True
    return False


async def test_what_was_captured_is_assembled_at_a_start(bench: Bench) -> None:
    recording_ids = [bench.add() for _ in range(2)]
    async with bench.running() as jobs:
        await eventually(lambda: all(bench.state(one) == "ready" for one in recording_ids), "all are assembled")
        assert jobs.counters["assembled"] == 2
        assert jobs.levels() == {"jobs_running": 0, "jobs_waiting": 0, "orphans": 0}
    row = bench.store.rows[recording_ids[0]]
    assert row.files == {f"{recording_ids[0]}.pcapng": 7, "A.webm": 5}
    assert (row.verdict, row.attempts) == ("passed", 1)


async def test_what_is_captured_later_is_assembled_when_it_is_said(bench: Bench) -> None:
    async with bench.running() as jobs:
        recording_id = bench.add()
        jobs.wake()
        await eventually(lambda: bench.state(recording_id) == "ready", "it is assembled")


async def test_no_more_processes_run_than_may(bench: Bench) -> None:
    bench.how = "hangs"
    for _ in range(4):
        bench.add()
    async with bench.running(at_a_time=2) as jobs:
        await eventually(lambda: len(bench.began()) == 2, "two have begun")
        await eventually(lambda: jobs.levels() == {"jobs_running": 2, "jobs_waiting": 2, "orphans": 0}, "two wait")
        assert sorted(bench.state(one) for one in bench.store.rows) == ["assembling", "assembling", "captured", "captured"]


async def test_progress_is_known_while_a_job_runs(bench: Bench) -> None:
    bench.how = "hangs"
    running, waiting = bench.add(), bench.add()
    async with bench.running() as jobs:

        def halfway() -> bool:
            job = jobs.under_way().get(running)
            return job is not None and (job.running, job.step, job.done) == (True, "reading", 0.5)

        await eventually(halfway, "half of it is read")
        job = jobs.under_way().get(waiting)
        assert job is not None
        assert not job.running
        assert not jobs.assemble(running, 60.0)
        assert not jobs.verify(running, 60.0)


@pytest.mark.parametrize(
    ("how", "note"),
    [
        ("fails", "this is no recording of a relay"),
        ("crashes", "the process ended with status 1: ZeroDivisionError: what a traceback ends with"),
    ],
)
async def test_a_recording_that_cannot_be_assembled_is_tried_three_times(bench: Bench, how: str, note: str) -> None:
    bench.how = how
    recording_id = bench.add()
    async with bench.running() as jobs:
        await eventually(lambda: bench.state(recording_id) == "failed", "it is given up")
        assert jobs.counters["assembly_failures"] == MAX_ATTEMPTS == len(bench.began()) == 3
    row = bench.store.rows[recording_id]
    assert (row.attempts, row.note) == (3, note)
    assert row.files == {f"{recording_id}.pcapng": 7}
    assert bench.folder.has_capture(recording_id)


async def test_a_pause_is_made_between_two_attempts(bench: Bench) -> None:
    bench.how = "fails"
    recording_id = bench.add()
    async with bench.running(pause=3600.0) as jobs:
        await eventually(lambda: bench.store.rows[recording_id].note, "the first attempt has failed")
        other = bench.add()
        jobs.wake()
        await eventually(lambda: bench.store.rows[other].note, "another recording was tried meanwhile")
        assert (bench.state(recording_id), bench.store.rows[recording_id].attempts) == ("captured", 1)


async def test_an_assembler_that_is_killed_is_started_again(bench: Bench) -> None:
    bench.how = "hangs once"
    recording_id = bench.add()
    async with bench.running():
        await eventually(bench.began, "it has begun")
        [(process, _)] = bench.began()
        os.kill(process, signal.SIGKILL)
        await eventually(lambda: bench.state(recording_id) == "ready", "it is assembled by another process")
        assert not group_lives(process), "what the killed one had started is gone, too"
    assert bench.store.rows[recording_id].attempts == 2


async def test_a_process_that_takes_too_long_is_killed_with_all_that_it_started(bench: Bench) -> None:
    bench.how = "hangs"
    recording_id = bench.add()
    arguments = bench.jobs().command(Job(JobKind.ASSEMBLE, recording_id, 60.0), bench.folder, verify=False)
    with pytest.raises(WorkFailed, match="took longer than 2 s"):
        await run(arguments, os.environ, 2.0, lambda _step, _done: None)
    [(process, _)] = bench.began()
    assert not lives(process)
    await eventually(lambda: not group_lives(process), "the process that it had forked is gone")


def test_a_job_may_take_half_an_hour_and_a_twentieth_of_the_recording() -> None:
    assert Job(JobKind.ASSEMBLE, new_id(), 3600.0).time_limit == 1800 + 180


async def test_a_stop_of_the_server_is_no_failed_attempt_and_leaves_no_process(bench: Bench) -> None:
    bench.how = "hangs"
    recording_id = bench.add()
    async with bench.running():
        await eventually(bench.began, "it has begun")
    [(process, _)] = bench.began()
    assert not group_lives(process)
    assert (bench.state(recording_id), bench.store.rows[recording_id].note) == ("captured", None)
    bench.how = "works"
    async with bench.running():
        await eventually(lambda: bench.state(recording_id) == "ready", "the next start assembles it")


async def test_what_a_killed_server_was_assembling_is_begun_anew(bench: Bench) -> None:
    recording_id = bench.add("assembling", attempts=1)
    for path in (bench.folder.part(recording_id), bench.folder.report(recording_id)):
        path.mkdir()
        (path / "half").write_bytes(b"half")
    async with bench.running():
        await eventually(lambda: bench.state(recording_id) == "ready", "it is assembled")
    assert bench.store.rows[recording_id].attempts == 2
    assert not list(bench.folder.directory.rglob("half"))


async def test_what_was_interrupted_three_times_is_given_up(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    recording_id = bench.add("assembling", attempts=3)
    async with bench.running():
        await eventually(lambda: bench.state(recording_id) == "failed", "it is given up")
    assert bench.began() == []
    assert "interrupted 3 times" in caplog.text


async def test_what_another_server_assembles_is_left_to_it(bench: Bench) -> None:
    theirs, own = bench.add("assembling", node="there"), bench.add()
    elsewhere = bench.add(node="there")
    bench.folder.capture(elsewhere).unlink()
    with bench.folder.locked(theirs):
        async with bench.running():
            await eventually(lambda: bench.state(own) == "ready", "its own is assembled")
            assert (bench.state(theirs), bench.state(elsewhere)) == ("assembling", "captured")


async def test_a_capture_of_a_server_that_had_another_name_is_assembled(bench: Bench) -> None:
    recording_id = bench.add(node="the name before")
    async with bench.running():
        await eventually(lambda: bench.state(recording_id) == "ready", "it is assembled")


async def test_a_capture_that_is_gone_is_said_to_be(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    recording_id = bench.add()
    bench.folder.capture(recording_id).unlink()
    async with bench.running():
        await eventually(lambda: bench.state(recording_id) == "failed", "it is given up")
    assert bench.store.rows[recording_id].note == "the capture is missing"
    assert "its capture is missing" in caplog.text


async def test_an_outage_of_the_database_loses_no_work(bench: Bench) -> None:
    recording_id = bench.add()
    async with bench.running() as jobs:
        await eventually(lambda: bench.state(recording_id) == "assembling", "it has begun")
        bench.store.away = True
        await eventually((bench.folder.products(recording_id) / "A.webm").exists, "its files are made")
        await asyncio.sleep(0)
        assert bench.state(recording_id) == "assembling"
        bench.store.away = False
        await eventually(lambda: bench.state(recording_id) == "ready", "the database is told")
        assert jobs.counters["assembled"] == 1
    assert len(bench.began()) == 1


async def test_an_attempt_that_was_asked_for_is_made_once_and_leaves_what_there_was(bench: Bench) -> None:
    bench.how = "fails"
    recording_id = bench.add("ready", attempts=1)
    bench.folder.products(recording_id).mkdir()
    (bench.folder.products(recording_id) / "A.webm").write_bytes(b"before")
    async with bench.running() as jobs:
        assert jobs.assemble(recording_id, 60.0)
        await eventually(lambda: bench.store.rows[recording_id].note, "it has failed")
        assert bench.state(recording_id) == "ready"
    assert bench.store.rows[recording_id].files["A.webm"] == 6
    assert len(bench.began()) == 1


async def test_a_recording_is_verified_on_request(bench: Bench) -> None:
    recording_id = bench.add("ready")
    async with bench.running() as jobs:
        assert jobs.verify(recording_id, 60.0)
        await eventually(lambda: bench.store.rows[recording_id].verdict == "passed", "it is verified")
        assert jobs.counters["verified"] == 1
    assert bench.state(recording_id) == "ready"


async def test_what_could_be_assembled_and_not_verified_is_ready_and_the_failure_is_counted_and_logged(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the real program, which finds a numpy that cannot be loaded."""
    (tmp_path / "numpy.py").write_text("raise ImportError('built for another processor')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    recording_id = bench.add()
    captured(bench.folder.capture(recording_id))
    async with bench.running(command=work_command) as jobs:
        await eventually(lambda: bench.state(recording_id) == "ready", "it is assembled", within=60.0)
        assert (jobs.counters["assembled"], jobs.counters["verification_failures"]) == (1, 1)
    row = bench.store.rows[recording_id]
    assert (row.verdict, "A.webm" in row.files, "report.json" in row.files) == (None, True, False)
    assert row.note == "verifying failed: ImportError: built for another processor"
    assert f"recording {recording_id}: {row.note.replace('verifying', 'verifying it')}" in caplog.text


async def test_a_recording_that_is_deleted_while_it_is_assembled_is_gone_with_the_process(bench: Bench) -> None:
    bench.how = "hangs"
    recording_id = bench.add()
    async with bench.running() as jobs:
        await eventually(bench.began, "it has begun")
        bench.store.rows[recording_id] = replace(bench.store.rows[recording_id], state="deleting")
        jobs.wake()
        await eventually(lambda: recording_id not in bench.store.rows, "its row is gone")
        assert not bench.folder.has_anything(recording_id)
        assert jobs.counters["removed"] == 1
    assert not group_lives(bench.began()[0][0])


async def test_a_recording_whose_files_cannot_be_removed_stays_and_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_folder: RecordingFolder, _recording_id: str) -> None:
        raise PermissionError(13, "Permission denied")

    recording_id = bench.add("deleting")
    with monkeypatch.context() as patched:
        patched.setattr(RecordingFolder, "remove", refuse)
        async with bench.running() as jobs:
            await eventually(lambda: jobs.counters["removal_failures"] > 0, "it has failed")
    assert recording_id in bench.store.rows
    assert "could not be removed" in caplog.text
    async with bench.running():
        await eventually(lambda: recording_id not in bench.store.rows, "the next start removes it")


async def test_a_server_without_assemblers_removes_only(bench: Bench) -> None:
    captured, deleting = bench.add(), bench.add("deleting")
    async with bench.running(at_a_time=0) as jobs:
        await eventually(lambda: deleting not in bench.store.rows, "it is removed")
        assert not jobs.assemble(captured, 60.0)
    assert (bench.state(captured), bench.began()) == ("captured", [])


async def test_a_server_without_assemblers_shows_what_the_command_made(bench: Bench) -> None:
    recording_id, untouched = bench.add(), bench.add()
    bench.folder.products(recording_id).mkdir()
    (bench.folder.products(recording_id) / "A.webm").write_bytes(b"video")
    async with bench.running(at_a_time=0):
        await eventually(lambda: bench.state(recording_id) == "ready", "it is shown")
    assert bench.store.rows[recording_id].files == {f"{recording_id}.pcapng": 7, "A.webm": 5}
    assert bench.state(untouched) == "captured"


async def test_captures_that_no_row_is_about_are_counted_and_stay(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    orphan, young, known = new_id(), new_id(), bench.add("ready")
    for one in (orphan, young, known):
        bench.folder.capture(one).write_bytes(b"packets")
    (bench.folder.directory / "notes.pcapng").write_bytes(b"of another program")
    for one in (orphan, known):
        os.utime(bench.folder.capture(one), (0, 0))
    os.utime(bench.folder.directory / "notes.pcapng", (0, 0))
    async with bench.running() as jobs:
        await eventually(lambda: jobs.levels()["orphans"] == 1, "it is found")
    assert f"1 captures in {bench.folder.directory}" in caplog.text
    assert orphan in caplog.text
    assert bench.folder.has_capture(orphan)


async def test_a_job_ends_with_the_server_however_that_ends(bench: Bench) -> None:
    recording_id = new_id()
    os.mkfifo(bench.folder.capture(recording_id))  # it waits for a writer, and does nothing else
    job = Job(JobKind.ASSEMBLE, recording_id, 60.0)
    arguments = work_command(job, bench.folder, verify=False)
    async with child(*arguments, stdin=asyncio.subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.close()  # as the kernel does when the server is killed
        async with asyncio.timeout(20):
            assert await process.wait() == 1


async def test_a_job_has_the_key_of_the_recordings_and_no_other_secret(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RELAY_JWT_SECRET", "the secret")
    monkeypatch.setenv("RELAY_RECORDING_KEY", "of another server")
    printing = "import json, os; print(json.dumps({'result': {'note': json.dumps(dict(os.environ))}}))"
    recording_id = bench.add("ready")
    async with bench.running(keys="the key", command=lambda *_, **__: [sys.executable, "-c", printing]) as jobs:
        jobs.verify(recording_id, 1.0)
        note = await eventually(lambda: bench.store.rows[recording_id].note, "it has run")
    environment = json.loads(note)
    assert {name: value for name, value in environment.items() if name.startswith("RELAY_")} == {"RELAY_RECORDING_KEY": "the key"}
    assert "the secret" not in note


async def test_a_program_that_is_not_there_is_a_failed_attempt(tmp_path: Path) -> None:
    with pytest.raises(WorkFailed, match="could not be started"):
        await run([str(tmp_path / "no such program")], {}, 1.0, lambda _step, _done: None)


async def test_a_program_that_writes_without_end_is_stopped() -> None:
    with pytest.raises(WorkFailed, match="longer than"):
        await run([sys.executable, "-c", "while True: print('x' * 10**6, end='')"], {}, 60.0, lambda _step, _done: None)

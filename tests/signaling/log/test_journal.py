"""The file of what waits for the database."""

import contextlib
import resource
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.composition.database import journal_path
from relay.media.api import Route
from relay.records.recordings import CaptureResult, ConsentAnswer, NewRecording, RecordingConsent, RecordingEnd, RecordingPolicy
from relay.settings.all import Settings
from relay.signaling.log.entries import (
    Entry,
    RecordingAnswered,
    RecordingCaptured,
    RecordingDiscarded,
    RecordingStarted,
    Updated,
    line_of,
)
from relay.signaling.log.journal import FileJournal
from relay.signaling.ports import MediaPath
from tests.signaling.log.test_writebehind import KIND, answered, at, ended, opened
from tests.signaling.people import LESSON, STUDENT, TUTOR


async def left_in(path: Path) -> dict[str, list[Entry]]:
    """What the next life of the server finds."""
    found = FileJournal(path)
    left = {call_id: list(entries) for call_id, entries in (await found.open()).items()}
    await found.close()
    return left


async def killed(one: FileJournal) -> None:
    """As by `kill -9`: what it was told is in the file, and its lock is gone."""
    await one.close()


@contextlib.contextmanager
def disk_with(size: int) -> Iterator[None]:
    """No file may become larger: the write that crosses the border is cut off there, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_what_was_not_written_is_there_for_the_next_life_in_full(tmp_path: Path) -> None:
    path = tmp_path / "calls.journal"
    one = FileJournal(path)
    assert await one.open() == {}
    end = msgspec.structs.replace(ended("a", at(2)), caller=MediaPath(Route("turn-tls", "ipv4"), 0.0421))
    life: list[Entry] = [opened("a"), answered("a"), Updated(kind=KIND, call_id="a", call_type="video"), end]
    for entry in life:
        one.append(entry)
    one.append(opened("b"))
    one.written("b")
    await killed(one)
    for _ in range(2):  # also if that dies before it has written anything
        assert await left_in(path) == {"a": life}


async def test_recordings_are_there_for_the_next_life_in_full(tmp_path: Path) -> None:
    path, recording_id = tmp_path / "calls.journal", "5c" * 16
    one = FileJournal(path)
    await one.open()
    about: dict[str, Any] = {"kind": KIND, "call_id": "a"}
    recording = NewRecording(recording_id, "a", LESSON, STUDENT, TUTOR, at(1), RecordingPolicy.CONSENT, "3", True, True)
    consent = RecordingConsent("c1", recording_id, "a", TUTOR, ConsentAnswer.ACCEPTED, at(1), "3", "ab" * 32)
    result = CaptureResult(RecordingEnd.DISK_FULL, 7, 700, 1, {f"{recording_id}.pcapng": 700})
    life: list[Entry] = [
        RecordingAnswered(consent=consent, **about),
        RecordingStarted(recording=recording, **about),
        RecordingCaptured(recording_id=recording_id, at=at(2), result=result, **about),
        RecordingDiscarded(recording_id=recording_id, **about),
    ]
    for entry in life:
        one.append(entry)
    await killed(one)
    assert await left_in(path) == {"a": life}


async def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """It has names."""
    path = tmp_path / "calls.journal"
    one = FileJournal(path)
    await one.open()
    one.append(opened("a"))
    await killed(one)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_it_is_empty_whenever_nothing_waits_and_gone_when_the_server_stops(tmp_path: Path) -> None:
    path = tmp_path / "calls.journal"
    one = FileJournal(path)
    await one.open()
    for number in range(100):
        one.append(opened(f"{number}"))
        one.append(ended(f"{number}"))
        one.written(f"{number}")
    one.append(opened("last"))
    one.written("last")
    assert size_of(one, path) == 0
    await one.close()
    assert files_in(tmp_path) == []


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def size_of(one: FileJournal, path: Path) -> int:
    """The file's size once everything so far has been done."""
    one._thread.submit(lambda: None).result()
    return path.stat().st_size


async def test_a_busy_server_does_not_let_it_grow_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "calls.journal"
    one = FileJournal(path, rewrite_from=4096)
    await one.open()
    one.append(opened("waits"))
    for number in range(300):
        one.append(opened(f"{number}"))
        one.written(f"{number}")
    assert size_of(one, path) < 3 * 4096
    await killed(one)
    assert await left_in(path) == {"waits": [opened("waits")]}


@pytest.mark.parametrize("rest", [b'{"event":"ended","ki', b"\xff\x00 nonsense\n", b'{"event":"flown"}\n'])
async def test_half_a_line_of_a_process_that_died_spoils_no_other(
    tmp_path: Path, rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "calls.journal"
    path.write_bytes(line_of(opened("a")) + rest)
    assert await left_in(path) == {"a": [opened("a")]}
    assert "1 lines of the journal make no sense" in caplog.text


async def test_a_full_disk_is_said_once_and_costs_only_what_it_has_no_room_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "calls.journal"
    one = FileJournal(path)
    await one.open()
    line = len(line_of(opened("0")))
    with disk_with(int(2.5 * line)):
        for number in range(5):
            one.append(opened(f"{number}"))
        size_of(one, path)
    one.append(ended("0"))
    await killed(one)
    assert caplog.text.count("cannot be written") == 1
    assert await left_in(path) == {"0": [opened("0"), ended("0")], "1": [opened("1")]}


async def test_a_folder_that_is_not_there_is_said_and_nothing_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = FileJournal(tmp_path / "missing" / "calls.journal")
    assert await one.open() == {}
    one.append(opened("a"))
    one.sync()
    one.written("a")
    await one.close()
    assert caplog.text.count("cannot be written: No such file or directory") == 1


async def test_two_servers_do_not_share_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "calls.journal"
    one, other = FileJournal(path), FileJournal(path)
    await one.open()
    one.append(opened("a"))
    assert await other.open() == {}
    other.append(opened("b"))
    await other.close()
    assert "is that of a relay that runs" in caplog.text
    await killed(one)
    assert await left_in(path) == {"a": [opened("a")]}


async def test_no_call_waits_for_a_disk_that_hangs(tmp_path: Path) -> None:
    path = tmp_path / "calls.journal"
    one = FileJournal(path)
    await one.open()
    over = threading.Event()
    one._thread.submit(over.wait)
    for number in range(10):
        one.append(opened(f"{number}"))
    assert not path.stat().st_size, "it hangs"
    over.set()
    await killed(one)
    assert len(await left_in(path)) == 10


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "data/calls-relay.journal"),
        ({"node": "north 1/a"}, "data/calls-north_1_a.journal"),
        ({"journal": "/var/lib/relay/journal"}, "/var/lib/relay/journal"),
        ({"journal": "off"}, None),
    ],
)
def test_its_place_is_beside_the_database_or_a_setting(settings: dict[str, Any], name: str | None) -> None:
    found = journal_path(Settings(dev=True, **settings), Path("data"))
    assert found == (name and Path(name))


def test_a_database_in_memory_has_none() -> None:
    assert journal_path(Settings(dev=True), None) is None

"""Calls whose media is forwarded by worker processes, and what becomes of them when one dies."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Connect
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

VOICE = ("voice", ("opus",))


def workers() -> list[int]:
    """The worker processes that this process started."""

    def found() -> Iterator[int]:
        for directory in Path("/proc").iterdir():
            if directory.name.isdigit():
                try:
                    status, command = (directory / "stat").read_text(), (directory / "cmdline").read_text()
                except OSError:
                    continue
                parent = int(status.rpartition(")")[2].split()[1])
                if parent == os.getpid() and "-m\0relay.workers\0" in command:
                    yield int(directory.name)

    return sorted(found())


@pytest.fixture
def no_errors_logged() -> None:
    """The death of a worker is an error, and logged as one."""


@pytest.mark.settings(workers=1)
async def test_a_call_that_is_up_ends_with_its_worker_and_the_next_one_works(relay: RunningRelay, connect: Connect) -> None:
    caller, callee = await connect("student_456"), await connect("tutor_789")
    await caller.call("tutor_789", 123, *VOICE)
    await callee.answer(await callee.ring())
    await caller.accept_answer()
    await eventually(lambda: caller.hears(440), "the caller hears the callee")
    [victim] = workers()
    os.kill(victim, signal.SIGKILL)
    for peer in (caller, callee):
        assert (await peer.expect("call_ended"))["reason"] == "worker_lost"
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "worker_lost")
    again = await connect("student_456")
    await again.call("tutor_789", 123, *VOICE)
    await callee.ring()
    assert (await relay.counters())["relay_media_workers_lost_total"] == 1


@pytest.mark.settings(workers=1)
async def test_a_call_that_rings_ends_with_its_worker(relay: RunningRelay, connect: Connect) -> None:
    caller, callee = await connect("student_456"), await connect("tutor_789")
    await caller.call("tutor_789", 123, *VOICE)
    await callee.ring()
    [victim] = workers()
    os.kill(victim, signal.SIGKILL)
    for peer in (caller, callee):
        assert (await peer.expect("call_ended"))["reason"] == "worker_lost"
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("missed", "worker_lost")


@pytest.mark.settings(workers=2)
async def test_stopping_the_relay_leaves_no_worker(relay: RunningRelay, connect: Connect) -> None:
    assert len(workers()) == 2

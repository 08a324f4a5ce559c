"""Captures in worker processes: files are written where the packets are, and what becomes of them is said here."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.media.api import CaptureEnded, CaptureRefused, WorkerLost
from relay.media.capture.capture import FLUSH
from relay.sealed import SealCutOff, open_sealed
from tests.kit.media import MediaPeer, rtp_packet, still_talk
from tests.kit.wait import eventually
from tests.media.capture.reading import Read, read
from tests.media.capture.test_captures import ID, KEY, ended, file_of, order
from tests.workers.kit import RunningPool, running

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("captures_in_workers")]

PARTIES = {"call first": "A", "call second": "B"}


def plain_of(path: Path) -> bytes:
    """The plain text of a sealed file as far as it goes."""
    plain = b""
    try:
        for chunk in open_sealed(path, [KEY]):
            plain += chunk
    except SealCutOff:
        pass
    return plain


async def sent(relay: RunningPool, first: MediaPeer, second: MediaPeer, count: int, start: int = 0) -> list[bytes]:
    """Packets that one sent and the other received."""
    packets = [rtp_packet(n, 0xA, payload_type=111) for n in range(start, start + count)]
    for packet in packets:
        first.send_rtp(packet)
    await second.receives(*packets)
    return packets


async def test_a_call_in_a_worker_is_captured_to_its_end(relay: RunningPool, tmp_path: Path) -> None:
    first, second = await relay.call_of("call")
    await relay.pool.start_capture("call", order(tmp_path, parties=PARTIES, key=KEY))
    packets = await sent(relay, first, second, 50)
    await relay.pool.pause_capture("call", True, "consent")
    await relay.pool.pause_capture("call", False, "consent")
    await relay.pool.stop_capture("call", "stopped", time.monotonic())
    end = await ended(relay)
    found = read(plain_of(file_of(tmp_path)))
    assert (found.of("A"), [name for name, _ in found.events][-3:]) == (packets, ["paused", "paused", "ended"])
    assert end == CaptureEnded("call", ID, "stopped", 50, file_of(tmp_path).stat().st_size, 0)
    assert (await relay.counted())["capture_packets"] == 50
    await still_talk(first, second)


async def test_of_a_recording_whose_worker_is_killed_all_but_the_last_moment_is_kept(
    relay: RunningPool, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    first, second = await relay.call_of("call")
    await relay.pool.start_capture("call", order(tmp_path, parties=PARTIES))
    packets = await sent(relay, first, second, 50)
    await eventually(lambda: read(file_of(tmp_path)).of("A") == packets, "they are in the file while the call goes on")
    times: list[float] = []
    more = []
    for number in range(50, 150):
        more += await sent(relay, first, second, 1, number)
        times.append(time.monotonic())
    for pid in relay.pids:
        os.kill(pid, signal.SIGKILL)
    end = await ended(relay)
    found = read(file_of(tmp_path))
    assert found.of("A") == [*packets, *more][: len(found.packets)]
    assert found.rest == 0, "what is written is whole"
    assert end == CaptureEnded("call", ID, "worker_lost")
    lost = 150 - len(found.packets)
    record_property("seconds of a recording lost with its worker", f"{times[-1] - times[-lost]:.3f} of {FLUSH}" if lost else 0)


async def test_a_sealed_recording_whose_worker_is_killed_can_be_opened(relay: RunningPool, tmp_path: Path) -> None:
    first, second = await relay.call_of("call")
    await relay.pool.start_capture("call", order(tmp_path, parties=PARTIES, key=KEY))
    packets = await sent(relay, first, second, 50)

    def content() -> Read:
        return read(plain_of(file_of(tmp_path)))

    await eventually(lambda: content().of("A") == packets, "they are in the file while the call goes on")
    for pid in relay.pids:
        os.kill(pid, signal.SIGKILL)
    assert (await ended(relay)).reason == "worker_lost"
    assert (content().of("A"), content().rest) == (packets, 0)


async def test_only_the_recordings_of_the_worker_that_was_killed_are_lost(relay: RunningPool, tmp_path: Path) -> None:
    await relay.call_of("call")
    await relay.pool.start_capture("call", order(tmp_path, parties=PARTIES))
    first, second = await relay.call_of("other")
    parties = {"other first": "A", "other second": "B"}
    await relay.pool.start_capture("other", order(tmp_path, recording_id="f" * 32, parties=parties))
    os.kill(relay.pids[0], signal.SIGKILL)
    assert (await ended(relay)).recording_id == ID
    packets = await sent(relay, first, second, 20)
    await relay.pool.close_router("other")
    ends = await eventually(lambda: [one for one in relay.events if isinstance(one, CaptureEnded)][1:], "the other one ends")
    assert [(one.recording_id, one.reason, one.packets) for one in ends] == [("f" * 32, "call_ended", 20)]
    assert read(tmp_path / f"{'f' * 32}.pcapng").of("A") == packets


async def test_a_recording_that_was_to_begin_when_its_worker_died_is_an_error_and_has_no_end(
    relay: RunningPool, tmp_path: Path
) -> None:
    await relay.call_of("call")
    os.kill(relay.pids[0], signal.SIGSTOP)
    starting = asyncio.create_task(relay.pool.start_capture("call", order(tmp_path, parties=PARTIES)))
    await asyncio.sleep(0)
    os.kill(relay.pids[0], signal.SIGKILL)
    with pytest.raises(WorkerLost):
        await starting
    await relay.ended("call first", "call second")
    assert not [one for one in relay.events if isinstance(one, CaptureEnded)]


async def test_a_recording_ends_with_its_pool_which_says_so(tmp_path: Path) -> None:
    async with running(workers=1) as relay:
        first, second = await relay.call_of("call")
        await relay.pool.start_capture("call", order(tmp_path, parties=PARTIES))
        packets = await sent(relay, first, second, 20)
        await relay.pool.close()
        end = await ended(relay)
    assert (end.reason, end.packets) == ("call_ended", 20)
    assert read(file_of(tmp_path)).of("A") == packets


async def test_why_a_recording_cannot_begin_is_said_by_the_worker(relay: RunningPool, tmp_path: Path) -> None:
    await relay.call_of("call")
    with pytest.raises(CaptureRefused, match="disk_full"):
        await relay.pool.start_capture("call", order(tmp_path, parties=PARTIES, min_free=1 << 60))
    with pytest.raises(KeyError):
        await relay.pool.start_capture("other", order(tmp_path, parties=PARTIES))
    os.kill(relay.pids[0], signal.SIGKILL)
    await relay.ended("call first", "call second")
    assert not [one for one in relay.events if isinstance(one, CaptureEnded)], "it never began"
    await relay.pool.stop_capture("call", "stopped", time.monotonic())

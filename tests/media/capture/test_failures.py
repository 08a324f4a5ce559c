"""Mistakes of ours in a capture: it ends, and says that it lacks something; other captures and all calls go on."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.media.capture.block import CaptureBlocks
from relay.media.capture.capture import Capture
from relay.recording.assembly.survey import survey
from relay.recording.records import read_capture
from tests.kit.media import MediaPeer, RunningEngine, rtp_packet, still_talk
from tests.kit.wait import eventually
from tests.media.capture.reading import read
from tests.media.capture.test_captures import ID, ended, file_of, order, recorded, send
from tests.media.capture.test_disks import written_by

OTHER = "f" * 32
PACKETS = [rtp_packet(n, 0xA, payload_type=111) for n in range(60)]


def capture_of(relay: RunningEngine) -> Capture:
    return relay.engine._captures._running["call"]


def mistaken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("a mistake")


async def another(relay: RunningEngine, folder: Path) -> MediaPeer:
    """A party of another call, which is captured, too."""
    third = await relay.peer("third", router="other")
    await relay.connect(third)
    await relay.engine.start_capture("other", order(folder, recording_id=OTHER, parties={"third": "A"}))
    return third


async def goes_on(relay: RunningEngine, folder: Path, third: MediaPeer, first: MediaPeer, second: MediaPeer) -> None:
    """The call talks, and the capture of the other one has all its packets."""
    second.packets.clear()
    await still_talk(first, second)
    await send(third, relay, *PACKETS)
    await eventually(lambda: len(read(folder / f"{OTHER}.pcapng").packets) == len(PACKETS), "the other one is written")


async def test_a_tap_that_fails_ends_the_recording_which_says_so(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path) as (first, second):
        await send(first, relay, *PACKETS[:20])
        capture_of(relay).legs["first"].transport.tap = mistaken
        await send(first, relay, rtp_packet(20, 0xA, payload_type=111))
        end = await ended(relay)
        second.packets.clear()
        await still_talk(first, second)
    found = read(file_of(tmp_path))
    assert (end.reason, end.packets) == ("write_failed", 20)
    assert found.named("failed") == [{"reason": "ZeroDivisionError: a mistake"}]
    assert found.named("ended") == [{"reason": "write_failed"}]
    assert (await relay.counted())["capture_errors"] == 1
    assert survey(read_capture(file_of(tmp_path))).warnings == [
        "packets are missing: ZeroDivisionError: a mistake",
        "the recording ended early: it could not be written",
    ]


@pytest.fixture
async def mistaken_relay() -> AsyncIterator[RunningEngine]:
    """An engine that may log errors: these are ours to log."""
    async with RunningEngine.started() as relay:
        yield relay


@pytest.mark.parametrize("what", ["take", "add_event"])
async def test_a_capture_whose_blocks_fail_has_failed_and_the_others_are_written(
    mistaken_relay: RunningEngine, tmp_path: Path, what: str
) -> None:
    relay = mistaken_relay

    class MistakenBlocks(CaptureBlocks):
        __slots__ = ()

    setattr(MistakenBlocks, what, mistaken)
    async with recorded(relay, tmp_path) as (first, second):
        third = await another(relay, tmp_path)
        await send(first, relay, *PACKETS[:20])
        capture_of(relay).blocks.__class__ = MistakenBlocks
        if what == "add_event":
            capture_of(relay).legs["first"].transport.tap = mistaken
            await send(first, relay, PACKETS[20])
        end = await ended(relay)
        assert (end.recording_id, end.reason) == (ID, "write_failed")
        await goes_on(relay, tmp_path, third, first, second)
    assert (await relay.counted())["capture_errors"] == 1


@pytest.mark.parametrize("what", ["write", "look"])
async def test_a_mistake_in_the_thread_that_writes_ends_a_recording_and_not_the_thread(
    mistaken_relay: RunningEngine, tmp_path: Path, what: str
) -> None:
    relay = mistaken_relay
    async with recorded(relay, tmp_path) as (first, second):
        third = await another(relay, tmp_path)
        await send(first, relay, *PACKETS[:20])
        setattr(written_by(relay), what, mistaken)
        await send(first, relay, *PACKETS[20:])
        end = await ended(relay)
        assert (end.recording_id, end.reason) == (ID, "write_failed")
        await goes_on(relay, tmp_path, third, first, second)

"""Disks that are full, broken or too slow: the recording ends or has gaps, which it names; the call goes on."""

import os
import time
from pathlib import Path

import pytest

from relay.media.api import CaptureEnded, CaptureRefused
from relay.media.capture.captures import CaptureTiming
from relay.media.capture.writer import CaptureFile
from relay.sealed import SealCutOff, open_sealed
from tests.kit.media import RunningEngine, rtp_packet, still_talk
from tests.kit.wait import eventually
from tests.media.capture.disks import HangingDisk, mounted
from tests.media.capture.reading import read
from tests.media.capture.test_captures import ID, KEY, ended, file_of, order, recorded, send

PACKETS = [rtp_packet(n, 0xA, payload_type=111, payload=bytes([n % 256]) * 900) for n in range(400)]


def written_by(relay: RunningEngine) -> CaptureFile:
    return relay.engine._captures._running["call"].file


# -- full -------------------------------------------------------------------------------------------------------------


async def test_on_a_full_disk_the_file_ends_with_its_last_whole_packet_and_the_call_goes_on(
    relay: RunningEngine, tmp_path: Path
) -> None:
    with mounted(tmp_path, "64k") as disk:
        async with recorded(relay, disk) as (first, second):
            await send(first, relay, *PACKETS[:200])
            end = await ended(relay)
            second.packets.clear()
            await still_talk(first, second)
        found = read(file_of(disk))
        size = file_of(disk).stat().st_size
    assert (end.reason, end.packets, end.bytes) == ("disk_full", len(found.packets), size)
    assert found.of("A") == PACKETS[: len(found.packets)], "without a hole, up to where the disk was full"
    assert found.rest == 0
    assert 50 < len(found.packets) < 70
    assert end.dropped == 200 - end.packets
    counted = await relay.counted()
    assert (counted["capture_dropped"], counted["capture_errors"]) == (end.dropped, 1)


async def test_a_sealed_file_on_a_full_disk_is_read_up_to_its_last_whole_block(relay: RunningEngine, tmp_path: Path) -> None:
    with mounted(tmp_path, "64k") as disk:
        async with recorded(relay, disk, key=KEY) as (first, second):
            for packet in PACKETS[:100]:
                await send(first, relay, packet)
                if relay.engine._captures._running.get("call") is None:
                    break
            end = await ended(relay)
            second.packets.clear()
            await still_talk(first, second)
        plain = b""
        with pytest.raises(SealCutOff):
            for chunk in open_sealed(file_of(disk), [KEY]):
                plain += chunk
    found = read(plain)
    assert (end.reason, end.packets, found.rest) == ("disk_full", len(found.packets), 0)
    assert found.of("A") == PACKETS[: end.packets]


async def test_a_recording_ends_in_time_while_the_last_space_is_still_free(relay: RunningEngine, tmp_path: Path) -> None:
    with mounted(tmp_path, "1m") as disk:
        async with recorded(relay, disk, min_free=512 * 1024) as (first, second):
            await send(first, relay, *PACKETS[:20])
            (disk / "other").write_bytes(bytes(600 * 1024))
            end = await ended(relay)
            second.packets.clear()
            await still_talk(first, second)
        found = read(file_of(disk))
    assert (end.reason, end.packets, end.dropped) == ("disk_full", 20, 0)
    assert found.named("ended") == [{"reason": "disk_full"}], "there was room for that"


# -- broken -----------------------------------------------------------------------------------------------------------


async def test_when_a_file_can_be_written_no_more_the_recording_ends_and_the_call_goes_on(
    relay: RunningEngine, tmp_path: Path
) -> None:
    async with recorded(relay, tmp_path) as (first, second):
        await send(first, relay, PACKETS[0])
        await eventually(lambda: read(file_of(tmp_path)).of("A") == PACKETS[:1], "it is written")
        broken = os.open(file_of(tmp_path), os.O_RDONLY)  # to which nothing can be written
        os.dup2(broken, written_by(relay).descriptor, inheritable=False)
        os.close(broken)
        await send(first, relay, PACKETS[1])
        end = await ended(relay)
        second.packets.clear()
        await still_talk(first, second)
    assert (end.reason, end.packets, end.dropped) == ("write_failed", 1, 1)
    assert read(file_of(tmp_path)).of("A") == PACKETS[:1]


# -- too slow ---------------------------------------------------------------------------------------------------------


async def test_while_the_disk_hangs_packets_are_left_out_beyond_the_bound_and_the_gap_is_noted(
    relay: RunningEngine, tmp_path: Path
) -> None:
    async with recorded(relay, tmp_path, buffer=100_000) as (first, second):
        await send(first, relay, PACKETS[0])
        await eventually(lambda: read(file_of(tmp_path)).of("A"), "the file has been begun")
        disk = HangingDisk(written_by(relay))
        try:
            await send(first, relay, *PACKETS[1:300])
            await eventually(lambda: relay.engine._captures._writer.backlog.is_full, "too much waits")
            await send(first, relay, *PACKETS[300:])
            await relay.counts("packets_received", len(PACKETS))
            second.packets.clear()
            await still_talk(first, second)
            await eventually(lambda: disk.drain() and not relay.engine._captures._writer.backlog.is_full, "the disk goes on")
            await send(first, relay, last := rtp_packet(5000, 0xA, payload_type=111))
            await relay.engine.stop_capture("call", "stopped", time.monotonic())
            await eventually(lambda: disk.drain() and any(isinstance(one, CaptureEnded) for one in relay.events), "its end")
            disk.drain()
        finally:
            disk.close()
    end, found = await ended(relay), read(file_of(tmp_path))
    assert end.dropped == sum(event["packets"] for event in found.named("dropped")) > 0
    got = found.of("A")
    assert got[-1] == last
    assert got[:100] == PACKETS[:100]
    assert end.packets == len(found.packets) == len(PACKETS) + 3 - end.dropped
    assert (await relay.counted())["capture_dropped"] == end.dropped


async def test_a_recording_that_cannot_begin_because_the_disk_hangs_is_refused_and_leaves_no_file(
    tmp_path: Path,
) -> None:
    impatient = RunningEngine.started(capture_timing=CaptureTiming(open_patience=0.1))
    async with impatient as relay, recorded(relay, tmp_path) as (first, second):
        disk = HangingDisk(written_by(relay))
        try:
            await send(first, relay, *PACKETS[:200])
            await relay.peer("third", router="other")
            await eventually(lambda: disk.hangs, "the disk hangs")
            with pytest.raises(CaptureRefused, match="write_failed"):
                await relay.engine.start_capture("other", order(tmp_path, recording_id="f" * 32, parties={"third": "A"}))
            second.packets.clear()
            await still_talk(first, second)
            await relay.engine.stop_capture("call", "stopped", time.monotonic())
            await eventually(lambda: disk.drain() and any(isinstance(one, CaptureEnded) for one in relay.events), "its end")
            disk.drain()
        finally:
            disk.close()
        await eventually(lambda: [one.name for one in tmp_path.iterdir()] == [f"{ID}.pcapng"], "no other file is left")

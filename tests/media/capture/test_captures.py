"""Captures of real calls: what is in the file is what arrived, from the first moment to the last."""

import asyncio
import contextlib
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.media.api import CaptureEnded, CaptureOrder, CaptureRefused
from relay.media.capture.captures import CaptureTiming
from relay.recording.records import CaptureCut, CapturedPacket, CaptureEvent, CaptureInterface, read_capture
from relay.rtp.packet import is_rtcp
from relay.sealed import is_sealed, open_sealed
from tests.kit.media import AUDIO, VIDEO, MediaPeer, RunningEngine, picture_loss_indication, rtcp_compound, rtp_packet, still_talk
from tests.kit.wait import eventually
from tests.media.capture.reading import Read, read

ID = "0123456789abcdef0123456789abcdef"
KEY = bytes(range(32))


def order(folder: Path, **other: Any) -> CaptureOrder:
    asked = CaptureOrder(ID, str(folder), "call-7", "consent", {"first": "A", "second": "B"})
    return replace(asked, **other)


def file_of(folder: Path) -> Path:
    return folder / f"{ID}.pcapng"


def names_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


async def ended(relay: RunningEngine) -> CaptureEnded:
    """Wait for the end of the capture."""
    return await eventually(
        lambda: next((one for one in relay.events if isinstance(one, CaptureEnded)), None), "the end of the capture"
    )


async def captured(relay: RunningEngine, folder: Path) -> Read:
    """Stop the capture; its file."""
    await relay.engine.stop_capture("call", "stopped", time.monotonic())
    await ended(relay)
    return read(file_of(folder))


async def send(peer: MediaPeer, relay: RunningEngine, *packets: bytes) -> None:
    """Send packets, and wait until the relay has them."""
    before = (await relay.engine.counters())["packets_received"]
    for packet in packets:
        if is_rtcp(packet[1]):
            peer.send_rtcp(packet)
        else:
            peer.send_rtp(packet)
    await relay.counts("packets_received", before + len(packets))


@contextlib.asynccontextmanager
async def recorded(relay: RunningEngine, folder: Path, **other: Any) -> AsyncIterator[tuple[MediaPeer, MediaPeer]]:
    """A call that is being captured."""
    peers = await relay.call()
    await relay.engine.start_capture("call", order(folder, **other))
    yield peers


# -- what is in the file ----------------------------------------------------------------------------------------------


async def test_the_file_has_what_each_party_sent_and_the_relay_received_media_and_reports(
    relay: RunningEngine, tmp_path: Path
) -> None:
    async with recorded(relay, tmp_path) as (first, second):
        there = [rtcp_compound(0xA, n) if n % 9 == 4 else rtp_packet(n, 0xA, payload=bytes(n)) for n in range(1, 200)]
        back = [rtp_packet(n, 0xB) for n in range(50)]
        await send(first, relay, *there)
        await send(second, relay, *back)
        found = await captured(relay, tmp_path)
    assert (found.of("A"), found.of("B")) == (there, back)
    assert sorted(second.packets) == sorted(there), "and what was captured crossed, unchanged"
    assert found.rest == 0
    assert [name for name, _ in found.interfaces] == ["events", "A", "B"]
    assert [section["kind"] for section in found.interfaces[1][1]["media"]] == [AUDIO.kind, VIDEO.kind]


async def test_events_say_what_the_file_is_and_how_it_ended(relay: RunningEngine, tmp_path: Path) -> None:
    before = time.time()
    async with recorded(relay, tmp_path):
        found = await captured(relay, tmp_path)
    [started] = found.named("started")
    assert before <= started.pop("wall") <= time.time()
    assert started == {"recording_id": ID, "call_id": "call-7", "policy": "consent"}
    assert found.named("transport") == [
        {"interface": 1, "party": "A", "leg": 1, "transport_id": "first"},
        {"interface": 2, "party": "B", "leg": 1, "transport_id": "second"},
    ]
    assert found.named("ended") == [{"reason": "stopped"}]
    assert found.application.startswith(b"call-relay ")
    assert before - 1 <= found.times[0] / 1e9 <= time.time()


async def test_the_end_is_told_with_what_the_file_has(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path) as (first, _):
        await send(first, relay, *(rtp_packet(n) for n in range(30)))
        await captured(relay, tmp_path)
    size = file_of(tmp_path).stat().st_size
    assert await ended(relay) == CaptureEnded("call", ID, "stopped", 30, size, 0)
    counted = await relay.counted()
    assert (counted["capture_packets"], counted["capture_bytes"]) == (30, size)
    assert not counted.keys() & {"capture_dropped", "capture_errors"}


async def test_files_are_for_the_user_of_the_relay_alone_and_name_no_address(relay: RunningEngine, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    async with recorded(relay, folder) as (first, second):
        await still_talk(first, second)
        await captured(relay, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(folder).stat().st_mode) == 0o600
    content = file_of(folder).read_bytes()
    assert b"127.0.0.1" not in content
    assert bytes([127, 0, 0, 1]) not in content


async def test_the_file_grows_while_the_call_goes_on(relay: RunningEngine, tmp_path: Path) -> None:
    """What a process has when it is killed is lost: no more than a moment of the call."""
    async with recorded(relay, tmp_path) as (first, _):
        for number in range(3):
            await send(first, relay, packet := rtp_packet(number))
            await eventually(lambda: packet in read(file_of(tmp_path)).of("A"), "the packet is in the file")
            assert read(file_of(tmp_path)).rest == 0


async def test_a_sealed_file_says_nothing_without_its_key(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path, key=KEY) as (first, _):
        packet = rtp_packet(1, payload=b"said in confidence")
        await send(first, relay, packet)
        await relay.engine.stop_capture("call", "stopped", time.monotonic())
        end = await ended(relay)
    assert is_sealed(file_of(tmp_path))
    assert b"confidence" not in file_of(tmp_path).read_bytes()
    found = read(b"".join(open_sealed(file_of(tmp_path), [KEY])))
    assert (found.of("A"), found.named("ended")) == ([packet], [{"reason": "stopped"}])
    assert end.bytes == file_of(tmp_path).stat().st_size


async def test_packets_that_wait_for_a_party_that_is_not_up_are_captured(relay: RunningEngine, tmp_path: Path) -> None:
    first, second = await relay.peer("first"), await relay.peer("second")
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first)
    await relay.engine.start_capture("call", order(tmp_path))
    await send(first, relay, packet := rtp_packet(1))
    await relay.connect(second)
    await second.receives(packet)
    assert (await captured(relay, tmp_path)).of("A") == [packet], "once"


async def test_packets_from_an_address_that_is_not_validated_are_captured(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path) as (first, second):
        await send(first, relay, before := rtp_packet(1))
        first.another_path().send(first.encrypted(away := rtp_packet(2)))
        await second.receives(before, away)
        assert (await captured(relay, tmp_path)).of("A") == [before, away]


async def test_what_the_relay_sends_itself_is_not_captured(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path) as (first, _):
        await send(first, relay, packet := rtp_packet(1))
        await eventually(lambda: picture_loss_indication(0x1234) in first.packets, "a key frame is requested")
        assert [packet for _, packet in (await captured(relay, tmp_path)).packets] == [packet]


async def test_the_reader_of_recordings_understands_the_file(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path) as (first, second):
        await send(first, relay, there := rtp_packet(1, 0xA, payload_type=111), report := rtcp_compound(0xA))
        await send(second, relay, back := rtp_packet(1, 0xB, payload_type=111))
        await captured(relay, tmp_path)
    records = list(read_capture(file_of(tmp_path)))
    interfaces = {one.number: one for one in records if isinstance(one, CaptureInterface)}
    assert [(one.party, [section.kind for section in one.media]) for one in interfaces.values()] == [
        ("A", ["audio", "video"]),
        ("B", ["audio", "video"]),
    ]
    packets = [one for one in records if isinstance(one, CapturedPacket)]
    assert [(interfaces[one.interface].party, one.data) for one in packets] == [("A", there), ("A", report), ("B", back)]
    assert [one.name for one in records if isinstance(one, CaptureEvent)] == ["started", "transport", "transport", "ended"]
    assert not [one for one in records if isinstance(one, CaptureCut)]


# -- parties and their media ------------------------------------------------------------------------------------------


async def test_a_new_transport_of_a_party_is_captured_beside_the_old_one(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path) as (first, _):
        await send(first, relay, before := rtp_packet(1))
        again = await relay.peer("again")
        await relay.engine.capture_party("call", "again", "A")
        await relay.engine.route("call", ("again", "second"))
        await relay.connect(again)
        await relay.engine.close_transport("first")
        await send(again, relay, after := rtp_packet(7, 0x99))
        found = await captured(relay, tmp_path)
    assert found.packets == [("A", before), ("A2", after)]
    assert {"party": "A", "leg": 2, "transport_id": "again"}.items() <= found.named("transport")[-1].items()


async def test_a_new_description_begins_a_new_interface_and_the_same_one_does_not(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path) as (first, _):
        await send(first, relay, before := rtp_packet(1, payload_type=111))
        await relay.engine.update_transport("first", first.parameters, (AUDIO, VIDEO))
        await relay.engine.update_transport("first", first.parameters, (AUDIO,))
        await send(first, relay, after := rtp_packet(2, payload_type=111))
        found = await captured(relay, tmp_path)
    assert [name for name, _ in found.interfaces] == ["events", "A", "B", "A"]
    assert [section["kind"] for section in found.interfaces[3][1]["media"]] == ["audio"]
    assert found.of("A") == [before, after]


# -- pauses -----------------------------------------------------------------------------------------------------------


async def test_nothing_is_captured_while_the_call_is_held(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path) as (first, second):
        await send(first, relay, before := rtp_packet(1))
        await relay.engine.unroute("call", ("first", "second"))
        await send(first, relay, rtp_packet(2, payload=b"to be heard by no party"), rtcp_compound())
        await relay.engine.route("call", ("first", "second"))
        await send(second, relay, after := rtp_packet(3, 0xB))
        found = await captured(relay, tmp_path)
    assert found.packets == [("A", before), ("B", after)]
    assert found.named("hold") == [{"on": True}, {"on": False}]


async def test_a_capture_that_begins_while_the_call_is_held_waits_for_its_end(relay: RunningEngine, tmp_path: Path) -> None:
    first, _ = await relay.call()
    await relay.engine.unroute("call", ("first", "second"))
    await relay.engine.start_capture("call", order(tmp_path))
    await send(first, relay, rtp_packet(1))
    await relay.engine.route("call", ("first", "second"))
    await send(first, relay, after := rtp_packet(2))
    assert (await captured(relay, tmp_path)).of("A") == [after]


async def test_a_pause_is_over_when_each_of_its_reasons_is(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path) as (first, _):
        await relay.engine.pause_capture("call", True, "consent")
        await relay.engine.unroute("call", ("first", "second"))
        await relay.engine.pause_capture("call", True, "consent")
        await relay.engine.route("call", ("first", "second"))
        await send(first, relay, rtp_packet(1))
        await relay.engine.pause_capture("call", False, "consent")
        await send(first, relay, after := rtp_packet(2))
        found = await captured(relay, tmp_path)
    assert found.of("A") == [after]
    assert found.named("paused") == [{"on": True, "reason": "consent"}, {"on": False, "reason": "consent"}]


# -- key frames -------------------------------------------------------------------------------------------------------


async def test_a_key_frame_is_requested_of_video_that_began_earlier_until_one_comes(relay: RunningEngine, tmp_path: Path) -> None:
    first, second = await relay.call()
    await send(first, relay, rtp_packet(1, 0xA, payload=b"\x10\x01"), rtp_packet(1, 0xAA, payload_type=111))
    await relay.engine.start_capture("call", order(tmp_path))
    await eventually(lambda: picture_loss_indication(0xA) in first.packets, "a key frame is requested")
    first.packets.clear()

    async def asked_again() -> bool:
        """The peer goes on sending what is no key frame."""
        first.send_rtp(rtp_packet(next(numbers), 0xA, payload=b"\x10\x01"))
        await asyncio.sleep(0.1)
        return picture_loss_indication(0xA) in first.packets

    numbers = iter(range(2, 1000))
    await eventually(asked_again, "it is requested again")
    await send(first, relay, rtp_packet(next(numbers), 0xA, payload=b"\x10\x00"))
    found = await captured(relay, tmp_path)
    assert found.named("keyframe_requested")[:2] == 2 * [{"party": "A", "ssrc": 0xA}]
    assert picture_loss_indication(0xAA) not in first.packets, "audio has none"
    assert not second.undecryptable


# -- ends -------------------------------------------------------------------------------------------------------------


async def test_a_capture_ends_with_its_call(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path) as (first, _):
        await send(first, relay, packet := rtp_packet(1))
        await relay.engine.close_router("call")
        end = await ended(relay)
    assert (end.reason, end.packets) == ("call_ended", 1)
    found = read(file_of(tmp_path))
    assert (found.of("A"), found.named("ended")) == ([packet], [{"reason": "call_ended"}])


async def test_a_capture_ends_with_its_engine(tmp_path: Path) -> None:
    async with RunningEngine.started() as relay, recorded(relay, tmp_path) as (first, _):
        await send(first, relay, packet := rtp_packet(1))
    assert read(file_of(tmp_path)).of("A") == [packet]
    assert (await ended(relay)).reason == "call_ended"


async def test_a_capture_that_is_too_long_ends_and_the_call_goes_on(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path, max_hours=0.1 / 3600) as (first, second):
        assert (await ended(relay)).reason == "too_long"
        await still_talk(first, second)
    assert read(file_of(tmp_path)).named("ended") == [{"reason": "too_long"}]


async def test_of_what_arrived_after_a_withdrawal_nothing_is_in_the_file(tmp_path: Path) -> None:
    patient = RunningEngine.started(capture_timing=CaptureTiming(grace=60.0))  # the machine may be busy, and the word of it late
    async with patient as relay, recorded(relay, tmp_path) as (first, second):
        await send(first, relay, before := rtp_packet(1))
        withdrawn_at = time.monotonic()
        await send(first, relay, after := rtp_packet(2, payload=b"not for the file"))
        await relay.engine.stop_capture("call", "consent_withdrawn", withdrawn_at)
        end = await ended(relay)
        await second.receives(before, after)
    assert (end.reason, end.packets) == ("consent_withdrawn", 1)
    found = read(file_of(tmp_path))
    assert (found.of("A"), found.named("ended")) == ([before], [{"reason": "consent_withdrawn"}])


async def test_after_a_capture_another_one_of_the_same_call_may_begin(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path) as (first, second):
        await captured(relay, tmp_path)
        await relay.engine.start_capture("call", order(tmp_path, recording_id="f" * 32))
        first.send_rtp(packet := rtp_packet(9000, 0xAB, payload_type=111))
        await second.receives(packet)
        await relay.engine.close_router("call")
        await eventually(lambda: sum(isinstance(one, CaptureEnded) for one in relay.events) == 2, "the second one ends")
    assert read(tmp_path / f"{'f' * 32}.pcapng").of("A") == [packet]


# -- refused ----------------------------------------------------------------------------------------------------------


async def test_a_router_is_captured_once_at_a_time(relay: RunningEngine, tmp_path: Path) -> None:
    async with recorded(relay, tmp_path):
        with pytest.raises(CaptureRefused, match="already_captured"):
            await relay.engine.start_capture("call", order(tmp_path, recording_id="e" * 32))
        assert names_in(tmp_path) == [f"{ID}.pcapng"]


async def test_a_file_that_is_there_is_never_written_over(relay: RunningEngine, tmp_path: Path) -> None:
    file_of(tmp_path).write_bytes(b"precious")
    first, second = await relay.call()
    with pytest.raises(CaptureRefused, match="write_failed"):
        await relay.engine.start_capture("call", order(tmp_path))
    assert file_of(tmp_path).read_bytes() == b"precious"
    assert (await relay.counted())["capture_errors"] == 1
    await still_talk(first, second)


async def test_no_capture_begins_where_the_directory_cannot_be_made(relay: RunningEngine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    await relay.call()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CaptureRefused, match="write_failed"):
            await relay.engine.start_capture("call", order(folder))


async def test_no_capture_begins_while_too_little_space_is_free(relay: RunningEngine, tmp_path: Path) -> None:
    await relay.call()
    with pytest.raises(CaptureRefused, match="disk_full"):
        await relay.engine.start_capture("call", order(tmp_path, min_free=1 << 60))
    assert names_in(tmp_path) == []


async def test_what_is_not_captured_is_no_error_and_what_is_not_there_is(relay: RunningEngine, tmp_path: Path) -> None:
    await relay.call()
    await relay.engine.stop_capture("call", "stopped", time.monotonic())
    await relay.engine.stop_capture("other", "stopped", time.monotonic())
    await relay.engine.pause_capture("call", True, "consent")
    await relay.engine.capture_party("call", "first", "A")
    with pytest.raises(KeyError):
        await relay.engine.start_capture("other", order(tmp_path))
    with pytest.raises(KeyError):
        await relay.engine.start_capture("call", order(tmp_path, parties={"third": "A"}))
    assert names_in(tmp_path) == []

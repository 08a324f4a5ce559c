"""Video inside RED, as Chromium sends it by default, through an engine."""

import pytest

from relay.media.api import MediaDescription, TransportReport
from tests.kit.media import MediaPeer, RunningEngine, picture_loss_indication, rtp_packet
from tests.kit.wait import eventually
from tests.media.transport.test_payloads import CHROMIUM, FLEXFEC, KEY, OPUS, RED, RED_RTX, ULPFEC, VP8

VIDEO_SSRC, OTHERS = 10, {11: RED_RTX, 12: FLEXFEC, 13: OPUS}


async def in_call(relay: RunningEngine, media: tuple[MediaDescription, ...] = CHROMIUM) -> tuple[MediaPeer, MediaPeer]:
    first, second = await relay.peer("first"), await relay.peer("second")
    await relay.engine.route("call", ("first", "second"))
    for peer in (first, second):
        await peer.check()
        await relay.introduce(peer, *media)
        peer.shake_hands()
    for peer in (first, second):
        await peer.connected()
        await relay.says("TransportUp", peer)
    return first, second


def red_packet(sequence: int, inside: int = VP8, payload: bytes = KEY) -> bytes:
    return rtp_packet(sequence, VIDEO_SSRC, payload_type=RED, payload=bytes([inside]) + payload)


async def resumed(relay: RunningEngine, first: MediaPeer, second: MediaPeer) -> None:
    await relay.engine.unroute("call", ("first", "second"))
    first.packets.clear()
    await relay.engine.route("call", ("first", "second"))


async def test_after_a_hold_a_key_frame_inside_red_is_requested_and_nothing_else(relay: RunningEngine) -> None:
    first, second = await in_call(relay)
    sent = [red_packet(1), *(rtp_packet(1, ssrc, payload_type=payload_type) for ssrc, payload_type in OTHERS.items())]
    for packet in sent:
        first.send_rtp(packet)
    await second.receives(*sent)
    await resumed(relay, first, second)
    await first.receives(picture_loss_indication(VIDEO_SSRC))


async def test_a_key_frame_is_requested_though_its_stream_began_with_fec(relay: RunningEngine) -> None:
    first, second = await in_call(relay)
    for n, payload_type in enumerate((ULPFEC, VP8)):
        first.send_rtp(packet := rtp_packet(n, VIDEO_SSRC, payload_type=payload_type))
        await second.receives(packet)
    await resumed(relay, first, second)
    await first.receives(picture_loss_indication(VIDEO_SSRC))


async def test_a_key_frame_is_requested_though_its_stream_was_described_after_it_had_begun(relay: RunningEngine) -> None:
    first, second = await in_call(relay, CHROMIUM[:1])
    first.send_rtp(packet := red_packet(1))
    await second.receives(packet)
    await relay.engine.update_transport("first", first.parameters, CHROMIUM)
    await resumed(relay, first, second)
    await first.receives(picture_loss_indication(VIDEO_SSRC))


@pytest.mark.parametrize("described_late", [False, True])
async def test_keyframes_inside_red_are_counted(relay: RunningEngine, described_late: bool) -> None:
    first, second = await in_call(relay, CHROMIUM[:1] if described_late else CHROMIUM)
    if described_late:
        first.send_rtp(packet := red_packet(0, payload=b"\x11\x02\x00"))
        await second.receives(packet)
        await relay.engine.update_transport("first", first.parameters, CHROMIUM)
    for n, packet in enumerate([red_packet(1), red_packet(2, ULPFEC), red_packet(3, payload=b"\x11\x02\x00"), red_packet(4)]):
        first.send_rtp(packet)
        await eventually(lambda n=n: len(second.packets) > n, "it arrives")  # type: ignore[misc]

    def reported() -> bool:
        reports = [event.report for event in relay.events if isinstance(event, TransportReport) and event.transport_id == "first"]
        return bool(reports) and [one.keyframes for one in reports[-1].streams] == [2]

    await eventually(reported, "a report of two key frames")

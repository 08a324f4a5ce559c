"""Key frames of simulcast: of each layer that a recording can go on with."""

import asyncio
from pathlib import Path

from relay.rtp.rtcp import nack
from tests.kit.media import RunningEngine, picture_loss_indication, rtp_packet
from tests.kit.wait import eventually
from tests.media.capture.test_captures import captured, recorded, send


async def test_a_key_frame_is_requested_of_a_layer_of_simulcast_that_loses_packets_for_which_the_other_party_does_not_ask(
    relay: RunningEngine, tmp_path: Path
) -> None:
    shown, unseen = 0xA, 0xC
    async with recorded(relay, tmp_path) as (first, second):
        await send(first, relay, *(rtp_packet(1, ssrc, payload=b"\x10\x00") for ssrc in (shown, unseen)))
        await send(second, relay, nack(0xB, shown, {0}))

        async def asked() -> bool:
            """Every other packet of both is lost."""
            number = next(numbers)
            for ssrc in (shown, unseen):
                first.send_rtp(rtp_packet(number, ssrc, payload=b"\x10\x01"))
            await asyncio.sleep(0.1)
            return picture_loss_indication(unseen) in first.packets

        numbers = iter(range(3, 1000, 2))
        await eventually(asked, "a key frame is requested")
        found = await captured(relay, tmp_path)
    assert found.named("keyframe_requested") == [{"party": "A", "ssrc": unseen}]


async def test_a_key_frame_is_requested_of_the_next_layer_of_simulcast_when_the_highest_one_stops(
    relay: RunningEngine, tmp_path: Path
) -> None:
    low, high = 0xA, 0xC
    async with recorded(relay, tmp_path) as (first, _):
        await send(first, relay, rtp_packet(1, low, payload=b"\x10\x00"), rtp_packet(1, high, payload=b"\x10\x00" + bytes(900)))

        async def asked() -> bool:
            first.send_rtp(rtp_packet(next(numbers), low, payload=b"\x10\x01"))
            await asyncio.sleep(0.1)
            return picture_loss_indication(low) in first.packets

        numbers = iter(range(2, 1000))
        await eventually(asked, "a key frame is requested")
        found = await captured(relay, tmp_path)
    assert found.named("keyframe_requested") == [{"party": "A", "ssrc": low}]

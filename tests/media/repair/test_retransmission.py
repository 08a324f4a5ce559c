"""What the relay repairs before the receiver has to ask for it, on legs that lose many packets."""

import dataclasses
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from relay.media.transport.timing import Timing
from relay.rtp.packet import is_rtcp
from relay.rtp.rtcp import Nack, ReportBlock, RtcpPacket, nack, parse
from tests.kit.media import AUDIO, VIDEO, MediaPeer, RunningEngine, rtp_packet
from tests.kit.rtcp import receiver_report
from tests.kit.wait import eventually

VIDEO_SSRC, RTX_SSRC, AUDIO_SSRC = 10, 11, 20
VP8, RTX, OPUS = 96, 97, 111


def video(sequence: int) -> bytes:
    return rtp_packet(sequence, VIDEO_SSRC, payload_type=VP8)


def repeated(sequence: int, original: int) -> bytes:
    """RFC 4588."""
    return rtp_packet(sequence, RTX_SSRC, payload_type=RTX, payload=struct.pack("!H", original) + b"picture")


def audio(sequence: int) -> bytes:
    return rtp_packet(sequence, AUDIO_SSRC, payload_type=OPUS)


@pytest.fixture
async def relay(no_errors_logged: None) -> AsyncIterator[RunningEngine]:
    """It looks at its figures often."""
    async with RunningEngine.started(tick=0.1, timing=Timing(report_interval=0.7)) as running:
        yield running


@pytest.fixture
async def call(relay: RunningEngine) -> tuple[MediaPeer, MediaPeer]:
    """Two peers in a call; the description of the first one names the SSRCs that it sends."""
    first, second = await relay.call()
    media = (AUDIO, dataclasses.replace(VIDEO, ssrcs=(VIDEO_SSRC, RTX_SSRC)))
    await relay.engine.update_transport("first", first.parameters, media)
    return first, second


def requested(peer: MediaPeer) -> list[int]:
    """The numbers of its video that a peer was asked for again by the relay, each time."""
    packets: list[RtcpPacket] = [one for packet in peer.packets if is_rtcp(packet[1]) for one in parse(packet)]
    return [
        n
        for one in packets
        if isinstance(one, Nack) and (one.sender_ssrc, one.media_ssrc) == (1, VIDEO_SSRC)
        for n in one.sequences
    ]


def arrivals(peer: MediaPeer, datagram_ssrc: int) -> list[bytes]:
    """The encrypted packets of a stream that came to a peer, each as often as it came."""
    return [one for one in peer.path.received if one[0] >> 6 == 2 and int.from_bytes(one[8:12], "big") == datagram_ssrc]


async def until(step: Callable[[int], None], done: Callable[[], bool], what: str) -> int:
    """Do something, again and again, until something is the case; how often it took."""
    number = 0

    def goes_on() -> bool:
        nonlocal number
        step(number := number + 1)
        return done()

    await eventually(goes_on, what)
    return number


async def test_a_retransmission_that_was_lost_too_is_sent_again(relay: RunningEngine, call: tuple[MediaPeer, MediaPeer]) -> None:
    first, second = call
    sent = [video(1), video(3), repeated(100, 2), repeated(101, 2)]
    for packet in sent:
        first.send_rtp(packet)
    await second.receives(*sent)
    second.send_rtcp(nack(0xB, VIDEO_SSRC, [2]))
    await eventually(lambda: len(arrivals(second, RTX_SSRC)) == 3, "the retransmission comes again")
    assert arrivals(second, RTX_SSRC)[2] == arrivals(second, RTX_SSRC)[1], "the last one of them"
    await relay.counts("nacks_answered")
    second.send_rtcp(request := nack(0xB, VIDEO_SSRC, [4]))
    await first.receives(request)


async def test_what_is_lost_on_the_senders_leg_is_requested_of_it_until_it_arrives(
    relay: RunningEngine, call: tuple[MediaPeer, MediaPeer]
) -> None:
    first, second = call
    first.send_rtp(video(1))
    await eventually(lambda: len(second.packets) == 1, "the first packet arrives")
    second.send_rtcp(nack(0xB, VIDEO_SSRC, [0xFFFF]))  # the receiver may ask: it was negotiated
    await eventually(lambda: len(first.packets) == 1, "the request arrives")

    def one_in_four_is_lost(number: int) -> None:
        packet = first.encrypted(video(1 + number))
        if number % 4:
            first.path.send(packet)

    await until(one_in_four_is_lost, lambda: len(set(requested(first))) > 5, "the sender is asked for what is lost")
    assert all(number % 4 == 1 for number in requested(first)), "and for nothing else"

    for n, number in enumerate(dict.fromkeys(requested(first))):
        first.send_rtp(repeated(n, number))
    await eventually(lambda: len(arrivals(second, RTX_SSRC)) > 5, "they arrive")
    assert (await relay.counted())["packets_requested"] >= 6


async def test_a_sender_that_the_receiver_never_sent_a_nack_gets_none_from_the_relay(
    relay: RunningEngine, call: tuple[MediaPeer, MediaPeer]
) -> None:
    first, second = call

    def every_other_is_lost(number: int) -> None:
        packet = first.encrypted(audio(number))
        if number % 2:
            first.path.send(packet)

    repairs = relay.engine._repairs._running
    await until(every_other_is_lost, lambda: "first" in repairs, "the loss is noticed")
    await until(lambda n: every_other_is_lost(1000 + n), lambda: len(second.packets) > 60, "it goes on for a while")
    assert requested(first) == []


async def test_audio_is_sent_twice_to_a_party_that_loses_many(relay: RunningEngine, call: tuple[MediaPeer, MediaPeer]) -> None:
    first, second = call

    def reports_loss(number: int) -> None:
        first.send_rtp(audio(number))
        block = ReportBlock(AUDIO_SSRC, 64, number // 4, number, 0, 0, 0)
        second.send_rtcp(receiver_report(0xB, [block]))

    def came_twice() -> bool:
        came = arrivals(second, AUDIO_SSRC)
        return len(came) > len(set(came)) + 20

    await until(reports_loss, came_twice, "audio comes twice")
    assert len(second.packets) == len(set(arrivals(second, AUDIO_SSRC))), "and is heard once"


async def test_nothing_is_requested_and_nothing_sent_twice_where_nothing_is_lost(
    relay: RunningEngine, call: tuple[MediaPeer, MediaPeer]
) -> None:
    first, second = call

    def all_arrive(number: int) -> None:
        first.send_rtp(audio(number))
        first.send_rtp(video(number))
        second.send_rtcp(receiver_report(0xB, [ReportBlock(AUDIO_SSRC, 0, 0, number, 0, 0, 0)]))

    reports = relay.events
    await until(all_arrive, lambda: len(reports) > 8, "the figures are looked at")
    counted = await relay.counted()
    assert not {"packets_requested", "packets_doubled", "packets_resent"} & set(counted)
    assert not relay.engine._repairs._running

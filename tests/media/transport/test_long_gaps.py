"""Calls in which one party goes on sending for long and the other one is sent nothing: holds and dead paths.

Of what is sent meanwhile, one packet in some thousands is enough here: both ends of SRTP follow their sender by these.
"""

from collections.abc import AsyncIterator
from itertools import count

import pytest

from relay.media.transport import gap
from relay.media.transport.timing import Timing
from relay.rtp.packet import is_rtcp
from tests.kit.media import MediaPeer, RunningEngine, rtcp_compound, rtp_packet
from tests.kit.wait import eventually

AUDIO_TYPE, VIDEO_TYPE = 111, 96
STREAMS = {"first": ((0xA1, AUDIO_TYPE), (0xA2, VIDEO_TYPE)), "second": ((0xB1, AUDIO_TYPE), (0xB2, VIDEO_TYPE))}
FIRST_NUMBER = 40_000
"""That of a call some minutes old."""

WHILE_HELD = b"not for the other party"


def packets(peer: MediaPeer, number: int, payload: bytes = b"media") -> list[bytes]:
    """One packet of each stream of a peer."""
    return [rtp_packet(number, ssrc, payload_type=kind, payload=payload) for ssrc, kind in STREAMS[peer.transport_id]]


def media(peer: MediaPeer) -> list[bytes]:
    """What has arrived there, but for RTCP, and for packets that carry nothing."""
    return [one for one in peer.packets if not is_rtcp(one[1]) and len(one) > 12]


async def talk(sender: MediaPeer, receiver: MediaPeer, number: int, times: int = 10) -> int:
    """Send some packets of each stream, all of which arrive, in order and alone; the number after the last."""
    receiver.packets.clear()
    sent = [one for n in range(number, number + times) for one in packets(sender, n)]
    for one in sent:
        sender.send_rtp(one)
    await eventually(lambda: len(media(receiver)) >= len(sent), lambda: f"{len(sent)} packets, but {len(media(receiver))}")
    assert media(receiver) == sent
    return number + times


async def crosses(sender: MediaPeer, receiver: MediaPeer) -> None:
    """RTCP does."""
    receiver.packets.clear()
    for ssrc, _ in STREAMS[sender.transport_id]:
        sender.send_rtcp(report := rtcp_compound(ssrc))
        await eventually(lambda report=report: report in receiver.packets, "a report arrives")  # type: ignore[misc,arg-type]


@pytest.mark.parametrize("held", [36_000, 65_600, 150_000])
async def test_after_a_hold_of_any_length_both_hear_and_see_each_other_at_once(relay: RunningEngine, held: int) -> None:
    first, second = await relay.call()
    for sender, receiver in ((first, second), (second, first)):
        assert await talk(sender, receiver, FIRST_NUMBER) == FIRST_NUMBER + 10
        await crosses(sender, receiver)
    await relay.engine.unroute("call", ("first", "second"))
    before = (await relay.counted()).get("dropped_unjoined", 0)
    meanwhile = range(FIRST_NUMBER + 10, FIRST_NUMBER + held, 9_000)
    for sender in (first, second):
        for number in meanwhile:
            for packet in packets(sender, number, WHILE_HELD):
                sender.send_rtp(packet)
            sender.send_rtcp(rtcp_compound(STREAMS[sender.transport_id][0][0]))
    await relay.counts("dropped_unjoined", before + 6 * len(meanwhile))

    await relay.engine.route("call", ("first", "second"))
    for sender, receiver in ((first, second), (second, first)):
        await talk(sender, receiver, FIRST_NUMBER + held)
        await crosses(sender, receiver)
    counted = await relay.counted()
    assert "dropped_unprotectable" not in counted
    assert counted["gaps_filled"] <= 4 * 18


async def test_holds_one_after_the_other_are_each_led_over(relay: RunningEngine) -> None:
    first, second = await relay.call()
    number = await talk(first, second, FIRST_NUMBER)
    for _ in range(3):
        await relay.engine.unroute("call", ("first", "second"))
        before = (await relay.counted()).get("dropped_unjoined", 0)
        for held in (10_000, 20_000, 30_000, 40_000):
            for packet in packets(first, number + held, WHILE_HELD):
                first.send_rtp(packet)
        await relay.counts("dropped_unjoined", before + 8)
        await relay.engine.route("call", ("first", "second"))
        number = await talk(first, second, number + 40_001)


async def test_what_fills_a_gap_is_sent_twice_since_a_burst_may_be_lost(relay: RunningEngine) -> None:
    first, second = await relay.call()
    await talk(first, second, FIRST_NUMBER)
    await relay.engine.unroute("call", ("first", "second"))
    for held in (9_000, 18_000, 27_000, 36_000):
        for packet in packets(first, FIRST_NUMBER + held):
            first.send_rtp(packet)
    await relay.counts("dropped_unjoined", 8)
    hears, second._deliver = second._deliver, lambda path, datagram: None  # type: ignore[method-assign]
    await relay.engine.route("call", ("first", "second"))
    await relay.counts("gaps_filled", 16)
    arrived = len(second.path.received)
    await eventually(lambda: len(second.path.received) >= arrived, "the burst has come")
    second._deliver = hears  # type: ignore[method-assign]
    await eventually(lambda: sum(len(one) == 12 for one in second.packets) == 16, "it comes again")
    await talk(first, second, FIRST_NUMBER + 36_001)


@pytest.fixture
async def hurried(no_errors_logged: None) -> AsyncIterator[RunningEngine]:
    """A relay to which a path counts as dead, and a stream as silent, after a moment."""
    timing = Timing(silence=0.3, quiet_silence=0.3, stream_silence=0.3, packet_rate=1_000_000)
    async with RunningEngine.started(tick=0.05, timing=timing) as running:
        yield running


async def test_a_party_whose_path_was_dead_for_long_hears_the_other_one_again(hurried: RunningEngine) -> None:
    first, second = await hurried.call()
    number = await talk(first, second, FIRST_NUMBER)
    hears, second._deliver = second._deliver, lambda path, datagram: None  # type: ignore[method-assign]
    await hurried.says("TransportDown", second)

    async def given_up() -> bool:
        nonlocal number
        number += 500
        for packet in packets(first, number):
            first.send_rtp(packet)
        await first.check()
        return "dropped_unreachable" in await hurried.counted()

    await eventually(given_up, "nothing more is sent to a dead path")
    assert number - FIRST_NUMBER > gap.SENT_TO_DEAD_PATH, "but for a while it is"
    for _ in count():
        number += 5_000
        for packet in packets(first, number):
            first.send_rtp(packet)
        if number > FIRST_NUMBER + 100_000:
            break
    second._deliver = hears  # type: ignore[method-assign]
    await second.check()
    await talk(first, second, number + 1)


async def test_a_hold_that_ends_while_the_path_is_dead_is_led_over_when_it_is_back(hurried: RunningEngine) -> None:
    first, second = await hurried.call()
    await talk(first, second, FIRST_NUMBER)
    hears, second._deliver = second._deliver, lambda path, datagram: None  # type: ignore[method-assign]
    await hurried.says("TransportDown", second)
    await hurried.engine.unroute("call", ("first", "second"))
    for held in (9_000, 18_000, 27_000, 36_000):
        for packet in packets(first, FIRST_NUMBER + held):
            first.send_rtp(packet)
    await hurried.counts("dropped_unjoined", 8)
    await hurried.engine.route("call", ("first", "second"))
    first.send_rtp(packets(first, FIRST_NUMBER + 36_001)[0])
    await hurried.counts("packets_received", 8 + 20 + 1)
    second._deliver = hears  # type: ignore[method-assign]
    await second.check()
    await talk(first, second, FIRST_NUMBER + 36_002)


async def test_a_party_that_is_merely_silent_hears_the_other_one_at_once_after_a_hold(hurried: RunningEngine) -> None:
    first, second = await hurried.call()
    await talk(first, second, FIRST_NUMBER)
    await hurried.says("TransportDown", second)
    await hurried.engine.unroute("call", ("first", "second"))
    for held in range(9_000, 80_000, 9_000):
        for packet in packets(first, FIRST_NUMBER + held):
            first.send_rtp(packet)
    await hurried.counts("dropped_unjoined", 2 * 8)
    await hurried.engine.route("call", ("first", "second"))
    await talk(first, second, FIRST_NUMBER + 72_001)


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("jump", [40_000, 65_600, 150_000])
async def test_a_party_that_sent_unheard_for_long_is_heard_again(hurried: RunningEngine, jump: int, moved: bool) -> None:
    first, second = await hurried.call()
    number = await talk(first, second, FIRST_NUMBER)
    silent = hurried.engine._transports["first"].streams
    await eventually(lambda: not silent, "its streams have been silent for long")
    for lost in range(number, FIRST_NUMBER + jump, 9_000):
        for packet in packets(first, lost):
            first.encrypted(packet)
    await second.check()
    if moved:
        first.path = first.another_path()
    await talk(first, second, FIRST_NUMBER + jump)
    assert (await hurried.counted())["rollovers_found"] == 2


async def test_forged_packets_of_a_silent_stream_neither_cost_much_nor_keep_it_silent(hurried: RunningEngine) -> None:
    first, second = await hurried.call()
    number = await talk(first, second, FIRST_NUMBER)
    streams = hurried.engine._transports["first"].streams
    await eventually(lambda: not streams, "its streams have been silent for long")
    for n in range(50):
        first.path.send(packets(first, n)[0] + bytes(16))
    await hurried.counts("srtp_unauthentic", 50)
    assert not streams
    for lost in range(number, FIRST_NUMBER + 40_000, 9_000):
        for packet in packets(first, lost):
            first.encrypted(packet)
    received = hurried.engine._transports["first"].received
    await eventually(lambda: not received.searches, "the next second has come")
    await second.check()
    await talk(first, second, FIRST_NUMBER + 40_000)

"""Which SSRCs a peer may use: many in the course of a call, a bounded number at a time."""

import dataclasses
import time

import pytest

from relay.media.transport.ssrcs import FORGET_AFTER, LOOK_AGAIN_AFTER, MAX_FORGOTTEN, MAX_SSRCS, SsrcTable
from tests.kit.media import VIDEO, MediaPeer, RunningEngine, rtcp_compound, rtp_packet
from tests.kit.wait import eventually

NEW = 0xA000


@dataclasses.dataclass
class Stream:
    heard_at: float


def full(streams: dict[int, Stream] | None = None) -> SsrcTable:
    """SSRCs 1 to `MAX_SSRCS`, each heard at a second of its own."""
    table = SsrcTable(streams or {}, own=(1,))
    for ssrc in range(1, MAX_SSRCS + 1):
        assert table.has_room(ssrc, float(ssrc))
        assert table.hear(ssrc, float(ssrc)) is None
    return table


def test_the_one_that_has_been_silent_longest_makes_room() -> None:
    table = full(streams={2: Stream(heard_at=9.0), 3: Stream(heard_at=2.5)})
    assert table.has_room(NEW, 300.0)
    assert [table.hear(NEW + n, 300.0) for n in range(3)] == [3, 4, 5], "1 is the relay's own, 2 has sent media since"
    assert len(table) == MAX_SSRCS


def test_what_the_latest_description_names_stays() -> None:
    table = full()
    table.describe([2, 3])
    assert table.hear(NEW, 300.0) == 4
    table.describe([])
    assert table.hear(NEW + 1, 300.0) == 2


def test_none_makes_room_while_all_are_heard() -> None:
    table = full()
    now = 300.0
    for ssrc in range(1, MAX_SSRCS + 1):
        table.hear(ssrc, now)
    assert not table.has_room(NEW, now + FORGET_AFTER - 0.1)
    assert table.has_room(NEW, now + FORGET_AFTER + LOOK_AGAIN_AFTER)
    for ssrc in range(1, MAX_SSRCS + 1):
        table.hear(ssrc, now + FORGET_AFTER + LOOK_AGAIN_AFTER)
    assert table.hear(NEW, now + FORGET_AFTER + LOOK_AGAIN_AFTER) == NEW, "they have been heard since there was room"
    assert NEW not in table


def test_asking_for_room_forgets_nothing() -> None:
    table = full()
    for ssrc in range(NEW, NEW + 1000):
        assert table.has_room(ssrc, 300.0)
    assert sorted(table) == list(range(1, MAX_SSRCS + 1))


def test_one_that_was_forgotten_does_not_come_back() -> None:
    table = full()
    assert table.hear(NEW, 300.0) == 2
    assert not table.has_room(2, 1000.0)


def test_what_was_forgotten_is_bounded_too() -> None:
    table = full()
    table.max_forgotten = 3
    assert MAX_FORGOTTEN > 1000
    for n in range(3):
        assert table.has_room(NEW + n, 300.0)
        table.hear(NEW + n, 300.0)
    assert not table.has_room(NEW + 3, 300.0)


# -- with a real transport --------------------------------------------------------------------------------------------


async def fill(first: MediaPeer, second: MediaPeer) -> None:
    """Use as many SSRCs as there may be."""
    sent = [rtp_packet(1, ssrc) for ssrc in range(1, MAX_SSRCS + 1)]
    for packet in sent:
        first.send_rtp(packet)
    await second.receives(*sent)


async def test_the_257th_stream_of_a_call_is_forwarded_when_others_have_fallen_silent(relay: RunningEngine) -> None:
    first, second = await relay.call()
    relay.engine._transports["first"].ssrcs.look_again_after = 0.0
    described = dataclasses.replace(VIDEO, ssrcs=(2, 3))
    await relay.engine.update_transport("first", first.parameters, (described,))
    await fill(first, second)
    first.send_rtp(rtp_packet(1, NEW))
    await relay.counts("dropped_streams")

    relay.engine._transports["first"].ssrcs.forget_after = 0.2
    await silence(relay)
    sent = [rtp_packet(2, NEW), rtp_packet(2, NEW + 1)]
    for packet in sent:
        first.send_rtp(packet)
    first.send_rtcp(report := rtcp_compound(NEW + 2))
    await second.receives(*sent, report)
    await relay.counts("streams_forgotten", 3)

    transports = relay.engine._transports
    gone = set(range(1, MAX_SSRCS + 1)) - set(transports["first"].ssrcs)
    assert len(gone) == 3 and not gone & {1, 2, 3}, "neither what was described nor what the relay itself uses"
    for known in (transports["first"].streams, transports["first"].statistics.streams, transports["second"].sent):
        assert not gone & set(known)
    again = [rtp_packet(3, ssrc) for ssrc in (1, 2, 3, NEW)]
    for packet in (*again, *(rtp_packet(3, ssrc) for ssrc in gone)):
        first.send_rtp(packet)
    await second.receives(*again)
    await relay.counts("dropped_streams", 1 + 3)


async def silence(relay: RunningEngine) -> None:
    """Wait until the streams of the first one have been silent for 0.2 s."""
    streams = relay.engine._transports["first"].statistics.streams
    await eventually(lambda: all(time.monotonic() - one.heard_at > 0.2 for one in streams.values()), "all are silent")


async def test_forged_packets_make_no_stream_forgotten(relay: RunningEngine) -> None:
    first, second = await relay.call()
    relay.engine._transports["first"].ssrcs.forget_after = 0.1
    await fill(first, second)
    await silence(relay)
    for ssrc in range(NEW, NEW + 300):
        first.path.send(rtp_packet(1, ssrc, payload=bytes(40)))
        first.path.send(rtcp_compound(ssrc) + bytes(20))
    await relay.counts("srtp_unauthentic", 600)
    assert sorted(relay.engine._transports["first"].ssrcs) == list(range(1, MAX_SSRCS + 1))
    assert "streams_forgotten" not in await relay.counted()


@pytest.mark.long
async def test_a_stream_of_each_of_many_shared_screens_is_forwarded(relay: RunningEngine) -> None:
    first, second = await relay.call()
    relay.engine._transports["first"].ssrcs.forget_after = 0.0
    relay.engine._transports["first"].ssrcs.look_again_after = 0.0
    for ssrc in range(NEW, NEW + 2 * MAX_SSRCS):
        first.send_rtp(packet := rtp_packet(1, ssrc))
        await second.receives(packet)
    transports = relay.engine._transports
    for known in (transports["first"].ssrcs, transports["first"].streams, transports["first"].statistics.streams):
        assert len(known) == MAX_SSRCS
    second.send_rtp(packet := rtp_packet(1, 0xBBBB))
    await first.receives(packet)

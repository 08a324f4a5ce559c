"""What a peer may send: media, data, reports, requests. One that sends more is dropped, counted, and disturbs no other call."""

import asyncio
import contextlib
import random
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import pytest

from relay.media.transport.policing import (
    BURST,
    FIRST_EXCLUSION,
    FORGIVEN_AFTER,
    KEYFRAME_INTERVAL,
    LOOK_INTERVAL,
    NACKED_PER_ROUND_TRIP,
    RTCP_RATE,
    SUSPECT_FOR,
    Budget,
    Exclusion,
)
from relay.media.transport.timing import Timing
from relay.rtp import rtcp
from relay.rtp.rtcp_cuts import count_nacked, cut_nacks, without_keyframe_requests
from relay.settings.media import UNLIMITED, MediaLimits
from tests.kit.children import child
from tests.kit.media import (
    MediaPeer,
    RunningEngine,
    connectivity_check,
    picture_loss_indication,
    rtcp_compound,
    rtp_packet,
    still_talk,
)
from tests.kit.wait import eventually

OURS, THEIRS = 0xA0A0, 0xB0B0

LIMITS = MediaLimits()
"""The defaults."""


@dataclass
class Stream:
    packets: int = 0
    bytes: int = 0


def passed(packets: dict[float, list[int]], limits: MediaLimits, until: float) -> tuple[float, float]:
    """Mbit that were sent and that passed: by the time of each moment, the lengths of the packets sent then, looked at as the
    policer does."""
    budget, stream, over = Budget(limits, 0.0), Stream(), False
    sent = taken = 0
    look_at, suspect_until = 1.0, 0.0
    for now in sorted(packets):
        if now > until:
            break
        if now >= look_at:
            over = budget.look([stream], now)
            suspect_until = now + SUSPECT_FOR if over else suspect_until
            look_at = now + (LOOK_INTERVAL if now < suspect_until else 1.0)
        for length in packets[now]:
            sent += length
            if not over:
                taken += length
                stream.packets += 1
                stream.bytes += length
    return sent * 8e-6, taken * 8e-6


def steady(mbit: float, seconds: float, length: int = 1100) -> dict[float, list[int]]:
    pause = 0.01
    each = round(mbit * 1e6 * pause / 8 / length)
    return {n * pause: [length] * each for n in range(round(seconds / pause))}


# -- media ------------------------------------------------------------------------------------------------------------


def test_more_than_the_limit_does_not_pass_for_longer_than_a_burst() -> None:
    sent, taken = passed(steady(108, 20), LIMITS, 20)
    assert sent == pytest.approx(2160, rel=0.02)
    assert taken <= 40 * (20 + 2 * BURST)
    assert taken >= 40 * 20 * 0.8, "and what is allowed does"


def test_small_packets_are_limited_by_their_number() -> None:
    _, taken = passed(steady(20, 20, 100), LIMITS, 20)
    assert taken / 8e-6 / 100 <= 6000 * (20 + 2 * BURST)


def test_a_shared_4k_screen_passes_whole() -> None:
    """12 Mbit/s on average, with a key frame of 2 MB every ten seconds."""
    packets = steady(12, 60)
    for second in range(5, 60, 10):
        packets[float(second)] = [1100] * (2_000_000 // 1100)
    sent, taken = passed(packets, LIMITS, 60)
    assert taken == sent


def test_without_limits_everything_passes() -> None:
    sent, taken = passed(steady(1000, 3), UNLIMITED, 3)
    assert taken == sent


async def heard(first: MediaPeer, second: MediaPeer) -> None:
    """What the first one sends arrives, behind whatever is still on its way."""
    first.send_rtp(packet := rtp_packet(9000, 0xC0C0))
    await eventually(lambda: packet in second.packets, "it is heard")


async def flooded(relay: RunningEngine, peer: MediaPeer, packets: int) -> None:
    for n in range(packets):
        peer.send_rtp(rtp_packet(n, OURS, payload=bytes(1000)))
        if n % 50 == 0:
            await asyncio.sleep(0)


async def test_a_peer_that_sends_too_much_is_dropped_and_heard_again_later() -> None:
    async with RunningEngine.started(limits=MediaLimits(media_max_mbit=0.4, media_max_packets=0)) as relay:
        first, second = await relay.call()
        await flooded(relay, first, 3000)
        transport = relay.engine._transports["first"]
        now = time.monotonic()
        assert transport.police(now)
        before = relay.engine._counters["dropped_policed"]
        first.send_rtp(rtp_packet(5000, OURS))
        await eventually(lambda: relay.engine._counters["dropped_policed"] > before, "it is not heard")
        assert not transport.police(now + 2 * BURST)
        await heard(first, second)


async def test_a_party_that_floods_the_socket_makes_no_other_call_lose_a_packet() -> None:
    """150 packets between two of the other call's: as much as the receive buffer takes where the system grants the least."""
    async with RunningEngine.started(limits=MediaLimits(media_max_mbit=8, media_max_packets=1000)) as relay:
        attacker, accomplice = await relay.call()
        accomplice.path.close()  # to read the flood is not this process's work
        third, fourth = [await relay.peer(name, router="other") for name in ("third", "fourth")]
        await relay.engine.route("other", ("third", "fourth"))
        await relay.connect(third, fourth)
        before = await relay.taken_in()
        sent: list[bytes] = []
        for n in range(100):
            for k in range(150):
                attacker.send_rtp(rtp_packet(150 * n + k, OURS, payload=bytes(1000)))
            third.send_rtp(packet := rtp_packet(n, THEIRS))
            sent.append(packet)
            await relay.takes_in(before + 151 * (n + 1))
        await eventually(lambda: len(fourth.packets) == len(sent), lambda: f"{len(fourth.packets)} of {len(sent)} packets")
        assert fourth.packets == sent
        counted = await relay.counted()
        assert counted.get("dropped_policed", 0) + counted.get("dropped_filtered", 0) > 5_000
        assert "dropped_kernel" not in counted


# -- floods -----------------------------------------------------------------------------------------------------------


SENDER = """
import contextlib, socket, sys, time
own, size, port = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
content = sys.stdin.buffer.read()
datagrams = [content[at : at + size] for at in range(0, len(content), size)]
until = time.monotonic() + 20
while time.monotonic() < until:
    for one in datagrams:
        with contextlib.suppress(BlockingIOError):
            own.sendto(one, ("127.0.0.1", port))
"""


@contextlib.asynccontextmanager
async def sending(peer: MediaPeer, packets: list[bytes]) -> AsyncIterator[None]:
    """Another process sends packets of one length from the peer's address meanwhile, again and again, as fast as it can."""
    datagrams = [peer.encrypted(one) for one in packets]
    descriptor = peer.path._socket.fileno()
    arguments = (str(descriptor), str(len(datagrams[0])), str(peer.path.relay[1]))
    command = (sys.executable, "-c", SENDER, *arguments)
    async with child(*command, pass_fds=(descriptor,), stdin=asyncio.subprocess.PIPE) as sender:
        assert sender.stdin is not None
        sender.stdin.write(b"".join(datagrams))
        sender.stdin.close()
        yield


async def test_while_a_flood_is_kept_off_another_call_loses_no_packet() -> None:
    """At full speed from another process, which is more than the relay takes out of the receive buffer."""
    exclusion = Timing(first_exclusion=30.0)  # as after several floods: it must outlast a slow machine
    async with RunningEngine.started(limits=MediaLimits(media_max_mbit=8, media_max_packets=1000), timing=exclusion) as relay:
        attacker, accomplice = await relay.call()
        accomplice.path.close()
        for one in relay.engine._listening.sockets:  # what the system grants where net.core.rmem_max is as usual
            one._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 106_496)
        third, fourth = [await relay.peer(name, router="other") for name in ("third", "fourth")]
        await relay.engine.route("other", ("third", "fourth"))
        await relay.connect(third, fourth)
        # From this process, since only authentic packets are a flood: another one would have sent all that it has, and begun to
        # repeat them, before a relay that has to wait for a processor has seen many.
        await flooded(relay, attacker, 10_000)
        await relay.counts("floods_filtered")
        async with sending(attacker, [rtp_packet(n, OURS, payload=bytes(1000)) for n in range(10_000, 11_000)]):
            await behind_the_queue(third, fourth)
            fourth.packets.clear()
            sent = [rtp_packet(n, 0xD0D0) for n in range(300)]
            # Never more at once than the buffer has room for, however slow the machine is.
            for end in range(20, len(sent) + 1, 20):
                for packet in sent[end - 20 : end]:
                    third.send_rtp(packet)
                await eventually(partial(has_received, fourth, end), lambda: f"{len(fourth.packets)} of {len(sent)} packets")

            async def dropped() -> bool:
                return (await relay.counted())["dropped_filtered"] > 5_000

            await eventually(dropped, "the kernel has dropped 5,000 packets of the flood")
        assert [one for one in fourth.packets if one in sent] == sent
        assert (await relay.counted())["floods_filtered"] == 1


def has_received(peer: MediaPeer, number: int) -> bool:
    return len(peer.packets) >= number


async def behind_the_queue(first: MediaPeer, second: MediaPeer) -> None:
    """What was in the receive buffer when the limit took effect has been received: packets that were sent later have arrived."""
    for n in range(1000):
        first.send_rtp(rtp_packet(n, THEIRS, payload=b"behind"))
        await asyncio.sleep(0.01)
        if len([one for one in second.packets if one.endswith(b"behind")]) > 20:
            return
    raise AssertionError("nothing arrives")


async def test_a_peer_that_has_flooded_is_heard_again() -> None:
    async with RunningEngine.started(limits=MediaLimits(media_max_mbit=0, media_max_packets=500)) as relay:
        first, second = await relay.call()
        await flooded(relay, first, 2000)
        await relay.counts("floods_filtered")
        second.packets.clear()

        def passes() -> bool:
            first.send_rtp(rtp_packet(9000 + len(first.packets), 0xC0C0))
            return bool(second.packets)

        await eventually(passes, "the peer is heard again")
        assert (await relay.counted())["dropped_filtered"] > 0


def looked_at(rate: float, seconds: float, at_once: int = 0) -> Budget:
    """The budget of a peer that has sent so many packets a second, looked at every 50 ms."""
    budget, stream = Budget(LIMITS, 0.0), Stream(packets=at_once)
    for n in range(1, round(seconds / LOOK_INTERVAL) + 1):
        stream.packets += round(rate * LOOK_INTERVAL)
        budget.look([stream], n * LOOK_INTERVAL)
    return budget


def test_more_than_the_limit_is_no_flood_and_several_times_as_much_is() -> None:
    assert not looked_at(1.9 * LIMITS.media_max_packets, 5).excluded(5)
    assert not looked_at(1360, 0.1, at_once=2700).excluded(0.1), "a network that had stalled for 2 s, at 12 Mbit/s"
    assert looked_at(60_000, 0.2).excluded(0.2)


def test_an_exclusion_grows_while_the_peer_goes_on_and_is_forgotten_when_it_does_not() -> None:
    exclusion, now, lengths = Exclusion(FIRST_EXCLUSION), 100.0, []
    for _ in range(7):
        exclusion.begin(now)
        exclusion.begin(now + 0.5)  # what was queued does not prolong it
        lengths.append(next(n for n in range(100) if not exclusion.active(now + n)))
        now += lengths[-1] + 1
    assert lengths == [1, 2, 4, 8, 16, 30, 30]
    exclusion.begin(now := now + FORGIVEN_AFTER)
    assert not exclusion.active(now + 1)


# -- reports and requests -----------------------------------------------------------------------------------------------


async def test_reports_above_the_limit_are_dropped(relay: RunningEngine) -> None:
    first, second = await relay.call()
    for n in range(2000):
        first.send_rtcp(rtcp_compound(OURS, n))
        if n % 50 == 0:
            await asyncio.sleep(0)
    await eventually(lambda: relay.engine._counters["dropped_policed"] > 2000 - 2 * RTCP_RATE, "most are dropped")
    await heard(first, second)


async def test_checks_are_answered_as_often_as_browsers_send_them_and_no_more(relay: RunningEngine) -> None:
    first, second = await relay.call()
    for n in range(1000):
        first.path.send(bytes(connectivity_check(first.relay)))
        if n % 50 == 0:
            await asyncio.sleep(0)
    await eventually(lambda: relay.engine._counters["stun_checks_limited"] > 500, "most are not answered")
    await still_talk(first, second)


def long_nack(entries: int = 450, media: int = THEIRS) -> bytes:
    """A NACK of 1.8 kB that asks for 7,650 packets."""
    return rtcp.nack(1, media, [17 * n + bit for n in range(entries) for bit in range(17)])


async def test_a_nack_asks_for_no_more_than_receivers_ever_do_in_a_round_trip(relay: RunningEngine) -> None:
    first, second = await relay.call()
    second.send_rtp(packet := rtp_packet(1, THEIRS))
    await first.receives(packet)
    first.send_rtcp(nack := long_nack())
    assert len(nack) > 1800
    await eventually(lambda: second.packets, "what is left is passed on")
    assert (await relay.counted())["nacks_limited"] >= 7650 - NACKED_PER_ROUND_TRIP
    [left] = second.packets
    assert count_nacked(left) <= NACKED_PER_ROUND_TRIP
    second.packets.clear()
    await still_talk(first, second)


def test_the_numbers_that_may_be_asked_for_come_back_with_each_round_trip() -> None:
    budget = Budget(UNLIMITED, 0.0)
    assert budget.nackable(5000, 0.2, 0.0) == 1000
    assert budget.nackable(5000, 0.2, 0.0) == 0
    assert budget.nackable(5000, 0.2, 0.1) == 500
    assert budget.nackable(10, 0.2, 0.2) == 10


def test_a_nack_is_cut_to_whole_entries_and_everything_else_stays() -> None:
    rng = random.Random(17)
    report = rtcp_compound(OURS)
    for _ in range(200):
        numbers = sorted(rng.sample(range(2000), rng.randrange(1, 200)))
        nack = rtcp.nack(1, THEIRS, numbers)
        assert count_nacked(report + nack) == len(numbers)
        allowed = rng.randrange(250)
        cut = cut_nacks(report + nack, allowed)
        assert cut.startswith(report)
        kept = [n for packet in rtcp.parse(cut) if isinstance(packet, rtcp.Nack) for n in packet.sequences]
        assert kept == numbers[: len(kept)]
        assert len(kept) <= allowed
        assert len(kept) > min(allowed, len(numbers)) - 17


async def test_a_sender_is_asked_for_a_key_frame_twice_a_second_at_most(relay: RunningEngine) -> None:
    first, second = await relay.call()
    first.send_rtp(packet := rtp_packet(1, OURS))
    await second.receives(packet)
    for _ in range(20):
        second.send_rtcp(picture_loss_indication(OURS))
    second.send_rtcp(other := picture_loss_indication(0xC0C0))
    await eventually(lambda: other in first.packets, "another stream's request passes")
    assert first.packets == [picture_loss_indication(OURS), other]
    assert (await relay.counted())["keyframe_requests_limited"] == 19


def test_a_request_is_passed_on_again_after_half_a_second() -> None:
    budget = Budget(UNLIMITED, 0.0)
    asked = [budget.requests_keyframe(OURS, n * 0.1) for n in range(11)]
    assert [n for n, one in enumerate(asked) if one] == [0, 5, 10]
    assert KEYFRAME_INTERVAL == 0.5


def test_of_several_requests_in_a_packet_only_those_go_that_come_too_soon() -> None:
    fir = bytes([0x84, 206, 0, 6]) + bytes(4) + bytes(4) + b"".join(ssrc.to_bytes(4) + bytes(4) for ssrc in (OURS, THEIRS))
    compound = rtcp_compound(OURS) + picture_loss_indication(OURS) + picture_loss_indication(THEIRS) + fir
    left = rtcp.parse(without_keyframe_requests(compound, {OURS}))
    assert [one.media_ssrc for one in left if isinstance(one, rtcp.PictureLoss)] == [THEIRS]
    assert [one.media_ssrcs for one in left if isinstance(one, rtcp.FullIntraRequest)] == [(THEIRS,)]
    assert without_keyframe_requests(picture_loss_indication(OURS), {OURS}) == b""


async def test_a_request_of_the_relays_own_that_comes_too_soon_is_made_up_for(relay: RunningEngine) -> None:
    first, second = await relay.call()
    first.send_rtp(packet := rtp_packet(1, OURS))
    await second.receives(packet)
    transport = relay.engine._transports["first"]
    transport.request_keyframes()
    transport.request_keyframes()
    await first.receives(picture_loss_indication(OURS))
    transport.budget._requested.clear()
    transport.tick(time.monotonic())
    await first.receives(picture_loss_indication(OURS))

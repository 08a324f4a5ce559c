"""One way for every packet that is not plain, and one tap that sees each packet whichever way it takes."""

import asyncio

import pytest

from relay.media.api import DtlsRole
from relay.media.transport.policing import RTCP_RATE
from relay.media.transport.transport import Transport
from relay.rtp.packet import is_rtcp
from tests.kit.media import IPV4, IPV6, MediaPeer, RunningEngine, rtcp_compound, rtp_packet, still_talk
from tests.media.net.dtls import send_once_connected

SSRC = 0xA0A0


def tapped(relay: RunningEngine, transport_id: str) -> list[bytes]:
    """What a tap on that transport sees, from now on."""
    seen: list[bytes] = []
    times: list[float] = []

    def tap(packet: bytes, now: float) -> None:
        assert times[-1:] <= [now] <= [asyncio.get_running_loop().time()], "seconds of the steady clock, in order"
        times.append(now)
        seen.append(packet)

    transport_of(relay, transport_id).tap = tap
    return seen


def transport_of(relay: RunningEngine, transport_id: str) -> Transport:
    return relay.engine._transports[transport_id]


@pytest.mark.parametrize("host", [IPV4, IPV6])
async def test_a_tap_sees_each_packet_once_decrypted_and_in_order_of_arrival(relay: RunningEngine, host: str) -> None:
    first, second = await relay.call(host, host)
    seen, other = tapped(relay, "first"), tapped(relay, "second")
    sent = [rtcp_compound(SSRC, n) if n % 5 == 3 else rtp_packet(n, SSRC, payload=bytes(900)) for n in range(100)]
    for packet in sent:
        if is_rtcp(packet[1]):
            first.send_rtcp(packet)
        else:
            first.send_rtp(packet)
    await relay.counts("packets_received", len(sent))
    assert seen == sent
    assert not other, "a tap is for what a transport receives, not for what it sends"
    assert sorted(second.packets) == sorted(sent), "what was seen crossed, unchanged"


async def test_packets_are_on_their_way_before_a_tap_sees_any_of_them(relay: RunningEngine) -> None:
    first, second = await relay.call()
    sent, counters = list[int](), transport_of(relay, "first").counters

    def tap(packet: bytes, now: float) -> None:
        sent.append(counters["packets_sent"] - before)

    before = counters["packets_sent"]
    transport_of(relay, "first").tap = tap
    for packet in (packets := [rtp_packet(n, SSRC) for n in range(40)]):
        first.send_rtp(packet)
    await second.receives(*packets)
    assert len(sent) == 40
    assert all(number > index for index, number in enumerate(sent)), "whatever a tap does, no packet waits for that"


async def test_a_tap_sees_packets_from_an_address_that_is_not_validated(relay: RunningEngine) -> None:
    first, second = await relay.call()
    first.send_rtp(before := rtp_packet(1, SSRC))
    await second.receives(before)
    seen = tapped(relay, "first")
    home, away = first.path, first.another_path()
    sent = [rtp_packet(2, SSRC), rtcp_compound(SSRC), rtp_packet(3, SSRC), rtp_packet(4, SSRC)]
    for path, packet in zip((away, away, home, away), sent, strict=True):
        path.send(first.encrypted(packet, rtcp=is_rtcp(packet[1])))
        await second.receives(packet)
    assert seen == sent
    assert (await relay.counted())["packets_followed"] == 3


async def test_a_tap_sees_what_came_before_the_keys(relay: RunningEngine) -> None:
    first, second = await relay.peer("first"), await relay.peer("second", role=DtlsRole.PASSIVE)
    seen = tapped(relay, "second")
    early = [rtp_packet(n, SSRC, payload=bytes(40)) for n in range(20)]
    send_once_connected(second, early)
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first, second)
    second.send_rtp(late := rtp_packet(100, SSRC))
    await first.receives(*early, rtcp_compound(), late)
    await relay.counts("packets_early", len(early) + 1)
    assert seen == [*early, rtcp_compound(), late]


async def test_a_tap_sees_packets_while_there_is_no_other_party_and_none_a_second_time(relay: RunningEngine) -> None:
    first, second = [await relay.peer(name) for name in ("first", "second")]
    seen = tapped(relay, "first")
    await relay.connect(first)
    first.send_rtp(alone := rtp_packet(1, SSRC))
    first.send_rtcp(report := rtcp_compound(SSRC))
    await relay.counts("dropped_unjoined", 2)
    await relay.engine.route("call", ("first", "second"))
    first.send_rtp(buffered := rtp_packet(2, SSRC))
    await relay.counts("packets_received", 3)
    await relay.connect(second)
    await second.receives(buffered)
    first.send_rtp(plain := rtp_packet(3, SSRC))
    await second.receives(plain)
    assert seen == [alone, report, buffered, plain]


async def test_a_tap_sees_nothing_that_is_forged_or_replayed(relay: RunningEngine) -> None:
    first, second = await relay.call()
    seen = tapped(relay, "first")
    datagram = first.send_rtp(packet := rtp_packet(1, SSRC))
    first.path.send(datagram)
    first.path.send(datagram[:-1] + bytes([datagram[-1] ^ 1]))  # of the same index: a replay, before it is authenticated
    first.path.send(rtcp_compound() + bytes(20))  # not encrypted
    await relay.counts("srtp_replayed", 2)
    await relay.counts("srtp_unauthentic", 1)
    await second.receives(packet)
    assert seen == [packet]


async def test_a_tap_that_fails_is_taken_off_and_the_call_goes_on(relay: RunningEngine, caplog: pytest.LogCaptureFixture) -> None:
    first, second = await relay.call()

    def full(packet: bytes, now: float) -> None:
        raise OSError("no space left on device")

    transport_of(relay, "first").tap = full
    await still_talk(first, second)
    assert transport_of(relay, "first").tap is None
    assert "the tap of transport first has failed, and sees no more of it: OSError: no space left on device" in caplog.text
    await still_talk(first, second)


async def report_from_elsewhere(first: MediaPeer, relay: RunningEngine, number: int) -> None:
    away = first.another_path()
    for n in range(number):
        away.send(first.encrypted(rtcp_compound(SSRC, n), rtcp=True))
    async with asyncio.timeout(20):
        while await relay.taken_in() < number:  # noqa: ASYNC110 - the engine has no event for it
            await asyncio.sleep(0)


async def test_reports_from_an_address_that_is_not_validated_are_policed_like_others(relay: RunningEngine) -> None:
    """They are as authentic as those from the validated one, and the same number of them is too many."""
    first, second = await relay.call()
    first.send_rtcp(report := rtcp_compound(SSRC, 0))
    await second.receives(report)
    await report_from_elsewhere(first, relay, int(2 * RTCP_RATE))
    counted = await relay.counted()
    assert counted["dropped_policed"] > 0
    assert counted["packets_received"] + counted["dropped_policed"] == 2 * RTCP_RATE + 1

"""Packets of a peer whose address has changed: they cross at once, and the relay follows where the peer proves to be, only."""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.media.quality.counters import MediaCounters
from relay.media.routing.unvalidated import MAX_SENDERS, MAX_TRIED, MAX_TRIED_OF_HOST, UnvalidatedPackets
from relay.media.transport.path import MAX_ADDRESSES
from relay.media.transport.transport import Transport
from relay.rtp.packet import ssrc_of
from tests.fuzz.demultiplexer import Demultiplexer, socket_address
from tests.kit.media import (
    AUDIO,
    IPV4,
    IPV6,
    VIDEO,
    RunningEngine,
    connectivity_check,
    picture_loss_indication,
    rtcp_compound,
    rtp_packet,
    still_talk,
)
from tests.kit.wait import eventually
from tests.media.routing.moving import OURS, SOUND, THEIRS, a_call, falls_silent, media_in, moves, talk

# -- following --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [IPV4, IPV6])
async def test_a_peer_whose_address_changed_loses_nothing_and_is_followed(relay: RunningEngine, host: str) -> None:
    first, second = await a_call(relay, host)
    old = moves(relay, first)
    heard_before = len(media_in(old))
    packets = [rtp_packet(n, OURS, payload=SOUND) for n in range(100, 120)]
    for packet in packets:
        first.send_rtp(packet)
    await second.receives(*packets)
    await relay.counts("checks_answered")
    assert [path for path, _ in first.checks] == [first.path], "asked once, at the new address"
    await still_talk(first, second)
    assert len(media_in(first.path)) == 1
    assert len(media_in(old)) == heard_before, "nothing went to the old address any more"
    counted = await relay.counted()
    assert counted["packets_followed"] == 20, "and the last ones came by the plain path"
    assert "unknown_address" not in counted


async def test_a_check_that_does_not_nominate_does_not_keep_media_from_being_followed(relay: RunningEngine) -> None:
    """Firefox's, which by chance comes first from the new address, when the old one has just been heard."""
    first, second = await a_call(relay)
    first.path = first.another_path()
    first.path.send(bytes(check := connectivity_check(first.relay, nominates=False)))
    await first.answer_to(check)
    falls_silent(relay, first)
    first.send_rtp(packet := rtp_packet(100, OURS, payload=SOUND))
    await second.receives(packet)
    await relay.counts("checks_answered")
    second.send_rtp(packet := rtp_packet(100, THEIRS))
    await first.receives(packet)
    assert media_in(first.path)


async def test_an_unknown_stream_may_begin_at_an_address_that_was_checked_but_not_nominated(relay: RunningEngine) -> None:
    """Browsers send over a path that they are about to nominate a moment before they say so."""
    first, second = await a_call(relay)
    first.path = first.another_path()
    first.path.send(bytes(check := connectivity_check(first.relay, nominates=False)))
    await first.answer_to(check)
    first.send_rtp(packet := rtp_packet(7, 0xC0C0, payload=SOUND))
    await second.receives(packet)
    assert "unknown_address" not in await relay.counted()


async def test_a_peer_with_more_interfaces_than_routes_is_heard_at_each_that_it_has_checked(relay: RunningEngine) -> None:
    peer, other = await relay.peer("first"), await relay.peer("second")
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(other)
    await peer.check(nominates=False)
    peer.path = peer.another_path()
    for path in (peer.path, *(peer.another_path() for _ in range(MAX_ADDRESSES))):
        await peer.check(path, nominates=False)
    await relay.introduce(peer)
    peer.shake_hands()
    await peer.connected()
    await relay.says("TransportUp", peer)
    peer.send_rtp(packet := rtp_packet(1, OURS, payload=SOUND))
    await other.receives(packet)
    assert "unknown_address" not in await relay.counted()


async def test_dtls_is_taken_from_an_address_that_was_checked_and_from_no_other(relay: RunningEngine) -> None:
    first, _ = await a_call(relay)
    alert = bytes.fromhex("15fefd00000000000000000002015a")
    first.path = first.another_path()
    first.path.send(alert)
    await relay.counts("unknown_address")
    taken = (await relay.counted())["dtls_received"]
    first.path.send(bytes(check := connectivity_check(first.relay, nominates=False)))
    await first.answer_to(check)
    first.path.send(alert)
    await relay.counts("dtls_received", taken + 1)
    assert (await relay.counted())["unknown_address"] == 1


async def test_a_peer_that_only_listens_is_followed_by_its_reports(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    first.send_rtcp(rtcp_compound(0x5678))
    await second.receives(rtcp_compound(0x5678))
    moves(relay, first)
    for count in range(3):
        first.send_rtcp(report := rtcp_compound(0x5678, count))
        await second.receives(report)
    await relay.counts("checks_answered")
    second.send_rtp(packet := rtp_packet(500, THEIRS))
    await first.receives(packet)
    assert media_in(first.path)


async def test_what_the_new_address_sends_is_counted_like_any_other_packet(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    first.answers_checks = False
    before = await relay.counted()
    moves(relay, first)
    for n in range(100, 105):
        first.send_rtp(packet := rtp_packet(n, OURS))
        await second.receives(packet)
    counted = await relay.counted()
    assert counted["packets_received"] == before["packets_received"] + 5
    assert counted["packets_sent"] == before["packets_sent"] + 5
    stream = relay.engine._transports["first"].streams[OURS]
    assert stream.packets == 6


async def test_a_stream_that_had_only_reports_so_far_may_begin_at_the_new_address(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    first.send_rtcp(report := rtcp_compound(0x5678))
    await second.receives(report)
    moves(relay, first)
    first.send_rtp(packet := rtp_packet(1, 0x5678, payload=SOUND))
    await second.receives(packet)
    assert relay.engine._transports["first"].streams[0x5678].is_video


async def test_a_nack_from_the_new_address_is_answered_from_what_the_relay_holds(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    nack = struct.pack("!BBHIIHH", 0x81, 205, 3, OURS, THEIRS, 77, 0)
    second.send_rtp(lost := rtp_packet(77, THEIRS))
    await first.receives(lost)
    first.answers_checks = False
    moves(relay, first)
    first.send_rtcp(nack)
    await relay.counts("packets_resent")
    await relay.counts("nacks_answered")
    assert not second.packets


async def test_packets_of_a_new_address_wait_like_others_while_the_other_party_is_not_up(relay: RunningEngine) -> None:
    first, second = [await relay.peer(name) for name in ("first", "second")]
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first)
    first.send_rtp(one := rtp_packet(1))
    await relay.counts("packets_received")
    moves(relay, first)
    first.send_rtp(two := rtp_packet(2))
    await relay.counts("packets_received", 2)
    await relay.connect(second)
    await second.receives(one, two)


async def test_packets_of_a_new_address_are_dropped_while_the_transport_is_not_routed(relay: RunningEngine) -> None:
    first, _ = await a_call(relay)
    await relay.engine.unroute("call", ("first", "second"))
    moves(relay, first)
    first.send_rtp(rtp_packet(100, OURS, payload=SOUND))
    await relay.counts("dropped_unjoined")
    await relay.counts("checks_answered")


async def test_a_lost_check_is_sent_again(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    first.answers_checks = False
    moves(relay, first)
    numbers = iter(range(100, 10_000))

    async def asked_again() -> bool:
        first.send_rtp(rtp_packet(next(numbers), OURS, payload=SOUND))
        return len(first.checks) > 1

    await eventually(asked_again, "a second check")
    (path, check), (_, again) = first.checks[:2]
    assert check.transaction_id == again.transaction_id
    path.send(first.answer_check(check))
    await relay.counts("checks_answered")
    second.packets.clear()
    await still_talk(first, second)
    assert media_in(first.path)


async def test_a_peer_is_followed_after_its_own_ice_restart(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    first.relay = await relay.engine.restart_transport("first")
    first.ufrag, first.pwd = "again", "q" * 24
    await relay.engine.update_transport("first", first.parameters, (AUDIO, VIDEO))
    await first.check()
    moves(relay, first)
    first.send_rtp(packet := rtp_packet(100, OURS, payload=SOUND))
    await second.receives(packet)
    await relay.counts("checks_answered")
    await still_talk(first, second)
    assert media_in(first.path)


async def test_a_peer_is_followed_from_address_to_address(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    for n in range(12):
        moves(relay, first)
        first.send_rtp(packet := rtp_packet(1000 + n, OURS, payload=SOUND))
        await second.receives(packet)
        await relay.counts("checks_answered", n + 1)
        await still_talk(first, second)
        assert media_in(first.path)


# -- bounds -----------------------------------------------------------------------------------------------------------


def spoiled(number: int) -> bytes:
    """A packet that only looks like one of the first peer's."""
    return rtp_packet(10_000 + number, OURS, payload=SOUND)


def take(unvalidated: UnvalidatedPackets, datagram: bytes, host: bytes) -> Transport | None:
    senders = unvalidated.senders(ssrc_of(datagram))
    return unvalidated.receive(senders, datagram, host, 100.0, []) if senders else None


async def test_a_flood_is_processed_up_to_the_limits_of_a_host_and_of_all_hosts(relay: RunningEngine) -> None:
    first, _ = await a_call(relay)
    counters = MediaCounters()
    unvalidated = UnvalidatedPackets(relay.engine._transports, counters)
    for n in range(MAX_TRIED_OF_HOST + 10):
        take(unvalidated, spoiled(n), b"one")
    assert (counters["srtp_unauthentic"], counters["strays_limited"]) == (MAX_TRIED_OF_HOST, 10)
    assert take(unvalidated, first.encrypted(rtp_packet(100, OURS)), b"another") is relay.engine._transports["first"]
    for n in range(MAX_TRIED):
        take(unvalidated, spoiled(n), n.to_bytes(4))
    assert counters["srtp_unauthentic"] == MAX_TRIED - 1
    assert take(unvalidated, first.encrypted(rtp_packet(101, OURS)), b"a third") is None
    assert len(unvalidated._tried) <= MAX_TRIED
    unvalidated.tick()
    assert take(unvalidated, first.encrypted(rtp_packet(102, OURS)), b"one") is not None


async def test_packets_with_an_unknown_ssrc_do_not_use_up_the_limit(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    stranger = first.another_path()
    for n in range(MAX_TRIED_OF_HOST + 1):
        stranger.send(rtp_packet(n, 0xDEAD))
    await relay.counts("unknown_address", MAX_TRIED_OF_HOST + 1)
    stranger.send(first.encrypted(packet := rtp_packet(100, OURS)))
    await second.receives(packet)


async def test_an_ssrc_that_very_many_use_is_no_hint(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    for n in range(MAX_SENDERS):
        peer, other = [await relay.peer(f"{name}{n}", router=f"call{n}") for name in ("a", "b")]
        await relay.engine.route(f"call{n}", (peer.transport_id, other.transport_id))
        await relay.connect(peer, other)
        peer.send_rtcp(picture_loss_indication(1))
        await other.receives(picture_loss_indication(1))
    unvalidated = UnvalidatedPackets(relay.engine._transports, MediaCounters())
    assert len(unvalidated.senders(1)) == MAX_SENDERS
    first.send_rtcp(picture_loss_indication(1))
    await second.receives(picture_loss_indication(1))
    unvalidated.tick()
    assert not unvalidated.senders(1)
    assert unvalidated.senders(OURS)


async def test_the_right_one_of_several_that_share_an_ssrc_is_found(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    third, fourth = [await relay.peer(name, router="other") for name in ("third", "fourth")]
    await relay.engine.route("other", ("third", "fourth"))
    await relay.connect(third, fourth)
    await talk(third, fourth)
    for peer, other in ((first, second), (third, fourth)):
        moves(relay, peer)
        peer.send_rtp(packet := rtp_packet(100, OURS, payload=SOUND))
        await other.receives(packet)
    await relay.counts("checks_answered", 2)
    assert "srtp_unauthentic" not in await relay.counted(), "what is one's is not the other's fault"


@st.composite
def packets_of_any_shape(draw: st.DrawFn) -> bytes:
    """RTP and RTCP of any length and content, half of them with an SSRC that the relay knows."""
    second = draw(st.integers(0, 255))
    body = bytearray(draw(st.binary(min_size=10, max_size=1890)))
    if draw(st.booleans()):
        at = 2 if 191 < second < 224 else 6
        body[at : at + 4] = draw(st.sampled_from([0xAAAA, 0xBBBB])).to_bytes(4)
    return bytes([draw(st.integers(128, 191)), second]) + bytes(body)


@pytest.mark.long
def test_nothing_that_a_stranger_sends_disturbs_a_call_or_goes_uncounted() -> None:
    demultiplexer = Demultiplexer()
    engine = demultiplexer.relay.engine
    demultiplexer.still_talk()

    @settings(max_examples=3 * settings().max_examples, deadline=None)
    @given(st.lists(st.tuples(st.ip_addresses(), st.integers(1, 65_535), packets_of_any_shape()), max_size=20))
    def feed(datagrams: list[tuple[IPv4Address | IPv6Address, int, bytes]]) -> None:
        demultiplexer.still_talk([(socket_address((str(host), port)), datagram) for host, port, datagram in datagrams])
        demultiplexer.drain()
        demultiplexer.adds_up()

    try:
        feed()
        counted = demultiplexer.counted()
        assert counted["srtp_unauthentic"] > 100, "the packets were not hostile enough"
        assert counted["checks_sent"] == 0
        assert not engine._validation._probes._by_transaction
    finally:
        demultiplexer.close()

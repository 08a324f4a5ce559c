"""Packets of a peer whose address has changed: they cross at once, and the relay follows where the peer proves to be, only."""

import asyncio
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from aioice import stun
from aiortc import RTCIceCandidate, RTCIceGatherer, RTCIceParameters, RTCIceTransport
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.media.api import DtlsRole, Fingerprint, TransportParameters
from relay.media.net.addresses import local_addresses
from relay.media.quality.counters import MediaCounters
from relay.media.routing.unvalidated import MAX_SENDERS, MAX_TRIED, MAX_TRIED_OF_HOST, UnvalidatedPackets
from relay.media.transport.ice import FOLLOW_AFTER_SILENCE
from relay.media.transport.transport import VIDEO_LOST_AFTER, Transport
from relay.rtp.packet import ssrc_of
from tests.fuzz.demultiplexer import Demultiplexer, socket_address
from tests.kit.impair import ImpairedPath
from tests.kit.media import (
    AUDIO,
    CERTIFICATE,
    IPV4,
    IPV6,
    VIDEO,
    Cipher,
    MediaPeer,
    Path,
    RunningEngine,
    connectivity_check,
    picture_loss_indication,
    rtcp_compound,
    rtp_packet,
    still_talk,
)
from tests.kit.wait import eventually

SOUND = bytes(150)
"""What a packet of sound carries: it is longer than a check."""


OURS, THEIRS = 0xA0A0, 0xB0B0
"""SSRCs of the two parties of a call; `still_talk` has its own."""


async def a_call(relay: RunningEngine, host: str = IPV4) -> tuple[MediaPeer, MediaPeer]:
    """Two peers that have talked."""
    first, second = await relay.call(host, host)
    await talk(first, second)
    for peer in (first, second):
        peer.checks.clear()  # those that asked for its consent to begin with
    return first, second


async def talk(first: MediaPeer, second: MediaPeer) -> None:
    first.send_rtp(there := rtp_packet(1, OURS))
    second.send_rtp(back := rtp_packet(1, THEIRS))
    await second.receives(there)
    await first.receives(back)


def falls_silent(relay: RunningEngine, peer: MediaPeer) -> None:
    """Let time pass, for the address that the peer had."""
    relay.engine._transports[peer.transport_id].destination.last_seen -= FOLLOW_AFTER_SILENCE


def moves(relay: RunningEngine, peer: MediaPeer) -> Path:
    """Give the peer another address, of which it does not know itself: it checks nothing. Its old one."""
    old, peer.path = peer.path, peer.another_path()
    falls_silent(relay, peer)
    return old


def media_in(path: Path) -> list[bytes]:
    return [one for one in path.received if one[0] > 127]


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


async def test_a_check_that_does_not_nominate_stands_in_nobodys_way(relay: RunningEngine) -> None:
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


async def test_a_stream_that_nobody_knows_may_begin_at_an_address_that_was_merely_checked(relay: RunningEngine) -> None:
    """Browsers send over a path that they are about to nominate a moment before they say so."""
    first, second = await a_call(relay)
    first.path = first.another_path()
    first.path.send(bytes(check := connectivity_check(first.relay, nominates=False)))
    await first.answer_to(check)
    first.send_rtp(packet := rtp_packet(7, 0xC0C0, payload=SOUND))
    await second.receives(packet)
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


# -- a real ICE agent, behind a real NAT ------------------------------------------------------------------------------


class FullAgent:
    """A client whose ICE is aioice's, below aiortc's DTLS; it believes that the relay is where the NAT is.

    Attributes:
        heard: RTP that arrived.
    """

    def __init__(self, nat: ImpairedPath) -> None:
        self._nat = nat
        self._gatherer = RTCIceGatherer(iceServers=[])
        self._ice = RTCIceTransport(self._gatherer)
        self._ice._connection.ice_controlling = True
        self._dtls = RTCDtlsTransport(self._ice, [CERTIFICATE])
        self._dtls._set_role("client")
        self.heard: list[bytes] = []

    async def parameters(self) -> TransportParameters:
        await self._gatherer.gather()
        own = self._gatherer.getLocalParameters()
        assert own.usernameFragment is not None and own.password is not None
        prints = tuple(Fingerprint(one.algorithm, one.value) for one in CERTIFICATE.getFingerprints())
        return TransportParameters(own.usernameFragment, own.password, prints, DtlsRole.ACTIVE)

    async def connect(self, relay: TransportParameters) -> None:
        host, port = self._nat.address
        await self._ice.addRemoteCandidate(RTCIceCandidate(1, "1", host, port, 1, "udp", "host"))
        await self._ice.addRemoteCandidate(None)
        await self._ice.start(RTCIceParameters(usernameFragment=relay.ufrag, password=relay.pwd, iceLite=True))
        await self._dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(one.algorithm, one.value) for one in relay.fingerprints]))
        self._dtls._handle_rtp_data = self._hear  # type: ignore[method-assign]
        self._cipher = Cipher(self._dtls._tx_srtp)

    async def send(self, packet: bytes) -> None:
        await self._ice._send(self._cipher.protect(packet))

    async def close(self) -> None:
        await self._dtls.stop()
        await self._ice.stop()

    async def _hear(self, data: bytes, arrival_time_ms: int) -> None:
        self.heard.append(data)


async def test_a_full_ice_agent_is_followed_when_its_nat_forgets_it() -> None:
    host = local_addresses()[0]
    async with RunningEngine.started(host) as relay, asyncio.timeout(20):
        ours = await relay.engine.open_transport("call", "first")
        second = await relay.peer("second", host=host)
        await relay.engine.route("call", ("first", "second"))
        await relay.connect(second)
        async with ImpairedPath.to((ours.candidates[0].address, ours.candidates[0].port), 1) as nat:
            first = FullAgent(nat)
            await relay.engine.connect_transport("first", await first.parameters(), (AUDIO, VIDEO))
            await first.connect(ours)
            await first.send(packet := rtp_packet(1))
            await second.receives(packet)
            nat.forget()
            relay.engine._transports["first"].destination.last_seen -= FOLLOW_AFTER_SILENCE
            await first.send(packet := rtp_packet(2, payload=SOUND))
            await second.receives(packet)
            await relay.counts("checks_answered")
            second.send_rtp(packet := rtp_packet(1, THEIRS))
            await eventually(lambda: first.heard == [packet], "the other party is heard through the new mapping")
            await first.close()


# -- who may not be followed ------------------------------------------------------------------------------------------


async def test_a_peer_is_left_where_it_is_while_its_old_address_is_alive(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    home, away = first.path, first.another_path()
    for n in range(100, 200, 2):
        first.send_rtp(here := rtp_packet(n, OURS, payload=SOUND))
        away.send(first.encrypted(there := rtp_packet(n + 1, OURS, payload=SOUND)))
        await eventually(lambda: len(second.packets) == 2, "what took another way arrives too")
        assert sorted(second.packets) == sorted([here, there])
        second.packets.clear()
    await still_talk(first, second)
    assert not away.received, "it is not even asked"
    assert media_in(home)


async def test_a_peer_that_does_not_answer_is_heard_and_sent_nothing(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    first.answers_checks = False
    moves(relay, first)
    for n in range(100, 150):
        first.send_rtp(packet := rtp_packet(n, OURS, payload=SOUND))
        second.send_rtp(rtp_packet(n, THEIRS))
        await second.receives(packet)
    assert not media_in(first.path)
    assert first.checks
    await eventually(lambda: len(first.packets) == 50, "what was sent to the old address is there")
    first.packets.clear()
    relay.engine._transports[first.transport_id].destination.last_seen -= VIDEO_LOST_AFTER
    first.answers_checks = True
    await first.check()
    await first.receives(picture_loss_indication(OURS))
    await second.receives(picture_loss_indication(THEIRS))
    await still_talk(first, second)
    assert media_in(first.path), "until it answers"


async def test_a_packet_that_was_seen_before_gets_nothing_whoever_sends_it_again(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    datagram = first.send_rtp(packet := rtp_packet(100, OURS, payload=SOUND))
    await second.receives(packet)
    falls_silent(relay, first)
    thief = first.another_path()
    for _ in range(10):
        thief.send(datagram)
    await relay.counts("srtp_replayed", 10)
    assert not thief.received
    assert not second.packets
    await still_talk(first, second)


async def test_a_packet_that_was_caught_on_its_way_gets_one_check_that_only_the_peer_could_answer(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    first.answers_checks = False
    home, thief = first.path, first.another_path()
    falls_silent(relay, first)
    thief.send(caught := first.encrypted(packet := rtp_packet(100, OURS, payload=SOUND)))
    await second.receives(packet)
    await eventually(lambda: first.checks, "the check")
    [(_, check)] = first.checks
    assert [len(one) for one in thief.received] == [len(bytes(check))]
    assert len(bytes(check)) <= len(caught), "no more than it sent"
    for counter, answer in (
        ("stun_unauthentic", first.answer_check(check, pwd="a guess" * 4)),
        ("stun_unauthentic", first.answer_check(check, pwd=first.relay.pwd)),
        ("stun_ignored", first.answer_check(check, transaction_id=bytes(12))),
        ("stun_ignored", error_to(check, first.pwd)),
    ):
        before = (await relay.engine.counters())[counter]
        thief.send(answer)
        await relay.counts(counter, before + 1)
    falls_silent(relay, first)
    second.send_rtp(rtp_packet(100, THEIRS))
    await first.receives(rtp_packet(100, THEIRS))
    assert media_in(home)
    assert not media_in(thief)


async def test_an_authentic_answer_from_another_address_than_was_asked_moves_nothing(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    first.answers_checks = False
    moves(relay, first)
    first.send_rtp(packet := rtp_packet(100, OURS, payload=SOUND))
    await second.receives(packet)
    await eventually(lambda: first.checks, "the check")
    elsewhere = first.another_path()
    elsewhere.send(first.answer_check(first.checks[0][1]))
    await relay.counts("stun_ignored")
    second.send_rtp(rtp_packet(100, THEIRS))
    await first.receives(rtp_packet(100, THEIRS))
    assert not media_in(elsewhere)
    assert not media_in(first.path)


def error_to(check: stun.Message, pwd: str) -> bytes:
    error = stun.Message(stun.Method.BINDING, stun.Class.ERROR, check.transaction_id, {"ERROR-CODE": (401, "Unauthorized")})
    error.add_message_integrity(pwd.encode())
    return bytes(error)


async def test_an_old_address_that_is_alive_again_when_the_answer_comes_stays_selected(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    first.answers_checks = False
    home, away = first.path, first.another_path()
    falls_silent(relay, first)
    away.send(first.encrypted(packet := rtp_packet(100, OURS, payload=SOUND)))
    await second.receives(packet)
    await eventually(lambda: first.checks, "the check")
    first.send_rtp(packet := rtp_packet(101, OURS))
    away.send(first.answer_check(first.checks[0][1]))
    await second.receives(packet)
    await relay.counts("checks_answered")
    await still_talk(first, second)
    assert media_in(home)
    assert not media_in(away)


async def test_packets_that_are_not_authentic_get_nothing(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    falls_silent(relay, first)
    stranger = first.another_path()
    genuine = first.encrypted(rtp_packet(100, OURS, payload=SOUND))
    stranger.send(genuine[:-1] + bytes([genuine[-1] ^ 1]))
    stranger.send(rtp_packet(101, OURS, payload=SOUND))
    stranger.send(rtcp_compound(OURS))
    stranger.send(second.encrypted(rtp_packet(102, OURS, payload=SOUND)))
    await relay.counts("srtp_unauthentic", 4)
    stranger.send(rtp_packet(1, 0xDEAD))
    stranger.send(picture_loss_indication(OURS))
    await relay.counts("unknown_address", 2)
    assert not stranger.received
    first.send_rtp(packet := rtp_packet(100, OURS, payload=SOUND))
    await relay.counts("packets_received", 3)
    assert second.packets == [packet]


async def test_a_packet_of_a_transport_that_was_closed_is_nobodys(relay: RunningEngine) -> None:
    first, second = await a_call(relay)
    moves(relay, first)
    first.answers_checks = False
    first.send_rtp(packet := rtp_packet(100, OURS, payload=SOUND))
    await second.receives(packet)
    await eventually(lambda: first.checks, "the check")
    await relay.engine.close_transport("first")
    first.send_rtp(rtp_packet(101, OURS, payload=SOUND))
    await relay.counts("unknown_address")
    first.path.send(first.answer_check(first.checks[0][1]))
    await relay.counts("stun_ignored")


async def test_an_address_of_another_live_transport_is_not_taken_over_by_an_answer(relay: RunningEngine) -> None:
    """The peer of one call answers from where the peer of another has proved to be meanwhile."""
    first, _ = await a_call(relay)
    first.answers_checks = False
    moves(relay, first)
    first.send_rtp(rtp_packet(100, OURS, payload=SOUND))
    await eventually(lambda: first.checks, "the check")
    owner = await relay.peer("owner", router="other")
    first.path.send(bytes(connectivity_check(owner.relay)))
    await relay.counts("stun_checks", 3)
    first.path.send(first.answer_check(first.checks[0][1]))
    await relay.counts("stun_address_taken")


# -- bounds -----------------------------------------------------------------------------------------------------------


def spoiled(number: int) -> bytes:
    """A packet that only looks like one of the first peer's."""
    return rtp_packet(10_000 + number, OURS, payload=SOUND)


def take(unvalidated: UnvalidatedPackets, datagram: bytes, host: bytes) -> Transport | None:
    senders = unvalidated.senders(ssrc_of(datagram))
    return unvalidated.receive(senders, datagram, host, 100.0) if senders else None


async def test_a_flood_is_looked_at_no_more_than_told_for_a_host_and_for_all(relay: RunningEngine) -> None:
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


async def test_packets_that_nobody_could_have_sent_use_up_nothing(relay: RunningEngine) -> None:
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

    @settings(max_examples=300, deadline=None)
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

"""One transport: where its media goes, what it keeps for its peer, and when it counts as gone."""

from dataclasses import dataclass, field

import pytest
from aiortc import RTCCertificate

from relay.media.api import MediaEvent, TransportClosed, TransportDown, TransportReport, TransportUp
from relay.media.quality.counters import MediaCounters
from relay.media.transport.buffers import MAX_BUFFERED
from relay.media.transport.ice import ROAM_AFTER_SILENCE
from relay.media.transport.path import MAX_ADDRESSES
from relay.media.transport.timing import CONSENT_SILENCE, QUIET_SILENCE
from relay.media.transport.transport import Transport
from tests.kit.media import (
    CERTIFICATE,
    RunningEngine,
    connectivity_check,
    picture_loss_indication,
    rtcp_compound,
    rtp_packet,
    still_talk,
)
from tests.kit.wait import eventually

VP8, RTX, H264, OPUS = 96, 97, 98, 111


@dataclass(eq=False)
class Mailbox:
    """A remote address that only takes notes."""

    name: str
    sent: list[bytes] = field(default_factory=list)
    forgotten: bool = False
    transport: Transport | None = None
    last_seen: float = 0.0
    allowance: int = 0

    def send(self, datagram: bytes) -> None:
        self.sent.append(datagram)

    def forget(self) -> None:
        self.forgotten = True


@pytest.fixture
def certificate() -> RTCCertificate:
    return CERTIFICATE


@pytest.fixture
def transport(certificate: RTCCertificate) -> Transport:
    events: list[MediaEvent] = []
    return Transport("one", certificate, events.append, MediaCounters(), 0.0)


# -- addresses, in explicit time --------------------------------------------------------------------------------------


def test_the_first_address_that_is_validated_is_used_whether_it_is_nominated_or_not(transport: Transport) -> None:
    transport.checked(home := Mailbox("home"), 0, 100.0, nominates=False)
    assert transport.destination is home


def test_a_nominated_address_is_used_at_once(transport: Transport) -> None:
    transport.checked(home := Mailbox("home"), 0, 100.0, nominates=True)
    transport.checked(away := Mailbox("away"), 0, 100.0, nominates=True)
    assert transport.destination is away
    transport.checked(home, 0, 100.0, nominates=True)
    assert transport.destination is home


def test_an_address_that_is_not_nominated_is_used_once_the_old_one_has_been_silent_long_enough(transport: Transport) -> None:
    transport.checked(home := Mailbox("home"), 0, 100.0, nominates=True)
    transport.checked(away := Mailbox("away"), 0, 100.0 + ROAM_AFTER_SILENCE, nominates=False)
    assert transport.destination is home
    home.last_seen = 200.0  # a packet came
    transport.checked(away, 0, 200.0 + ROAM_AFTER_SILENCE, nominates=False)
    assert transport.destination is home
    transport.checked(away, 0, 200.0 + ROAM_AFTER_SILENCE + 0.01, nominates=False)
    assert transport.destination is away


def test_what_comes_from_a_new_address_does_not_make_the_old_one_look_alive(transport: Transport) -> None:
    transport.checked(Mailbox("home"), 0, 100.0, nominates=True)
    away = Mailbox("away")
    for tenth in range(1, 20):
        transport.checked(away, 0, 100.0 + tenth / 10, nominates=False)
        away.last_seen = 100.05 + tenth / 10
    assert transport.destination is away, "home has been silent for 1.9 s"


def test_checks_from_the_old_address_keep_it_in_use(transport: Transport) -> None:
    home, away = Mailbox("home"), Mailbox("away")
    for tenth in range(50):
        transport.checked(home, 0, 100.0 + tenth / 10, nominates=tenth == 0)
        transport.checked(away, 0, 100.05 + tenth / 10, nominates=False)
    assert transport.destination is home


def test_an_address_lost_to_another_transport_does_not_look_alive_because_of_that_one(transport: Transport) -> None:
    transport.checked(home := Mailbox("home"), 0, 100.0, nominates=True)
    other = Transport("other", CERTIFICATE, lambda _: None, MediaCounters(), 0.0)
    transport.lose_address(home)
    other.checked(Mailbox("home"), 0, 110.0, nominates=True)
    transport.checked(away := Mailbox("away"), 0, 110.5, nominates=False)
    assert transport.destination is away


def test_the_oldest_address_is_forgotten_when_there_are_too_many_but_never_the_one_in_use(transport: Transport) -> None:
    boxes = [Mailbox(str(n)) for n in range(MAX_ADDRESSES + 2)]
    for box in boxes:
        transport.checked(box, 0, 100.0, nominates=box.name == "0")
    assert transport.destination is boxes[0]
    assert [box.name for box in boxes if box.forgotten] == ["1", "2"]


async def test_every_address_is_forgotten_when_a_transport_closes(transport: Transport) -> None:
    boxes = [Mailbox(str(n)) for n in range(MAX_ADDRESSES)]
    for box in boxes:
        transport.checked(box, 0, 100.0, nominates=True)
    await transport.close()
    assert all(box.forgotten for box in boxes)


async def test_an_address_lost_to_another_transport_is_not_taken_from_it_again_on_close(transport: Transport) -> None:
    transport.checked(box := Mailbox("home"), 0, 100.0, nominates=True)
    transport.lose_address(box)
    await transport.close()
    assert not box.forgotten


# -- packets that come early ------------------------------------------------------------------------------------------


async def test_packets_wait_for_the_other_party_and_then_arrive_in_order(relay: RunningEngine) -> None:
    first, second = await relay.peer("first"), await relay.peer("second")
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first)
    early = [rtcp_compound(packets=n) if n % 7 == 0 else rtp_packet(n) for n in range(MAX_BUFFERED)]
    for n, packet in enumerate(early):
        first.path.send(first.encrypted(packet, rtcp=n % 7 == 0))
    await relay.counts("packets_received", MAX_BUFFERED)
    await relay.connect(second)
    await second.receives(*early)
    assert not first.packets, "nothing was lost: no keyframe was asked for"
    await relay.counts("packets_held", MAX_BUFFERED)
    await relay.counts("packets_sent", MAX_BUFFERED)
    await still_talk(first, second)


async def test_an_overflow_of_the_buffer_drops_it_and_requests_a_key_frame(relay: RunningEngine) -> None:
    first, second = await relay.peer("first"), await relay.peer("second")
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first)
    for n in range(100):
        first.send_rtp(rtp_packet(n, 10, payload_type=VP8))
        first.send_rtp(rtp_packet(n, 11, payload_type=RTX))
        first.send_rtp(rtp_packet(n, 12, payload_type=OPUS))
    await relay.counts("dropped_overflow", 300)
    await relay.connect(second)
    await first.receives(picture_loss_indication(10))
    await still_talk(first, second)
    counted = await relay.counted()
    assert counted["keyframes_requested"] == 1
    assert "packets_held" not in counted


async def test_a_key_frame_is_requested_of_each_video_stream(relay: RunningEngine) -> None:
    first, second = await relay.peer("first"), await relay.peer("second")
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first)
    for n in range(100):
        for ssrc, payload_type in ((10, VP8), (20, H264), (30, VP8)):
            first.send_rtp(rtp_packet(n, ssrc, payload_type=payload_type))
    await relay.counts("dropped_overflow", 300)
    await relay.connect(second)
    await eventually(lambda: len(first.packets) == 3, "three requests")
    assert sorted(first.packets) == sorted(picture_loss_indication(ssrc) for ssrc in (10, 20, 30))


async def test_a_key_frame_is_requested_though_its_stream_began_with_a_report(relay: RunningEngine) -> None:
    first, second = await relay.peer("first"), await relay.peer("second")
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first)
    first.send_rtcp(rtcp_compound(10))
    for n in range(MAX_BUFFERED):
        first.send_rtp(rtp_packet(n, 10, payload_type=VP8))
    await relay.counts("dropped_overflow", MAX_BUFFERED + 1)
    await relay.connect(second)
    await first.receives(picture_loss_indication(10))


async def test_what_waits_arrives_also_when_the_transports_are_routed_late(relay: RunningEngine) -> None:
    """The party that rang first is replaced by another one, which is up already."""
    first, second, third = [await relay.peer(name) for name in ("first", "second", "third")]
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first, third)
    early = [rtp_packet(n) for n in range(10)]
    for packet in early:
        first.send_rtp(packet)
    await relay.counts("packets_received", 10)
    await relay.engine.close_transport(second.transport_id)
    await relay.engine.route("call", ("first", "third"))
    await third.receives(*early)
    await still_talk(first, third)


# -- silence ----------------------------------------------------------------------------------------------------------


def looked_at(relay: RunningEngine, transport: Transport, now: float) -> list[MediaEvent]:
    """What is said at that moment, but for reports."""
    before = len(relay.events)
    transport.tick(now)
    return [event for event in relay.events[before:] if not isinstance(event, TransportReport)]


@pytest.mark.parametrize(("media", "patience"), [(True, CONSENT_SILENCE), (False, QUIET_SILENCE)], ids=["media", "checks"])
async def test_silence_is_announced_once_and_so_is_the_return(relay: RunningEngine, media: bool, patience: float) -> None:
    """After five seconds where media came, after twelve where nothing but checks did."""
    first, _ = await relay.call()
    first.answers_checks = False
    transport = relay.engine._transports["first"]
    # No await from here on: the engine's own clock does not tick in between.
    last = transport.path.selected.last_seen
    if media:
        for _ in range(3):
            last = transport.path.selected.last_seen = last + 1
            assert not looked_at(relay, transport, last + 0.5)
    for second in range(1, int(patience) + 1):
        assert not looked_at(relay, transport, last + second)
    assert looked_at(relay, transport, last + patience + 0.1) == [TransportDown("first")]
    assert not looked_at(relay, transport, last + patience + 1)
    assert not looked_at(relay, transport, last + 25)
    transport.path.selected.last_seen = last + 25
    assert looked_at(relay, transport, last + 26) == [TransportUp("first")]
    assert not looked_at(relay, transport, last + 27)
    assert looked_at(relay, transport, last + 29 + patience) == [TransportDown("first")]


@pytest.mark.parametrize("silence", [0.5, 1.5], ids=["short", "long"])
async def test_key_frames_are_requested_both_ways_at_another_address_after_a_silence(
    relay: RunningEngine, silence: float
) -> None:
    first, second = await relay.call()
    for peer, other in ((first, second), (second, first)):
        peer.send_rtp(rtp_packet(1, 10, payload_type=VP8))
        await other.receives(rtp_packet(1, 10, payload_type=VP8))
    relay.engine._transports[first.transport_id].destination.last_seen -= silence
    first.path = first.another_path()
    first.path.send(bytes(check := connectivity_check(first.relay, nominates=True)))
    await first.answer_to(check)
    if silence > 1:
        await first.receives(picture_loss_indication(10))
        await second.receives(picture_loss_indication(10))
    else:
        second.send_rtp(rtp_packet(2, 10, payload_type=VP8))
        await first.receives(rtp_packet(2, 10, payload_type=VP8))
        assert picture_loss_indication(10) not in first.packets + second.packets


async def test_a_check_or_a_packet_ends_the_silence(relay: RunningEngine) -> None:
    first, second = await relay.call()
    transport = relay.engine._transports["first"]
    for send in (lambda: first.path.send(bytes(connectivity_check(first.relay))), lambda: first.send_rtp(rtp_packet(1))):
        before, taken = transport.destination.last_seen, await relay.taken_in()
        transport.destination.last_seen = before - 100
        send()
        await relay.takes_in(taken + 1)
        assert transport.destination.last_seen >= before
    await second.receives(rtp_packet(1))


async def test_what_is_not_authentic_does_not_end_the_silence(relay: RunningEngine) -> None:
    first, _ = await relay.call()
    transport = relay.engine._transports["first"]
    transport.destination.last_seen = silent_since = transport.destination.last_seen - 100
    first.path.send(rtp_packet(1, payload=bytes(50)))
    first.path.send(rtcp_compound() + bytes(20))
    first.path.send(bytes(connectivity_check(first.relay, pwd="wrong" * 5)))
    first.path.send(b"\x16\xfe\xfd" + bytes(40))
    await relay.counts("stun_unauthentic")
    assert transport.destination.last_seen == silent_since


async def test_nothing_is_said_of_a_transport_that_was_never_up_or_is_gone(relay: RunningEngine) -> None:
    waiting, gone = await relay.peer("waiting"), await relay.peer("gone", router="other")
    await waiting.check()
    await relay.connect(gone)
    await gone.say_goodbye()
    closed = await relay.says("TransportClosed", gone)
    assert closed == TransportClosed("gone", "closed")
    before = list(relay.events)
    for transport in relay.engine._transports.values():
        transport.tick(1e9)
    assert relay.events == before

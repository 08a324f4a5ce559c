"""What may be sent where, in explicit time: before an address is proven, and after its consent has run out."""

import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from aioice import stun

from relay.media.api import CaptureEnded
from relay.media.quality.counters import MediaCounters
from relay.media.transport.consent import CONSENT_LIFETIME
from relay.media.transport.ice import IceAgent, IceCredentials
from relay.media.transport.path import AMPLIFICATION, MAX_WAITING, Path
from relay.media.transport.transport import Transport
from tests.kit.media import MediaPeer, RunningEngine, picture_loss_indication, rtp_packet, still_talk
from tests.kit.wait import eventually

PWD = "p" * 24


@dataclass(eq=False)
class Mailbox:
    """A remote address that only takes notes."""

    sent: list[bytes] = field(default_factory=list)
    transport: Any = None
    last_seen: float = 0.0
    allowance: int = 0

    def send(self, datagram: bytes) -> None:
        self.sent.append(datagram)

    def forget(self) -> None:
        pass


@pytest.fixture
def path() -> Path:
    return Path(object(), MediaCounters())


@pytest.fixture
def ice() -> IceAgent:
    made = IceAgent()
    made.peer = IceCredentials("theirs", PWD)
    return made


def answer_to(check: bytes) -> stun.Message:
    answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, stun.parse_message(check).transaction_id)
    answer.add_message_integrity(PWD.encode())
    return stun.parse_message(bytes(answer))


def test_dtls_to_an_unproven_address_waits_for_what_comes_from_there(path: Path) -> None:
    path.checked(box := Mailbox(), 250, 0.0, nominates=True)
    for number in range(4):
        path.send_dtls(bytes([number]) * 100)
    assert len(box.sent) == 2
    path.received(box, 34)
    assert len(box.sent) == 3
    path.confirmed(1.0)
    assert [one[0] for one in box.sent] == [0, 1, 2, 3], "all of it, in its order"


def test_what_comes_from_another_address_allows_nothing_at_the_selected_one(path: Path) -> None:
    path.checked(box := Mailbox(), 150, 0.0, nominates=True)
    path.send_dtls(bytes(100))
    path.send_dtls(bytes(100))
    path.received(Mailbox(), 10_000)
    assert len(box.sent) == 1


def test_only_so_much_waits(path: Path) -> None:
    path.checked(box := Mailbox(), 0, 0.0, nominates=True)
    for _ in range(MAX_WAITING + 5):
        path.send_dtls(bytes(100))
    path.confirmed(1.0)
    assert len(box.sent) == MAX_WAITING
    assert path._counters["dropped_unvalidated"] == 5


def test_the_question_itself_counts_as_sent(path: Path, ice: IceAgent) -> None:
    path.checked(box := Mailbox(), AMPLIFICATION * 20, 0.0, nominates=True)
    path.ask(ice, 0.0)
    assert not box.sent
    path.checked(box, AMPLIFICATION * 20, 1.0, nominates=True)
    path.ask(ice, 1.0)
    [check] = box.sent
    path.send_dtls(bytes(60))
    assert box.sent == [check], "what was left is less"
    assert path.consented(answer_to(check), box, 1.5)
    assert len(box.sent) == 2


def passes(transport: Transport, seconds: float) -> None:
    """Let so much time pass since the peer last answered, in which it went on to send."""
    granted_at = transport.path.consent.granted_at
    assert granted_at is not None
    transport.path.consent.granted_at = granted_at - seconds
    transport.tick(time.monotonic())


async def a_quiet_call(relay: RunningEngine) -> tuple[MediaPeer, MediaPeer]:
    first, second = await relay.call()
    for one, other in ((first, second), (second, first)):
        one.send_rtp(packet := rtp_packet(1, 10))
        await other.receives(packet)
        one.answers_checks = False
    return first, second


async def test_a_peer_that_answers_nothing_for_thirty_seconds_gets_nothing_more_until_it_answers(relay: RunningEngine) -> None:
    first, second = await a_quiet_call(relay)
    transport = relay.engine._transports["first"]
    passes(transport, CONSENT_LIFETIME - 5)
    second.send_rtp(packet := rtp_packet(2, 10))
    await first.receives(packet)
    passes(transport, 10)
    assert type(relay.events[-1]).__name__ == "TransportDown"
    for n in range(3, 13):
        second.send_rtp(rtp_packet(n, 10))
    await relay.counts("dropped_unconsented", 10)
    first.send_rtp(packet := rtp_packet(13, 10))
    await second.receives(packet)
    assert not first.packets
    first.answers_checks = True
    await consents(relay, first)
    await second_hears_again(first, second)
    counted = await relay.counted()
    assert counted["consents_expired"] == 1


async def consents(relay: RunningEngine, peer: MediaPeer) -> None:
    """The peer checks, and answers what it is asked for that reason."""
    before = (await relay.counted())["consent_checks_answered"]

    async def answered() -> bool:
        await peer.check(nominates=False)
        return (await relay.counted())["consent_checks_answered"] > before

    await eventually(answered, "the peer has answered")


async def second_hears_again(first: MediaPeer, second: MediaPeer) -> None:
    """Media crosses both ways, the number of its SRTP index having gone on."""
    second.send_rtp(packet := rtp_packet(40_000, 10))
    await first.receives(packet)
    await still_talk(first, second)


async def test_nothing_that_another_address_says_keeps_a_dead_one_alive(relay: RunningEngine) -> None:
    """A participant's forged checks from a second address, while the selected one has long been silent."""
    first, _ = await a_quiet_call(relay)
    transport, other = relay.engine._transports["first"], first.another_path()
    now = transport.path.selected.last_seen
    for second in range(1, 15):
        await first.check(other, nominates=False)
        transport.tick(now + second)
    said = [type(one).__name__ for one in relay.events if not isinstance(one, CaptureEnded) and one.transport_id == "first"]
    assert said[-1] == "TransportDown"


async def test_a_key_frame_is_requested_when_a_peer_consents_again(relay: RunningEngine) -> None:
    first, second = await a_quiet_call(relay)
    transport = relay.engine._transports["first"]
    passes(transport, CONSENT_LIFETIME + 1)
    first.answers_checks = True
    await consents(relay, first)
    transport.tick(time.monotonic())
    await second.receives(picture_loss_indication(10))

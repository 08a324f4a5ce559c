"""Media goes where the peer has answered, and nowhere else: forged and replayed checks, amplification, addresses of others."""

from collections.abc import AsyncIterator, Callable

import pytest
from aioice import stun

from relay.media.api import DtlsRole
from tests.kit.media import IPV4, IPV6, MediaPeer, RunningEngine, connectivity_check, rtp_packet, still_talk
from tests.kit.wait import eventually
from tests.kit.wires import Path

OURS, THEIRS = 0xA0A0, 0xB0B0


def media_in(path: Path) -> list[bytes]:
    return [one for one in path.received if one[0] > 127]


Elsewhere = Callable[[MediaPeer], Path]


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    """An address whose owner knows nothing of the call: what a forged or replayed check names as its source."""
    opened: list[Path] = []

    def made(peer: MediaPeer) -> Path:
        opened.append(path := Path(peer.host, peer.path.relay))
        return path

    yield made
    for path in opened:
        path.close()


def asked_at(path: Path) -> list[stun.Message]:
    """The relay's own checks that came to a path."""
    messages = [stun.parse_message(one) for one in path.received if one[0] <= 3]
    return [one for one in messages if one.message_class is stun.Class.REQUEST]


# -- attacks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nominates", [True, False])
async def test_a_check_with_a_forged_source_brings_the_victim_no_media(
    relay: RunningEngine, elsewhere: Elsewhere, nominates: bool
) -> None:
    """The participant knows its own password, and forges the source address of a host that has nothing to do with the call."""
    attacker, other = await relay.call()
    victim = elsewhere(attacker)
    for n in range(5):
        victim.send(bytes(connectivity_check(attacker.relay, nominates=nominates)))
        await relay.counts("stun_checks", 3 + n)
        for k in range(20):
            other.send_rtp(packet := rtp_packet(20 * n + k, THEIRS, payload=bytes(1000)))
            await attacker.receives(packet)
    assert not media_in(victim)
    sent = 5 * len(bytes(connectivity_check(attacker.relay, nominates=nominates)))
    assert sum(map(len, victim.received)) <= 3 * sent


async def test_a_check_that_is_caught_and_sent_again_from_elsewhere_costs_the_party_nothing(
    relay: RunningEngine, elsewhere: Elsewhere
) -> None:
    first, second = await relay.call()
    outsider = elsewhere(first)
    caught = bytes(check := connectivity_check(first.relay))
    first.path.send(caught)
    await first.answer_to(check)
    for n in range(50):
        outsider.send(caught)
        await eventually(lambda n=n: len(outsider.received) > n, "an answer")  # type: ignore[misc]
        second.send_rtp(packet := rtp_packet(n, THEIRS))
        await first.receives(packet)
        first.send_rtp(packet := rtp_packet(n, OURS))
        await second.receives(packet)
    assert not media_in(outsider)


async def test_before_anything_was_answered_three_times_what_came_from_there_is_sent_at_most(
    relay: RunningEngine, elsewhere: Elsewhere
) -> None:
    """The participant's first check is forged, and its DTLS comes from where it really is: the flights would go to the victim."""
    attacker = await relay.peer("attacker")
    attacker.answers_checks = False
    victim = elsewhere(attacker)
    victim.send(forged := bytes(connectivity_check(attacker.relay)))
    await relay.counts("stun_checks")
    await relay.introduce(attacker)
    await attacker.check(nominates=False)
    attacker.shake_hands()
    await eventually(lambda: relay.engine._transports["attacker"].path.settled, "the relay has answered the ClientHello")
    await attacker.check(nominates=False)
    assert sum(map(len, victim.received)) <= 3 * len(forged)
    await attacker.check(nominates=True)
    assert sum(map(len, victim.received)) <= 3 * len(forged)


async def test_a_victim_that_is_nominated_in_the_middle_of_a_handshake_gets_no_media(
    relay: RunningEngine, elsewhere: Elsewhere
) -> None:
    """The participant shakes hands where it is, and forges a nomination before its last flight."""
    attacker, other = await relay.peer("first"), await relay.peer("second")
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(other)
    victim = elsewhere(attacker)
    await attacker.check()
    await relay.introduce(attacker)
    flights = attacker.path
    attacker.shake_hands()
    await eventually(lambda: [one for one in flights.received if 20 <= one[0] <= 63], "the relay's first flight")
    victim.send(bytes(connectivity_check(attacker.relay)))
    await attacker.connected()
    await relay.says("TransportUp", attacker)
    await relay.counts("stun_checks", 3)
    for n in range(20):
        other.send_rtp(packet := rtp_packet(n, THEIRS, payload=bytes(1000)))
        await attacker.receives(packet)
    assert not media_in(victim)


async def test_an_address_of_a_peer_that_only_listens_is_not_taken_over_by_a_forged_check(relay: RunningEngine) -> None:
    """It checks every 4 to 6 s; after five seconds of silence another call's participant names its address."""
    first, second = await relay.call()
    thief = await relay.peer("thief", router="other")
    transport = relay.engine._transports["first"]
    transport.destination.last_seen -= 6
    first.path.send(bytes(connectivity_check(thief.relay)))
    await relay.counts("stun_address_taken")
    await still_talk(first, second)


# -- and yet the peer is followed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("host", "role"), [(IPV4, DtlsRole.ACTIVE), (IPV6, DtlsRole.PASSIVE)])
async def test_a_nomination_is_followed_by_the_answer_to_one_question(relay: RunningEngine, host: str, role: DtlsRole) -> None:
    first, second = await relay.peer("first", host=host, role=role), await relay.peer("second")
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first, second)
    first.checks.clear()
    old, first.path = first.path, first.another_path()
    await first.check()
    await relay.counts("checks_answered")
    assert [path for path, _ in first.checks] == [first.path]
    await still_talk(first, second)
    assert media_in(first.path)
    assert not media_in(old)


async def test_media_goes_on_to_the_old_address_until_the_new_one_has_answered(relay: RunningEngine) -> None:
    first, second = await relay.call()
    first.checks.clear()
    first.answers_checks = False
    new = first.another_path()
    await first.check(new)
    await eventually(lambda: first.checks, "it is asked")
    second.send_rtp(packet := rtp_packet(1, THEIRS))
    await first.receives(packet)
    assert not media_in(new)
    new.send(first.answer_check(first.checks[0][1]))
    await relay.counts("checks_answered")
    second.send_rtp(packet := rtp_packet(2, THEIRS))
    await first.receives(packet)
    assert len(media_in(new)) == 1


async def test_of_two_nominations_the_later_one_counts_whichever_is_answered_first(relay: RunningEngine) -> None:
    first, second = await relay.call()
    first.checks.clear()
    first.answers_checks = False
    earlier, later = first.another_path(), first.another_path()
    for path in (earlier, later):
        await first.check(path)
    await eventually(lambda: {path for path, _ in first.checks} >= {earlier, later}, "both are asked")
    asked = dict(first.checks)
    for number, path in enumerate((later, earlier), 1):
        path.send(first.answer_check(asked[path]))
        await relay.counts("checks_answered", number)
    second.send_rtp(packet := rtp_packet(2, THEIRS))
    await first.receives(packet)
    assert len(media_in(later)) == 1


async def test_a_lost_question_is_repeated_although_the_peer_sends_nothing_more(relay: RunningEngine) -> None:
    first, _ = await relay.call()
    first.answers_checks = False
    new = first.another_path()
    await first.check(new)
    await eventually(lambda: len(asked_at(new)) == 2, "it is asked again")
    new.send(first.answer_check(asked_at(new)[1]))
    await eventually(
        lambda: relay.engine._transports["first"].destination.host_port == new.address, "media goes to the new address"
    )


async def test_a_nomination_that_came_before_the_new_credentials_is_followed_once_these_are_known(relay: RunningEngine) -> None:
    """An ICE restart: the browser checks from its new address before its answer has reached the relay."""
    first, second = await relay.call()
    first.relay = await relay.engine.restart_transport("first")
    first.path = first.another_path()
    first.answers_checks = False
    await first.check()
    await eventually(lambda: asked_at(first.path), "it is asked by the old credentials")
    first.ufrag, first.pwd = "again", "q" * 24
    first.answers_checks = True
    await relay.engine.update_transport("first", first.parameters, ())
    await relay.counts("checks_answered")
    await still_talk(first, second)
    assert media_in(first.path)


async def test_a_backup_path_that_is_checked_now_and_then_does_not_draw_a_quiet_peer_away(relay: RunningEngine) -> None:
    first, _ = await relay.call()
    home, backup = first.path, first.another_path()
    transport = relay.engine._transports["first"]
    for n in range(1, 6):
        transport.destination.last_seen -= 2.5
        await first.check(backup, nominates=False)
        await relay.counts("checks_answered", n)
        assert transport.destination.host_port == home.address

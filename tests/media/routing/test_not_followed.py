"""Packets and checks after which a peer is not followed to another address."""

from aioice import stun

from relay.media.transport.transport import VIDEO_LOST_AFTER
from tests.kit.media import RunningEngine, connectivity_check, picture_loss_indication, rtcp_compound, rtp_packet, still_talk
from tests.kit.wait import eventually
from tests.media.routing.moving import OURS, SOUND, THEIRS, a_call, falls_silent, media_in, moves


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
    old = moves(relay, first)
    for n in range(100, 150):
        first.send_rtp(packet := rtp_packet(n, OURS, payload=SOUND))
        second.send_rtp(rtp_packet(n, THEIRS))
        await second.receives(packet)
    assert not media_in(first.path)
    assert first.checks
    await eventually(lambda: len(first.packets) == 50, "what was sent to the old address is there")
    first.packets.clear()
    relay.engine._transports[first.transport_id].destination.last_seen -= VIDEO_LOST_AFTER
    old.close()  # it would answer the relay's next check of its consent, and not have been silent
    first.answers_checks = True
    await first.check()
    await first.receives(picture_loss_indication(OURS))
    await second.receives(picture_loss_indication(THEIRS))
    await still_talk(first, second)
    assert media_in(first.path), "until it answers"


async def test_a_replayed_packet_has_no_effect_from_any_address(relay: RunningEngine) -> None:
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


async def test_a_packet_of_a_closed_transport_belongs_to_no_transport(relay: RunningEngine) -> None:
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

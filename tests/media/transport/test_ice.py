"""Connectivity checks: what is believed, what is answered, and what moves a transport."""

import socket
import struct
from typing import Any

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from relay.media.api import TransportUp
from relay.media.transport.ice import ROAM_AFTER_SILENCE, IceAgent, moves, reflexive
from relay.media.transport.timing import QUIET_SILENCE
from relay.media.validation import MAX_FAILURES
from relay.stun import local_ufrag, parse
from tests.kit.media import IPV4, IPV6, MediaPeer, RunningEngine, connectivity_check, still_talk
from tests.kit.wait import eventually

SOURCE = ("192.0.2.7", 4711)

NOMINATION: dict[str, Any] = {"USE-CANDIDATE": None}
CONTROLLED: dict[str, Any] = {"ICE-CONTROLLED": 1}

ICE_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def request(agent: IceAgent, *, pwd: str | None = None, signed: bool = True, **attributes: Any) -> stun.Message:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": f"{agent.ufrag}:x", **attributes})
    if signed:
        message.add_message_integrity((pwd or agent.pwd).encode())
    parsed = parse(bytes(message))
    assert parsed is not None, "the test's own request is well-formed"
    return parsed


# -- the agent, without a network -------------------------------------------------------------------------------------


def test_credentials_are_long_enough_of_ice_characters_and_never_the_same() -> None:
    agents = [IceAgent() for _ in range(1000)]
    assert len({agent.ufrag for agent in agents}) == len({agent.pwd for agent in agents}) == 1000
    for agent in agents:
        assert 4 <= len(agent.ufrag) <= 256
        assert 22 <= len(agent.pwd) <= 256
        assert set(agent.ufrag + agent.pwd) <= ICE_CHARACTERS


@pytest.mark.parametrize("source", [SOURCE, ("2001:db8::7", 4711)])
def test_an_authentic_check_is_answered_with_its_own_address_and_our_signature(source: tuple[str, int]) -> None:
    agent = IceAgent()
    check = request(agent)
    answered = agent.answer(check, agent.ufrag, source)
    assert answered is not None
    response = stun.parse_message(answered.response)
    assert (response.message_class, response.message_method) == (stun.Class.RESPONSE, stun.Method.BINDING)
    assert response.transaction_id == check.transaction_id
    assert response.attributes["XOR-MAPPED-ADDRESS"] == source
    assert response.check_message_integrity(agent.pwd.encode())
    assert not response.check_message_integrity(b"another password")
    assert "FINGERPRINT" in response.attributes


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("127.64.0.0", "100.64.0.0"),
        ("127.64.0.1", "100.64.0.1"),
        ("127.99.2.3", "100.99.2.3"),
        ("127.127.255.255", "100.127.255.255"),
        ("127.63.255.255", "127.63.255.255"),
        ("127.128.0.0", "127.128.0.0"),
        ("127.0.0.1", "127.0.0.1"),
        ("192.0.2.7", "192.0.2.7"),
        ("::1", "::1"),
        ("::ffff:127.64.0.1", "::ffff:127.64.0.1"),
    ],
)
def test_a_peer_that_is_tunnelled_over_loopback_gets_an_address_that_browsers_accept(source: str, told: str) -> None:
    assert reflexive((source, 4711)) == (told, 4711)


def test_only_use_candidate_nominates() -> None:
    agent = IceAgent()
    plain, nominating = (
        agent.answer(request(agent), agent.ufrag, SOURCE),
        agent.answer(request(agent, **NOMINATION), agent.ufrag, SOURCE),
    )
    assert plain is not None
    assert nominating is not None
    assert (plain.nominates, nominating.nominates) == (False, True)


def test_a_check_with_another_password_or_without_a_signature_is_not_believed() -> None:
    agent = IceAgent()
    assert agent.answer(request(agent, pwd="x" * 24), agent.ufrag, SOURCE) is None
    assert agent.answer(request(agent, pwd=IceAgent().pwd), agent.ufrag, SOURCE) is None
    assert agent.answer(request(agent, signed=False), agent.ufrag, SOURCE) is None


def test_attributes_behind_the_signature_are_not_believed() -> None:
    agent = IceAgent()
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": f"{agent.ufrag}:x"})
    message.add_message_integrity(agent.pwd.encode())
    message.attributes["USE-CANDIDATE"] = None
    message.add_fingerprint()
    parsed = parse(bytes(message))
    assert parsed is not None
    answered = agent.answer(parsed, agent.ufrag, SOURCE)
    assert answered is not None
    assert not answered.nominates


def test_a_signature_cut_short_is_not_believed() -> None:
    agent = IceAgent()
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": f"{agent.ufrag}:x"})
    for length in (0, 1, 4, 19):
        message.attributes["MESSAGE-INTEGRITY"] = bytes(length)
        parsed = parse(bytes(message))
        assert parsed is None or agent.answer(parsed, agent.ufrag, SOURCE) is None


def test_a_peer_that_claims_to_be_controlled_gets_a_role_conflict_and_nominates_nothing() -> None:
    agent = IceAgent()
    answered = agent.answer(request(agent, **NOMINATION, **CONTROLLED), agent.ufrag, SOURCE)
    assert answered is not None
    assert not answered.nominates
    response = stun.parse_message(answered.response)
    assert response.message_class is stun.Class.ERROR
    assert response.error_code == 487
    assert response.check_message_integrity(agent.pwd.encode())


@pytest.mark.parametrize(
    ("username", "ufrag"), [("abcd:efgh", "abcd"), ("abcd", "abcd"), ("a:b:c", "a"), (":x", ""), ("", None), (None, None)]
)
def test_the_first_half_of_the_username_names_the_transport_of_a_check(username: str | None, ufrag: str | None) -> None:
    attributes = {} if username is None else {"USERNAME": username}
    assert local_ufrag(stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes=attributes)) == ufrag


@given(st.binary(max_size=300))
def test_parsing_never_raises(datagram: bytes) -> None:
    parse(datagram)


@given(
    st.lists(st.tuples(st.sampled_from([*stun.ATTRIBUTES_BY_TYPE, 0x7777]), st.integers(0, 40), st.binary(max_size=40))),
    st.sampled_from([0x0001, 0x0011, 0x0101, 0x0111, 0x0003, 0x3EEF]),
)
def test_parsing_and_answering_attributes_of_any_length_never_raises(attributes: list[tuple[int, int, bytes]], kind: int) -> None:
    body = b"".join(struct.pack("!HH", code, length) + value for code, length, value in attributes)
    message = parse(struct.pack("!HHI12s", kind, len(body), stun.COOKIE, bytes(12)) + body)
    if message is not None:
        local_ufrag(message)
        assert IceAgent().answer(message, "", SOURCE) is None


def test_after_a_restart_new_and_old_credentials_are_good_each_with_its_own_password() -> None:
    agent = IceAgent()
    ufrag, pwd = agent.ufrag, agent.pwd
    agent.restart()
    assert agent.previous_ufrag == ufrag
    assert not {agent.ufrag, agent.pwd} & {ufrag, pwd}
    assert agent.answer(request(agent), agent.ufrag, SOURCE) is not None
    assert agent.answer(request(agent, pwd=pwd), ufrag, SOURCE) is not None
    assert agent.answer(request(agent, pwd=pwd), agent.ufrag, SOURCE) is None
    assert agent.answer(request(agent), ufrag, SOURCE) is None
    agent.restart()
    assert agent.answer(request(agent, pwd=pwd), ufrag, SOURCE) is None


def test_a_nominating_check_moves_a_transport_at_once() -> None:
    assert moves(True, selected=True, silence=0)


def test_the_first_check_selects_its_address_whether_it_nominates_or_not() -> None:
    assert moves(False, selected=False, silence=0)


def test_a_check_that_does_not_nominate_moves_a_transport_only_after_more_than_a_second_of_silence() -> None:
    assert ROAM_AFTER_SILENCE == 1
    assert not moves(False, selected=True, silence=0)
    assert not moves(False, selected=True, silence=1.0)
    assert moves(False, selected=True, silence=1.001)


# -- through the engine -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [IPV4, IPV6])
async def test_a_check_is_answered_to_where_it_came_from(relay: RunningEngine, host: str) -> None:
    peer = await relay.peer("first", host=host)
    answer = await peer.check()
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == peer.path.address
    assert answer.check_message_integrity(peer.relay.pwd.encode())
    await relay.counts("stun_checks")


async def test_a_check_that_was_carried_over_loopback_is_answered_to_where_it_came_from_but_names_no_loopback_address(
    relay: RunningEngine,
) -> None:
    peer = await relay.peer("first", host="127.64.3.4")
    answer = await peer.check()
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == ("100.64.3.4", peer.path.address[1])


async def test_a_peer_that_claims_to_be_controlled_gets_487(relay: RunningEngine) -> None:
    peer = await relay.peer("first")
    check = connectivity_check(peer.relay, controlled=True)
    peer.path.send(bytes(check))
    assert (await peer.answer_to(check)).error_code == 487


def spoiled_checks(peer: MediaPeer) -> list[tuple[str, bytes]]:
    """What is not answered, by the counter that it belongs to."""
    relay = peer.relay
    good = bytes(connectivity_check(relay))
    anonymous = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    anonymous.add_message_integrity(relay.pwd.encode())
    allocate = stun.Message(stun.Method.ALLOCATE, stun.Class.REQUEST, attributes={"USERNAME": f"{relay.ufrag}:x"})
    allocate.add_message_integrity(relay.pwd.encode())
    return [
        ("stun_unauthentic", bytes(connectivity_check(relay, pwd="wrong" * 5))),
        ("stun_unauthentic", bytes(connectivity_check(relay, signed=False))),
        ("stun_unauthentic", bytes(connectivity_check(relay, pwd="wrong" * 5, controlled=True))),
        ("stun_unknown_ufrag", bytes(connectivity_check(relay, ufrag="nobody"))),
        ("stun_unknown_ufrag", bytes(connectivity_check(relay, ufrag=""))),
        ("stun_unknown_ufrag", bytes(anonymous)),
        ("stun_ignored", bytes(connectivity_check(relay, message_class=stun.Class.INDICATION))),
        ("stun_ignored", bytes(connectivity_check(relay, message_class=stun.Class.RESPONSE))),
        ("stun_ignored", bytes(connectivity_check(relay, message_class=stun.Class.ERROR))),
        ("stun_ignored", bytes(allocate)),
        ("stun_malformed", b"\0"),
        ("stun_malformed", good[:19]),
        ("stun_malformed", good[:-1]),
        ("stun_malformed", good + b"\0"),
        ("stun_malformed", good[:-1] + bytes([good[-1] ^ 1])),
        ("stun_malformed", b"\3" * 100),
        ("stun_malformed", good[:2] + b"\0\0" + good[4:]),
    ]


async def test_what_is_not_an_authentic_check_is_counted_and_not_answered(relay: RunningEngine) -> None:
    first, second = await relay.call()
    stranger = first.another_path()
    for path in (stranger, first.path):
        for counter, datagram in spoiled_checks(first):
            before, answers = (await relay.engine.counters())[counter], len(first.answers)
            path.send(datagram)
            await relay.counts(counter, before + 1)
            assert len(first.answers) == answers
    assert not stranger.received
    await still_talk(first, second)
    stranger.send(first.encrypted(b"\x80\x60" + bytes(10)))
    await relay.counts("unknown_address")


async def test_a_host_that_fails_too_often_is_ignored_but_its_validated_addresses_are_not(relay: RunningEngine) -> None:
    first, second = await relay.call()
    stranger = first.another_path()
    for _ in range(MAX_FAILURES + 10):
        stranger.send(bytes(20))
    await relay.counts("stun_limited", 10)
    await first.check()
    await still_talk(first, second)

    async def heard_again() -> bool:
        stranger.send(bytes(connectivity_check(first.relay)))
        return bool(stranger.received)

    await eventually(heard_again, "the host to be heard again")


async def test_a_flood_from_more_hosts_than_are_counted_is_bounded_like_that_of_one(no_errors_logged: None) -> None:
    async with RunningEngine.started(tick=3600.0, max_failures=3, max_failing_hosts=2) as relay:
        await a_flood_is_bounded(relay)


async def a_flood_is_bounded(relay: RunningEngine) -> None:
    first, second = await relay.call()
    for number in range(2, 22):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind((f"127.0.0.{number}", 0))
            one.sendto(bytes(20), (first.relay.candidates[0].address, first.relay.candidates[0].port))
    await relay.counts("stun_limited", 20 - 2 - 3)
    await first.check()
    await still_talk(first, second)


async def test_an_unauthentic_check_moves_nothing(relay: RunningEngine) -> None:
    first, second = await relay.call()
    thief = second.another_path()
    thief.send(bytes(connectivity_check(second.relay, pwd=first.relay.pwd)))
    await relay.counts("stun_unauthentic")
    await still_talk(first, second)
    assert not thief.received


async def test_a_role_conflict_moves_nothing(relay: RunningEngine) -> None:
    first, second = await relay.call()
    other = second.another_path()
    check = connectivity_check(second.relay, controlled=True)
    other.send(bytes(check))
    await second.answer_to(check)
    await still_talk(first, second)
    assert not [one for one in other.received if one[0] > 127]


async def test_an_address_of_a_live_transport_cannot_be_claimed_by_another(relay: RunningEngine) -> None:
    first, second = await relay.call()
    thief = await relay.peer("thief", router="other")
    await relay.introduce(thief)
    first.path.send(bytes(connectivity_check(thief.relay)))
    await relay.counts("stun_address_taken")
    await still_talk(first, second)
    assert not thief.answers
    assert [type(event) for event in relay.events] == [TransportUp, TransportUp]


async def test_an_address_of_a_silent_transport_passes_to_the_transport_that_validates_it(relay: RunningEngine) -> None:
    gone, heir = await relay.peer("gone"), await relay.peer("heir", router="other")
    await gone.check()
    relay.engine._transports["gone"].destination.last_seen -= QUIET_SILENCE + 1
    heir.path.close()
    heir.path = gone.path
    check = connectivity_check(heir.relay)
    heir.path.send(bytes(check))
    await gone.answer_to(check)
    assert "stun_address_taken" not in await relay.counted()
    await relay.engine.close_transport("gone")
    heir.path.send(b"\x16" * 20)
    await heir.check(heir.another_path())
    assert "unknown_address" not in await relay.counted(), "closing the old owner left the address with its heir"


async def test_an_address_of_a_closed_transport_is_free(relay: RunningEngine) -> None:
    gone, heir = await relay.peer("gone"), await relay.peer("heir", router="other")
    await gone.check()
    await relay.engine.close_transport("gone")
    gone.path.send(b"\x16" * 20)
    await relay.counts("unknown_address")
    check = connectivity_check(heir.relay)
    gone.path.send(bytes(check))
    await gone.answer_to(check)
    gone.path.send(bytes(connectivity_check(gone.relay)))
    await relay.counts("stun_unknown_ufrag")


# -- ICE restart ------------------------------------------------------------------------------------------------------


async def test_media_flows_through_an_ice_restart(relay: RunningEngine) -> None:
    first, second = await relay.call()
    old = second.relay
    second.relay = await relay.engine.restart_transport("second")
    assert second.relay.fingerprints == old.fingerprints
    await still_talk(first, second)
    new = second.another_path()
    await second.check(new)
    second.path = new
    await still_talk(first, second)
    assert [one for one in new.received if one[0] > 127]


async def test_the_old_credentials_are_good_until_a_check_with_the_new_ones_has_arrived(relay: RunningEngine) -> None:
    first, second = await relay.call()
    old = second.relay
    second.relay = await relay.engine.restart_transport("second")
    check = connectivity_check(old)
    second.path.send(bytes(check))
    await second.answer_to(check)
    await second.check()
    second.path.send(bytes(connectivity_check(old)))
    await relay.counts("stun_unknown_ufrag")
    await still_talk(first, second)


async def test_no_credentials_are_left_behind_however_often_ice_restarts(relay: RunningEngine) -> None:
    await relay.peer("first")
    for _ in range(5):
        await relay.engine.restart_transport("first")
    assert len(relay.engine._by_ufrag) <= 2
    await relay.engine.close_transport("first")
    assert not relay.engine._by_ufrag

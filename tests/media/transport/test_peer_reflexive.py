"""The relay's own connectivity checks: when one is sent, how much, and which answer counts."""

from collections import Counter
from collections.abc import Hashable

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from relay.media.transport.ice import IceAgent, IceCredentials
from relay.media.transport.peer_reflexive import (
    CHECK_INTERVAL,
    FORGET_AFTER,
    MAX_CHECKED,
    MAX_PROBES,
    AddressProbes,
    CheckedAddresses,
)

HERE, THERE = ("192.0.2.1", 1), ("192.0.2.1", 2)

PEER = IceCredentials("theirs", "their password, say")

PACKET = 200
"""Bytes of a packet that is longer than any check to this peer."""


def agent(peer: IceCredentials = PEER) -> IceAgent:
    made = IceAgent()
    made.peer = peer
    return made


def transaction_of(check: bytes) -> bytes:
    return stun.parse_message(check).transaction_id


def answer_to(check: bytes, pwd: str = PEER.pwd) -> stun.Message:
    answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_of(check), {"XOR-MAPPED-ADDRESS": HERE})
    answer.add_message_integrity(pwd.encode())
    return stun.parse_message(bytes(answer))


def heard(probes: AddressProbes, transport_id: str, ice: IceAgent, address: Hashable, octets: int, now: float) -> bytes | None:
    """A packet comes from an address; the check that is sent there, if one is due."""
    return probes.due(probes.heard(transport_id, ice, address, octets, now), now)


@pytest.fixture
def probes() -> AddressProbes:
    return AddressProbes()


# -- the question -----------------------------------------------------------------------------------------------------


def test_a_new_address_is_asked_as_a_controlled_agent_asks_its_peer(probes: AddressProbes) -> None:
    ice = agent()
    check = heard(probes, "one", ice, HERE, PACKET, 100.0)
    assert check is not None
    request = stun.parse_message(check)
    assert (request.message_method, request.message_class) == (stun.Method.BINDING, stun.Class.REQUEST)
    assert request.attributes["USERNAME"] == f"theirs:{ice.ufrag}"
    assert request.check_message_integrity(PEER.pwd.encode())
    assert not request.check_message_integrity(ice.pwd.encode())
    assert {"ICE-CONTROLLED", "PRIORITY", "FINGERPRINT"} <= set(request.attributes)
    assert not {"ICE-CONTROLLING", "USE-CANDIDATE"} & set(request.attributes)
    assert request.attributes["PRIORITY"] >> 24 == 110, "that of a peer-reflexive candidate"


def test_it_is_asked_the_same_again_at_intervals_for_as_long_as_it_is_heard(probes: AddressProbes) -> None:
    ice = agent()
    asked = [heard(probes, "one", ice, HERE, PACKET, 100 + n * CHECK_INTERVAL / 4) for n in range(12)]
    assert [n for n, check in enumerate(asked) if check is not None] == [0, 4, 8]
    assert len({check for check in asked if check is not None}) == 1


def test_a_short_packet_is_no_reason_for_a_longer_check_but_several_are(probes: AddressProbes) -> None:
    ice = agent()
    length = len(bytes(ice.check()))
    assert heard(probes, "one", ice, HERE, length - 1, 100.0) is None
    check = heard(probes, "one", ice, HERE, 1, 100.0)
    assert check is not None
    assert len(check) == length


def test_what_a_check_has_used_up_is_no_reason_for_the_next(probes: AddressProbes) -> None:
    ice = agent()
    length = len(bytes(ice.check()))
    assert heard(probes, "one", ice, HERE, length + 10, 100.0) is not None
    assert heard(probes, "one", ice, HERE, length - 11, 101.0) is None
    assert heard(probes, "one", ice, HERE, 1, 102.0) is not None


def test_each_address_is_asked_something_else(probes: AddressProbes) -> None:
    ice = agent()
    here, there = (heard(probes, "one", ice, address, PACKET, 100.0) for address in (HERE, THERE))
    assert here is not None
    assert there is not None
    assert transaction_of(here) != transaction_of(there)


def test_after_an_ice_restart_the_peer_is_asked_by_its_new_credentials(probes: AddressProbes) -> None:
    ice = agent()
    old = heard(probes, "one", ice, HERE, PACKET, 100.0)
    ice.peer = IceCredentials("renewed", "another password")
    new = heard(probes, "one", ice, HERE, PACKET, 100.01)
    assert old is not None
    assert new is not None
    assert stun.parse_message(new).attributes["USERNAME"] == f"renewed:{ice.ufrag}"
    assert stun.parse_message(new).check_message_integrity(b"another password")
    assert probes.asked(transaction_of(old), HERE) is None
    assert probes.asked(transaction_of(new), HERE) is not None


def test_a_peer_is_asked_under_the_ufrag_that_it_knows_until_it_has_used_a_new_one(probes: AddressProbes) -> None:
    ice = agent()
    known = ice.ufrag
    ice.restart()
    assert ice.username == f"theirs:{known}"
    ice.forget_previous()
    assert ice.username == f"theirs:{ice.ufrag}"


# -- the answer -------------------------------------------------------------------------------------------------------


def test_an_answer_counts_from_the_address_that_was_asked_and_signed_with_the_password_of_the_peer(probes: AddressProbes) -> None:
    check = heard(probes, "one", agent(), HERE, PACKET, 100.0)
    assert check is not None
    probe = probes.asked(transaction_of(check), HERE)
    assert probe is not None
    assert probe.transport_id == "one"
    assert probe.signed(answer_to(check))
    assert not probe.signed(answer_to(check, "a guess"))
    assert not probe.signed(stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_of(check)))


def test_an_answer_from_another_address_or_to_an_unknown_transaction_is_ignored(probes: AddressProbes) -> None:
    check = heard(probes, "one", agent(), HERE, PACKET, 100.0)
    assert check is not None
    assert probes.asked(transaction_of(check), THERE) is None
    assert probes.asked(bytes(12), HERE) is None
    assert probes.asked(transaction_of(check), HERE) is not None, "and does not spoil the question"


def test_an_answer_counts_once(probes: AddressProbes) -> None:
    check = heard(probes, "one", agent(), HERE, PACKET, 100.0)
    assert check is not None
    probe = probes.asked(transaction_of(check), HERE)
    assert probe is not None
    probes.forget(probe)
    assert probes.asked(transaction_of(check), HERE) is None


def test_an_answer_comes_too_late_when_the_address_has_long_been_silent(probes: AddressProbes) -> None:
    ice = agent()
    checks = [heard(probes, "one", ice, address, PACKET, now) for address, now in ((HERE, 100.0), (THERE, 101.0))]
    probes.forget_silent(100 + FORGET_AFTER + 0.5)
    assert [
        probes.asked(transaction_of(check or b""), at) is not None for check, at in zip(checks, (HERE, THERE), strict=True)
    ] == [
        False,
        True,
    ]


def test_closing_a_transport_ends_its_questions_and_no_others(probes: AddressProbes) -> None:
    ended, going_on = [heard(probes, name, agent(), HERE, PACKET, 100.0) for name in ("ended", "going on")]
    assert ended is not None
    assert going_on is not None
    probes.forget_transport("ended")
    probes.forget_transport("never there")
    assert probes.asked(transaction_of(ended), HERE) is None
    assert probes.asked(transaction_of(going_on), HERE) is not None


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_only_so_many_addresses_of_a_transport_are_asked_at_a_time(probes: AddressProbes) -> None:
    ice = agent()
    checks = [heard(probes, "one", ice, port, PACKET, 100.0) or b"" for port in range(MAX_PROBES + 2)]
    left = [port for port, check in enumerate(checks) if probes.asked(transaction_of(check), port)]
    assert left == list(range(2, MAX_PROBES + 2))


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(12, 1500), st.floats(0, 0.5)), max_size=200),
    st.text("abcd", min_size=4, max_size=256),
)
def test_no_address_gets_more_than_it_sent_or_checks_above_the_limit(packets: list[tuple[int, int, float]], ufrag: str) -> None:
    probes, ice, now = AddressProbes(), agent(IceCredentials(ufrag, "p" * 22)), 100.0
    given: Counter[int] = Counter()
    got: Counter[int] = Counter()
    checked: dict[bytes, float] = {}
    for address, octets, pause in packets:
        now += pause
        given[address] += octets
        check = heard(probes, "one", ice, address, octets, now)
        if check is not None:
            got[address] += len(check)
            assert got[address] <= given[address]
            assert now - checked.get(check, 0.0) >= CHECK_INTERVAL
            checked[check] = now


# -- addresses that were merely checked -------------------------------------------------------------------------------


def test_an_address_is_the_last_ones_that_checked_from_it() -> None:
    checked = CheckedAddresses()
    checked.add(HERE, "one")
    checked.add(THERE, "one")
    checked.add(HERE, "two")
    assert (checked.transport_at(HERE), checked.transport_at(THERE)) == ("two", "one")
    checked.forget_transport("one")
    assert (checked.transport_at(HERE), checked.transport_at(THERE)) == ("two", None)
    checked.forget_transport("two")
    checked.forget_transport("two")
    assert checked.transport_at(HERE) is None


def test_only_so_many_addresses_of_a_transport_are_remembered() -> None:
    checked = CheckedAddresses()
    checked.add(HERE, "other")
    for number in range(MAX_CHECKED + 3):
        checked.add(number, "one")
    assert [checked.transport_at(number) for number in range(4)] == [None, None, None, "one"]
    assert checked.transport_at(HERE) == "other"

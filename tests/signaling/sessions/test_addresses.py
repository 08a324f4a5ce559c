"""Which of the relay's addresses a browser gets."""

import pytest

from relay.media.api import Candidate
from relay.signaling.sessions.addresses import advertised

LOCAL = (
    Candidate("192.0.2.10", 40000),
    Candidate("198.51.100.7", 40000),
    Candidate("2001:db8::7", 40001),
    Candidate("127.0.0.1", 40000),
)


def test_the_operators_word_wins() -> None:
    assert advertised(LOCAL, ("203.0.113.1",), "192.0.2.10") == (Candidate("203.0.113.1", 40000),)


def test_the_operators_addresses_keep_their_order_and_get_the_port_of_their_family() -> None:
    assert advertised(LOCAL, ("2001:db8::1", "203.0.113.1"), None) == (
        Candidate("2001:db8::1", 40001),
        Candidate("203.0.113.1", 40000),
    )


def test_a_family_that_the_relay_does_not_listen_on_gets_the_port_that_there_is() -> None:
    """A NAT translates between the two, or the operator would not say so."""
    assert advertised(LOCAL[:1], ("2001:db8::1",), None) == (Candidate("2001:db8::1", 40000),)


@pytest.mark.parametrize(
    ("reached", "port"), [("192.0.2.10", 40000), ("::ffff:192.0.2.10", 40000), ("2001:db8::7", 40001), ("2001:0db8:0::7", 40001)]
)
def test_a_browser_is_told_of_the_address_that_it_reached(reached: str, port: int) -> None:
    [candidate] = advertised(LOCAL, (), reached)
    assert (candidate.address, candidate.port) in {("192.0.2.10", port), ("2001:db8::7", port)}


@pytest.mark.parametrize(
    "reached",
    [None, "127.0.0.1", "::1", "::ffff:127.0.0.1", "203.0.113.99", "fe80::1%eth0", "", "/run/relay.socket", "relay.example"],
)
def test_a_browser_that_came_another_way_is_told_of_all(reached: str | None) -> None:
    assert advertised(LOCAL, (), reached) == LOCAL


@pytest.mark.parametrize("reached", [None, "127.0.0.1", "203.0.113.99"])
@pytest.mark.parametrize("remote", ["203.0.113.7", "2001:db8::9", "10.0.0.5"])
def test_a_browser_elsewhere_is_told_of_no_loopback_address(reached: str | None, remote: str) -> None:
    assert advertised(LOCAL, (), reached, remote) == LOCAL[:-1]


@pytest.mark.parametrize("remote", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_browser_on_this_machine_is_told_of_its_loopback_address(remote: str) -> None:
    assert advertised(LOCAL, (), "127.0.0.1", remote) == LOCAL


def test_a_relay_that_has_only_a_loopback_address_tells_it() -> None:
    assert advertised(LOCAL[-1:], (), "127.0.0.1", "203.0.113.7") == LOCAL[-1:]


# -- over UDP and TCP -------------------------------------------------------------------------------------------------

BOTH = (*LOCAL[::3], Candidate("192.0.2.10", 443, "tcp"), Candidate("127.0.0.1", 443, "tcp"))


def test_the_public_addresses_are_offered_over_both() -> None:
    public = ("203.0.113.1", "198.51.100.1")
    assert advertised(BOTH, public, None) == (
        Candidate("203.0.113.1", 40000),
        Candidate("198.51.100.1", 40000),
        Candidate("203.0.113.1", 443, "tcp"),
        Candidate("198.51.100.1", 443, "tcp"),
    )


def test_a_listener_behind_a_proxy_on_this_machine_is_not_offered_to_the_public() -> None:
    assert advertised(BOTH[:2] + BOTH[3:], ("203.0.113.1",), None) == (Candidate("203.0.113.1", 40000),)
    assert advertised(BOTH[:2] + BOTH[3:], ("127.0.0.1",), None)[-1] == Candidate("127.0.0.1", 443, "tcp")


def test_a_browser_is_told_of_the_address_that_it_reached_over_both() -> None:
    assert advertised(BOTH, (), "192.0.2.10") == (BOTH[0], BOTH[2])

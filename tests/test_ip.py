"""Families of addresses, and what counts as one host."""

import pytest

from relay.ip import family_of, network_of


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("192.0.2.1", "ipv4"),
        ("127.0.0.1", "ipv4"),
        ("2001:db8::1", "ipv6"),
        ("::1", "ipv6"),
        ("fe80::1%eth0", "ipv6"),
        ("::ffff:192.0.2.1", "ipv4"),
    ],
)
def test_an_address_is_of_the_family_that_its_owner_would_say(host: str, family: str) -> None:
    assert family_of(host) == family


def test_a_subscribers_ipv6_addresses_count_as_one() -> None:
    assert network_of("2001:db8:0:1::1") == network_of("2001:db8:0:1:ffff::2")
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8:0:2::1")
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")


@pytest.mark.parametrize("text", ["", "localhost", "192.0.2", "2001:db8::1%eth0x/64"])
def test_a_malformed_address_has_no_network(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        network_of(text)

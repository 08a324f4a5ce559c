"""What cannot be right about the advertised addresses."""

import re

import pytest

from relay.edge.public import warnings

HERE = ("127.0.0.1", "::1", "10.0.0.5", "fd00::5")


def told(*addresses: str, listening: tuple[str, ...] = HERE, is_public: bool = True) -> list[str]:
    found = list(warnings(addresses, listening, is_public=is_public))
    assert not [one for one in found if re.search(r"\d+\.\d+\.\d+|::", one)], "no address is for the log"
    return found


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "2606:4700:4700::1111", "10.0.0.5", "fd00::5", "1.1.1.1=10.0.0.5", "2606:4700:4700::1111=fd00::5"]
)
def test_a_public_address_and_one_of_this_machine_are_good(address: str) -> None:
    assert told(address) == []


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7", "100.64.0.7", "198.18.0.7", "192.168.7.7"])
def test_every_address_of_this_machine_is_accepted(address: str) -> None:
    assert told(address, listening=("127.0.0.1", "::1", address)) == []


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("0.0.0.0", "placeholder"),
        ("::", "placeholder"),
        ("224.0.0.1", "group"),
        ("ff02::1", "group"),
        ("255.255.255.255", "group"),
        ("127.0.0.1", "only reached from this machine"),
        ("127.1.2.3", "only reached from this machine"),
        ("::1", "only reached from this machine"),
        ("169.254.1.1", "one network segment"),
        ("fe80::1", "one network segment"),
        ("::ffff:1.1.1.1", "write it as IPv4"),
        ("192.168.1.1", "PUBLIC=PRIVATE"),
        ("172.31.0.1", "PUBLIC=PRIVATE"),
        ("fd12::1", "PUBLIC=PRIVATE"),
        ("100.64.0.1", "shared address space"),
        ("100.127.255.255", "shared address space"),
        ("192.0.2.1", "example"),
        ("198.51.100.1", "example"),
        ("203.0.113.1", "example"),
        ("2001:db8::1", "example"),
        ("240.0.0.1", "reserved"),
        ("0.1.2.3", "reserved"),
        ("198.19.0.1", "reserved"),
    ],
)
def test_an_address_that_browsers_cannot_reach_is_named_by_its_place(address: str, word: str) -> None:
    [found] = told("1.1.1.1", address)
    assert found.startswith("RELAY_PUBLIC_ADDRESS number 2 ")
    assert word in found


def test_a_single_one_needs_no_number() -> None:
    assert told("0.0.0.0") == [
        "RELAY_PUBLIC_ADDRESS is no address, but a placeholder for all of them: name the one that browsers can reach"
    ]


@pytest.mark.parametrize(
    ("address", "listening"), [("2606:4700:4700::1111", ("127.0.0.1", "10.0.0.5")), ("1.1.1.1", ("::1", "fd00::5"))]
)
def test_an_address_of_a_family_that_media_does_not_listen_on_is_named(address: str, listening: tuple[str, ...]) -> None:
    [found] = told(address, listening=listening)
    assert "but media listens on no IPv" in found


def test_the_inner_half_of_a_pair_is_this_machines() -> None:
    [found] = told("1.1.1.1=10.0.0.6")
    assert "behind the =" in found


def test_a_private_address_on_a_machine_with_a_public_one_is_doubted() -> None:
    [found] = told("10.0.0.5", listening=(*HERE, "1.1.1.1"))
    assert "only private" in found


def test_nothing_said_is_doubted_only_where_others_shall_call_and_there_is_no_public_address() -> None:
    [found] = told()
    assert "is not set" in found
    assert told(is_public=False) == []
    assert told(listening=(*HERE, "1.1.1.1")) == []
    assert told(listening=("127.0.0.1", "::1")) == []


def test_media_that_listens_on_the_loopback_only_makes_a_public_address_useless() -> None:
    [found] = told("1.1.1.1", listening=("127.0.0.1",))
    assert "RELAY_MEDIA_HOST" in found

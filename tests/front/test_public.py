"""What cannot be right about the advertised addresses."""

import pytest

from relay.front.public import doubts

HERE = ("127.0.0.1", "::1", "10.0.0.5", "fd00::5")


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "10.0.0.5", "fd00::5"])
def test_a_public_address_and_one_of_this_machine_are_good(address: str) -> None:
    assert not list(doubts([address], HERE))


def test_nothing_said_is_nothing_wrong() -> None:
    assert not list(doubts([], HERE))


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("0.0.0.0", "placeholder"),
        ("::", "placeholder"),
        ("224.0.0.1", "group"),
        ("ff02::1", "group"),
        ("255.255.255.255", "group"),
        ("127.0.0.1", "only reached from this machine"),
        ("::1", "only reached from this machine"),
        ("169.254.1.1", "one network segment"),
        ("fe80::1", "one network segment"),
        ("192.168.1.1", "PUBLIC=PRIVATE"),
        ("100.64.0.1", "reserved"),
    ],
)
def test_an_address_that_browsers_cannot_reach_is_named(address: str, word: str) -> None:
    found = list(doubts([address, "1.1.1.1"], HERE))
    assert len(found) == 1
    assert f" {address} " in found[0]
    assert word in found[0]


def test_a_private_address_on_a_machine_with_a_public_one_is_doubted() -> None:
    [doubt] = doubts(["10.0.0.5"], [*HERE, "1.1.1.1"])
    assert "only private" in doubt

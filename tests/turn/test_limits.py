"""Quotas and rates, and how little they remember."""

import pytest

from relay.settings.turn import TurnSettings
from relay.turn.limits import Quotas, UnauthenticatedRate
from relay.turn.refusal import Refusal

HERE, THERE = b"here", b"there"


def refused(quotas: Quotas, profile: str, origin: bytes) -> int:
    with pytest.raises(Refusal) as refusal:
        quotas.take(profile, origin)
    return refusal.value.code


def test_a_profile_gets_as_many_as_it_may_wherever_it_is() -> None:
    quotas = Quotas(TurnSettings(turn_allocations_per_profile=2))
    quotas.take("student_1", HERE)
    quotas.take("student_1", THERE)
    assert refused(quotas, "student_1", b"elsewhere") == 486
    quotas.take("student_2", HERE)
    quotas.give_back("student_1", HERE)
    quotas.take("student_1", HERE)


def test_an_address_gets_as_many_as_it_may_whatever_its_profiles() -> None:
    quotas = Quotas(TurnSettings(turn_allocations_per_address=2))
    quotas.take("student_1", HERE)
    quotas.take("student_2", HERE)
    assert refused(quotas, "student_3", HERE) == 486
    quotas.take("student_3", THERE)


def test_a_full_relay_refuses_every_profile_and_address() -> None:
    quotas = Quotas(TurnSettings(turn_allocations=1))
    quotas.take("student_1", HERE)
    assert refused(quotas, "student_2", THERE) == 508
    quotas.give_back("student_1", HERE)
    quotas.take("student_2", THERE)


def test_a_refusal_counts_nothing() -> None:
    quotas = Quotas(TurnSettings(turn_allocations=2, turn_allocations_per_profile=1))
    quotas.take("student_1", HERE)
    for _ in range(5):
        assert refused(quotas, "student_1", THERE) == 486
    quotas.take("student_2", THERE)


def test_a_profile_without_allocations_is_forgotten() -> None:
    quotas = Quotas(TurnSettings(turn_allocations_per_profile=0))
    for number in range(100):
        assert refused(quotas, f"student_{number}", bytes([number])) == 486
    assert not quotas._profiles
    assert not quotas._networks
    quotas = Quotas(TurnSettings())
    for number in range(100):
        quotas.take(f"student_{number}", bytes([number]))
        quotas.give_back(f"student_{number}", bytes([number]))
    assert not quotas._profiles
    assert not quotas._networks


def test_a_host_is_answered_so_often_in_a_second_and_again_in_the_next() -> None:
    rate = UnauthenticatedRate(3)
    assert [rate.admits("192.0.2.1", 10.0 + number / 10, stream=False) for number in range(5)] == [True] * 3 + [False] * 2
    assert rate.is_used_up("192.0.2.1", 10.9, stream=False)
    assert rate.admits("192.0.2.2", 10.9, stream=False)
    assert not rate.is_used_up("192.0.2.1", 11.0, stream=False)
    assert rate.admits("192.0.2.1", 11.0, stream=False)


def test_forged_datagrams_do_not_use_up_what_a_stream_may() -> None:
    rate = UnauthenticatedRate(1)
    assert rate.admits("192.0.2.1", 10.0, stream=False)
    assert not rate.admits("192.0.2.1", 10.0, stream=False)
    assert rate.admits("192.0.2.1", 10.0, stream=True)


def test_a_clock_that_goes_back_shuts_no_host_out() -> None:
    rate = UnauthenticatedRate(1)
    assert rate.admits("192.0.2.1", 1000.0, stream=False)
    assert rate.admits("192.0.2.1", 10.0, stream=False)


def test_a_flood_from_many_hosts_is_neither_remembered_nor_answered() -> None:
    rate = UnauthenticatedRate(3, hosts=10)
    admitted = sum(rate.admits(f"192.0.2.{number}", 10.0, stream=False) for number in range(200))
    assert admitted == 10 + 3, "all others share what one host has"
    assert len(rate._datagrams) == 10
    assert rate.admits("192.0.2.0", 10.0, stream=False)
    assert rate.admits("192.0.2.0", 10.0, stream=False)
    assert not rate.admits("192.0.2.0", 10.0, stream=False), "those that are counted still are"
    assert rate.admits("192.0.2.199", 10.0, stream=True), "streams have a table of their own"
    assert rate.admits("192.0.2.199", 11.0, stream=False), "the next second begins anew"

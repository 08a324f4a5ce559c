"""Allocations, permissions and channels: what they allow, and for how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.turn.allocations import Allocation, Allocations, lifetime
from relay.turn.refusal import Refusal
from tests.kit.turn import MEDIA, MEDIA_IPV6, OTHER_WORKER, RELAYED

HOST = MEDIA[0]


def allocation(number: int = 1, expires: float = 600.0) -> Allocation:
    return Allocation(
        allocation_id=number,
        client=number,
        username="1:student_1",
        profile="student_1",
        origin=b"",
        stream=False,
        relayed=RELAYED,
        transaction_id=b"",
        answer=b"",
        expires=expires,
    )


@pytest.mark.parametrize(
    ("requested", "given"), [(None, 600), (0, 600), (1, 600), (777, 777), (3600, 3600), (3601, 3600), (2**32 - 1, 3600)]
)
def test_an_allocation_lives_for_ten_minutes_to_an_hour(requested: int | None, given: int) -> None:
    assert lifetime(requested) == given


# -- permissions and channels -------------------------------------------------------------------------------------------


def test_a_permission_is_for_a_host_and_five_minutes() -> None:
    one = allocation()
    assert not one.permits(HOST, 0)
    one.permit(HOST, 0)
    assert one.permits(HOST, 299.9)
    assert not one.permits(HOST, 300)
    assert not one.permits("192.0.2.2", 0)
    one.permit(HOST, 250)
    assert one.permits(HOST, 549)


def test_permissions_that_are_over_are_forgotten() -> None:
    one = allocation()
    for number in range(100):
        one.permit(f"192.0.2.{number}", number * 100)
    assert len(one._permissions) == 3


def test_a_channel_is_bound_for_ten_minutes_and_gives_a_permission() -> None:
    one = allocation()
    one.bind(0x4000, MEDIA, 0)
    assert one.permits(HOST, 299)
    assert (one.peer_of(0x4000, 599), one.channel_of(MEDIA, 599)) == (MEDIA, 0x4000)
    assert (one.peer_of(0x4000, 600), one.channel_of(MEDIA, 600)) == (None, None)
    assert one.peer_of(0x4001, 0) is None
    assert one.channel_of(OTHER_WORKER, 0) is None


def test_a_channel_that_is_bound_again_lives_on() -> None:
    one = allocation()
    one.bind(0x4000, MEDIA, 0)
    one.bind(0x4000, MEDIA, 500)
    assert one.peer_of(0x4000, 1099) == MEDIA


@pytest.mark.parametrize("number", [0, 0x3FFF, 0x8000, 0xFFFF])
def test_other_numbers_are_no_channels(number: int) -> None:
    with pytest.raises(Refusal, match="400"):
        allocation().bind(number, MEDIA, 0)


def test_a_channel_keeps_its_peer_and_a_peer_its_channel_until_the_binding_ends() -> None:
    one = allocation()
    one.bind(0x4000, MEDIA, 0)
    with pytest.raises(Refusal, match="400"):
        one.bind(0x4000, OTHER_WORKER, 1)
    with pytest.raises(Refusal, match="400"):
        one.bind(0x4001, MEDIA, 1)
    assert one.peer_of(0x4000, 1) == MEDIA
    assert one.peer_of(0x4001, 1) is None
    one.bind(0x4001, OTHER_WORKER, 1)
    one.bind(0x4000, MEDIA_IPV6, 600)
    assert one.peer_of(0x4000, 600) == MEDIA_IPV6
    assert one.channel_of(MEDIA, 600) is None
    one.bind(0x4002, MEDIA, 600)
    assert one.channel_of(MEDIA, 600) == 0x4002


# -- the table ----------------------------------------------------------------------------------------------------------


def test_an_allocation_is_found_by_its_client_and_by_its_id() -> None:
    table = Allocations()
    first, second = allocation(1), allocation(2)
    table.add(first)
    table.add(second)
    assert table.of(1) is table.get(1) is first
    assert table.of(3) is table.get(3) is None
    assert len(table) == 2
    table.remove(first)
    assert table.of(1) is table.get(1) is None
    assert table.next_id == 3


def test_each_ends_at_its_time_and_once() -> None:
    table = Allocations()
    assert table.deadline() is None
    first, second = allocation(1, expires=700), allocation(2, expires=600)
    table.add(first)
    table.add(second)
    assert table.deadline() == 600
    assert table.expired(599.9) == []
    assert table.expired(600) == [second]
    table.remove(second)
    assert table.deadline() == 700
    assert table.expired(1000) == [first]
    assert table.expired(1000) == []


def test_a_refreshed_one_ends_later() -> None:
    table, one = Allocations(), allocation()
    table.add(one)
    table.prolong(one, 1200)
    assert table.expired(600) == []
    assert table.deadline() == 1200
    assert table.expired(1200) == [one]


def test_an_allocation_with_a_shortened_lifetime_ends_earlier() -> None:
    table, one = Allocations(), allocation(expires=3600)
    table.add(one)
    table.prolong(one, 601)
    assert table.deadline() == 601
    assert table.expired(601) == [one]


def test_neither_refreshes_nor_short_lives_pile_up() -> None:
    table, one = Allocations(), allocation(1)
    table.add(one)
    for number in range(10_000):
        table.prolong(one, number / 100 + (3600 if number % 2 else 600))
    for number in range(2, 10_000):
        table.add(allocation(number, expires=3600))
        other = table.get(number)
        assert other is not None
        table.remove(other)
    assert len(table._ends) < 100


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 900), st.integers(600, 3600)), max_size=60))
def test_each_allocation_ends_exactly_at_its_expiry_in_any_sequence(steps: list[tuple[int, int, int]]) -> None:
    table, expected, now = Allocations(), dict[int, float](), 0.0
    for which, wait, seconds in steps:
        now += wait
        ended = {one.allocation_id for one in table.expired(now)}
        assert ended == {number for number, end in expected.items() if end <= now}
        for number in ended:
            one = table.get(number)
            assert one is not None
            table.remove(one)
            del expected[number]
        if which == 0 or not expected:
            expected[table.next_id] = now + seconds
            table.add(allocation(table.next_id, expires=now + seconds))
        else:
            number = list(expected)[which % len(expected)]
            one = table.get(number)
            assert one is not None
            if which == 1:
                table.remove(one)
                del expected[number]
            else:
                table.prolong(one, now + seconds)
                expected[number] = now + seconds
        deadline = table.deadline()
        assert not expected or (deadline is not None and deadline <= min(expected.values()))

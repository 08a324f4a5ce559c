"""What other nodes send to a device, in order, by whichever way it comes."""

import itertools

import pytest

from relay.cluster.messages import ToDevice
from relay.cluster.values import NodeRef
from relay.signaling.presence.inflow import Inflow

OWNER = NodeRef("a", 1)


def message(order: int, stream: int = 1) -> ToDevice:
    return ToDevice("d", b"{}", False, OWNER, stream, order)


def orders(messages: list[ToDevice]) -> list[int]:
    return [one.order for one in messages]


@pytest.mark.parametrize("arrival", [*itertools.permutations([1, 2, 3, 4])])
def test_in_whichever_order_messages_come_they_are_taken_in_that_in_which_they_were_sent(arrival: tuple[int, ...]) -> None:
    inflow = Inflow()
    taken = [order for number in arrival for order in orders(inflow.take(message(number)))]
    assert taken == [1, 2, 3, 4]
    assert inflow.held == {}


def test_a_device_that_has_moved_goes_on_where_its_former_home_was() -> None:
    inflow = Inflow(stream=1, taken=2)
    assert orders(inflow.take(message(4))) == []
    assert orders(inflow.take(message(3))) == [3, 4]


def test_the_messages_of_another_call_begin_anew_and_nothing_of_the_one_before_is_lost() -> None:
    inflow = Inflow()
    inflow.take(message(1))
    assert orders(inflow.take(message(3))) == []
    assert [(one.stream, one.order) for one in inflow.take(message(1, stream=2))] == [(1, 3), (2, 1)]
    assert [(one.stream, one.order) for one in inflow.take(message(2))] == [(1, 2)], "late, but not lost"
    assert orders(inflow.take(message(2, stream=2))) == [2]


def test_what_waits_can_be_sent_after_a_device() -> None:
    inflow = Inflow()
    for order in (4, 3):
        inflow.take(message(order))
    assert orders(inflow.rest()) == [3, 4]
    assert inflow.rest() == []

"""Which node is to own a new call, as a node sees it from the cards in Redis."""

from dataclasses import replace

import pytest

from relay.cluster.choose import RAMP
from relay.cluster.redis.cluster import NodeState
from relay.ids import Profile
from tests.kit.nodes import STEADY, Node, given, nodes_on
from tests.kit.redis_server import RedisServer
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers


def says(node: Node, load: float, turn_urls: tuple[str, ...] = ()) -> None:
    """What stands on its card from its next renewal on."""
    node.cluster.state = lambda: NodeState(load=load, turn_urls=turn_urls)


def load_of(node: Node, seen_by: Node) -> float | None:
    found = [one.load for one in seen_by.cluster.nodes() if one.ref == node.me]
    return found[0] if found else None


async def sees(node: Node, other: Node, load: float) -> None:
    await eventually(lambda: load_of(other, node) == pytest.approx(load), f"{node.me.name} sees the load of {other.me.name}")


async def test_the_node_with_less_to_do_is_chosen_and_its_own_node_where_both_have_the_same(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        await sees(a, b, 0.0)
        await sees(b, a, 0.0)
        assert (a.cluster.choose(()), b.cluster.choose(())) == (a.me, b.me)
        says(a, 0.5)
        assert a.cluster.choose(()) == b.me, "it knows its own load at once"
        await sees(b, a, 0.5)
        assert b.cluster.choose(()) == b.me


async def test_a_call_that_another_node_was_given_counts_at_once_and_only_once(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        await sees(a, b, 0.0)
        says(a, 0.055)

        def begun() -> int:
            return next(one.begun for one in a.cluster.nodes() if one.ref == b.me)

        for number in range(4):
            assert a.cluster.choose(()) == b.me, "it has less to do"
            a.cluster.placed(b.me, number)
        assert a.cluster.choose(()) == a.me, "that makes four more calls there"
        for number in range(1, 5):
            await given(b, Profile("student", number), Profile("tutor", number))
        await sees(a, b, 4 * RAMP)
        assert begun() == 4
        assert a.cluster.choose(()) == a.me, "its card shows them now"
        says(a, 0.07)
        assert a.cluster.choose(()) == b.me, "or they would count twice: 0.04, and not 0.08"
        assert a.counted("calls_placed") == 4


async def test_a_node_that_would_not_own_a_call_is_not_asked_again_for_some_seconds(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b", timing=replace(STEADY, avoid=0.5)) as (a, b):
        await sees(a, b, 0.0)
        says(a, 0.5)
        assert a.cluster.choose(()) == b.me
        a.cluster.placed(b.me, None)
        assert a.cluster.choose(()) == a.me
        await eventually(lambda: a.cluster.choose(()) == b.me, "it is asked again")
        assert a.counted("placements_denied") == 1


async def test_a_call_goes_to_no_node_whose_turn_server_its_caller_is_not_told(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        says(a, 0.5, ("turn:a.example",))
        says(b, 0.0)
        await sees(a, b, 0.0)
        assert a.cluster.choose(()) == a.me
        says(b, 0.0, ("turn:b.example",))
        await eventually(lambda: a.cluster.choose(()) == b.me, "it is told that one")


async def test_a_node_that_is_gone_is_not_chosen(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        await sees(a, b, 0.0)
        says(a, 0.9)
        a.cluster.placed(b.me, 7)
        await b.cluster.close(in_order=True)
        await eventually(lambda: len(a.cluster.nodes()) == 1, "it is gone")
        assert a.cluster.choose([b.me]) == a.me

"""What nodes count together for rate limits."""

import asyncio

import pytest
from redis.asyncio import Redis

from relay.ids import new_id
from tests.kit.nodes import SHORT, Node, nodes_on
from tests.kit.redis_server import RedisServer
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers


async def counted(node: Node, name: str, seconds: int = 60) -> tuple[int, float]:
    """Count one: the count of all nodes, and the seconds that are left."""
    told: list[tuple[int, float]] = []
    node.cluster.count({name: seconds}, told.extend)
    return (await eventually(lambda: told, "it is counted"))[0]


async def test_nodes_count_together_in_a_window_that_begins_with_the_first_count(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        (first, whole), (second, left) = await counted(a, "calls"), await counted(b, "calls")
        assert (first, second) == (1, 2)
        assert 0 < left <= whole <= 60
        assert (await counted(b, "others"))[0] == 1
        both: list[tuple[int, float]] = []
        b.cluster.count({"calls": 60, "others": 3600}, both.extend)
        await eventually(lambda: both, "it is counted in both")
        assert [count for count, _ in both] == [3, 2]


async def test_a_window_that_has_ended_begins_anew(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a") as (a,):
        assert (await counted(a, "calls", 1))[0] == 1

        async def anew() -> bool:
            return (await counted(a, "calls", 1))[0] == 1

        await eventually(anew, "the second is over")


async def test_what_is_counted_while_redis_hangs_waits_for_nothing_and_is_given_up(own_redis: RedisServer) -> None:
    async with nodes_on(own_redis.url, "a", timing=SHORT) as (a,):
        told: list[tuple[int, float]] = []
        own_redis.stop()
        for _ in range(20):
            a.cluster.count({"calls": 60}, told.extend)
        counts = a.cluster._running.counts
        assert len(counts._under_way) == 20
        await eventually(lambda: not counts._under_way, "they are given up")
        await eventually(lambda: not a.cluster.may_act(), "the lease is lost")
        a.cluster.count({"calls": 60}, told.extend)
        assert not counts._under_way, "without the lease, nothing is counted for all nodes"
        own_redis.go_on()
        await eventually(a.cluster.may_act, "the lease is back")
        assert (await counted(a, "calls"))[0] <= 21
        assert told == []


async def test_a_window_of_another_application_is_left_alone(shared_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    namespace = new_id()
    async with nodes_on(shared_redis.url, "a", namespace=namespace) as (a,), Redis(port=shared_redis.port) as redis:
        await redis.set(f"relay:{{{namespace}}}:lim:calls", "something else")
        told: list[tuple[int, float]] = []
        a.cluster.count({"calls": 60}, told.extend)
        await eventually(lambda: a.counted("foreign_keys"), "it is noticed")
        await asyncio.sleep(0)
        assert told == []
        assert await redis.get(f"relay:{{{namespace}}}:lim:calls") == b"something else"
    assert "is not the relay's" in caplog.text

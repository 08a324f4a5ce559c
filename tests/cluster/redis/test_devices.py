"""The devices of a profile, as nodes see them that are not their homes."""

import hashlib
import sys

import pytest

from relay.cluster.redis.keys import device_of, pack
from relay.cluster.values import DeviceCard, NodeRef
from relay.ids import Profile
from tests.kit.nodes import Counted, given, nodes_on
from tests.kit.redis_server import RedisServer

pytestmark = pytest.mark.servers

ADA = Profile("student", 1)
TOKEN = hashlib.sha256(b"token").digest()


async def test_a_device_is_found_at_other_nodes_in_the_order_in_which_it_came(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b", "c") as (a, b, c):
        first, second = a.device(ADA, "z"), b.device(ADA, "y")
        for node, device in ((a, first), (b, second)):
            assert await node.cluster.enlist(device, b"") is None
        assert list(await c.cluster.devices_of(ADA)) == [first, second]
        away = a.device(ADA, "z", connected=False)
        await a.cluster.enlist(away, TOKEN)
        assert list(await c.cluster.devices_of(ADA)) == [away, second]
        assert list(await a.cluster.devices_of(ADA)) == [second]
        assert await c.cluster.whose(TOKEN) == away
        assert await c.cluster.whose(b"x" * 32) is None
        a.cluster.dismiss(away, TOKEN)
        assert await a.cluster.whose(TOKEN) is None
        assert list(await c.cluster.devices_of(ADA)) == [second]


async def test_a_device_that_another_node_has_enlisted_since_stays(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b", "c") as (a, b, c):
        old = a.device(ADA, "z")
        await a.cluster.enlist(old, TOKEN)
        moved = b.device(ADA, "z")
        await b.cluster.enlist(moved, TOKEN)
        a.cluster.dismiss(old, TOKEN)
        assert await a.cluster.whose(TOKEN) == moved
        assert list(await c.cluster.devices_of(ADA)) == [moved]


async def test_the_home_of_a_device_learns_the_call_of_its_profile(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        ben = Profile("tutor", 2)
        claim = await given(a, ADA, ben)
        assert await b.cluster.enlist(b.device(ben), b"") == claim


async def test_a_device_comes_back_by_its_token_though_its_home_is_lost(own_redis: RedisServer) -> None:
    counted = Counted()
    async with nodes_on(own_redis.url, "b", "c", namespace="n", counted=counted) as (b, c):
        async with nodes_on(own_redis.url, "a", namespace="n", counted=counted) as (a,):
            old = a.device(ADA, "old")
            await a.cluster.enlist(old, TOKEN)
        assert await b.cluster.whose(TOKEN) == old
        assert list(await b.cluster.devices_of(ADA)) == []
        new = b.device(ADA, "new", replaces="old")
        await b.cluster.enlist(new, TOKEN)
        assert await c.cluster.whose(TOKEN) == new
        assert list(await c.cluster.devices_of(ADA)) == [new]


def test_the_card_of_a_remote_device_takes_less_than_2_kilobytes() -> None:
    home = NodeRef("a-node-with-a-long-name.relay.example.org", 12_345)
    packed = pack(DeviceCard(ADA, "f" * 32, home, 2, connected=True, remote_address="2001:db8::1", replaces="e" * 32))
    card = device_of(packed)
    parts = [card, card.device_id, card.home, card.home.name, card.remote_address, card.replaces]
    assert len(packed) < 400
    assert sum(map(sys.getsizeof, parts)) < 2048

"""Redis hangs, dies, forgets, and fails over; nodes die, stop and wake."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from relay.errors import Unavailable
from relay.ids import Profile, new_id
from tests.kit.nodes import SHORT, Counted, Node, given, node_on, nodes_on
from tests.kit.redis_server import RedisServer, redis_server, sentinel_of
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers

ADA, BEN, CAI = Profile("student", 1), Profile("tutor", 2), Profile("parent", 3)
TOKEN = b"t" * 32


async def know_each_other(*nodes: Node) -> None:
    await eventually(
        lambda: all(len(one.cluster.nodes()) == len(nodes) for one in nodes) and all(one.cluster.may_act() for one in nodes),
        "the nodes know each other",
    )


async def kill(node: Node) -> None:
    """End a node as `kill -9` would: no word to the others."""
    for one in node.cluster._tasks:
        one.cancel()
    await asyncio.gather(*node.cluster._tasks, return_exceptions=True)
    parts = node.cluster._running
    for link in parts.links:
        await link.close()


async def test_a_node_that_dies_is_lost_once_its_lease_has_run_out_and_not_before(own_redis: RedisServer) -> None:
    counted = Counted()
    dying = node_on(own_redis.url, "n", "dying", counted, SHORT)
    async with nodes_on(own_redis.url, "a", namespace="n", counted=counted, timing=SHORT) as (a,):
        await dying.cluster.start()
        await know_each_other(a, dying)
        claim = await given(dying, ADA, BEN)
        await kill(dying)
        assert await a.cluster.call_of(ADA) == claim
        assert a.cluster.lives(dying.me)
        await eventually(lambda: a.heard.gone == [dying.me], "the other node is lost")
        assert not a.cluster.lives(dying.me)
        assert await a.cluster.orphan_of(ADA) == claim
        taken = await a.cluster.take_over(claim)
        assert taken is not None
        assert taken.owner == a.me


@contextlib.asynccontextmanager
async def in_use(redis: RedisServer) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes, a call of the first and a device of each."""
    async with nodes_on(redis.url, "a", "b", namespace="n", timing=SHORT) as (a, b):
        await know_each_other(a, b)
        claim = await given(a, ADA, BEN)
        a.cluster.keep(claim.call_id, b"sheet")
        device, other = a.device(ADA, "one"), b.device(BEN, "two")
        await a.cluster.enlist(device, TOKEN)
        await b.cluster.enlist(other, b"")
        a.say(b, b"before")
        await eventually(lambda: b.heard.frames == [b"before"], "messages arrive")
        yield a, b
        await eventually(lambda: a.cluster.may_act() and b.cluster.may_act(), "both have their leases")

        async def all_is_there() -> bool:
            with contextlib.suppress(Unavailable):
                return (
                    await b.cluster.call_of(BEN) == claim
                    and await b.cluster.sheet_of(claim.call_id) == b"sheet"
                    and list(await b.cluster.devices_of(ADA)) == [device]
                    and list(await a.cluster.devices_of(BEN)) == [other]
                    and await b.cluster.whose(TOKEN) == device
                )
            return False

        await eventually(all_is_there, "Redis has everything again")
        assert (await given(b, BEN, CAI)) == claim
        a.say(b, b"after")
        await eventually(lambda: b"after" in b.heard.frames, "messages arrive again")
        assert a.heard.gone == b.heard.gone == []


async def test_a_redis_that_is_emptied_gets_everything_again_from_the_same_incarnations(own_redis: RedisServer) -> None:
    async with in_use(own_redis) as (a, b):
        async with Redis(port=own_redis.port) as redis:
            await redis.flushall()
        await eventually(lambda: a.heard.leases and b.heard.leases, "both notice")
        assert a.heard.leases == b.heard.leases == ["restored"]
        assert b.heard.missing == [a.me]


async def test_a_redis_that_is_killed_and_comes_back_empty_gets_everything_again(own_redis: RedisServer) -> None:
    async with in_use(own_redis) as (a, b):
        own_redis.kill()
        a.say(b, b"meanwhile")
        own_redis.start()
        await eventually(lambda: "restored" in a.heard.leases and "restored" in b.heard.leases, "both notice")
        assert a.me in b.heard.missing


async def test_a_redis_that_is_away_for_longer_than_a_lease_ends_no_call(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with in_use(own_redis) as (a, b):
        own_redis.stop()
        await eventually(lambda: a.heard.leases == ["fenced"] and b.heard.leases == ["fenced"], "both are fenced")
        assert not a.cluster.may_act()
        with pytest.raises(Unavailable, match="does not hold its lease"):
            await a.cluster.claim(new_id(), (CAI, ADA))
        with pytest.raises(Unavailable):
            await a.cluster.devices_of(CAI)
        a.say(b, b"while it hangs")
        own_redis.go_on()
        await eventually(lambda: a.heard.leases == ["fenced", "restored"] == b.heard.leases, "both have their leases again")
    outages, failures = (sum(one.counted(f"redis_{name}") for one in (a, b)) for name in ("outages", "failures"))
    assert caplog.text.count("Redis is away: ") == outages < failures, "once an outage, and not once a command"
    assert "Redis is back after" in caplog.text


async def test_what_was_released_while_redis_hung_is_released_when_it_is_back(own_redis: RedisServer) -> None:
    async with nodes_on(own_redis.url, "a", "b", namespace="n", timing=SHORT) as (a, b):
        await know_each_other(a, b)
        claim = await given(a, ADA, BEN)
        own_redis.stop()
        asked = asyncio.create_task(a.cluster.claim("late", (CAI, Profile("student", 9))))
        with pytest.raises(Unavailable):
            await asked
        a.cluster.release(claim)
        own_redis.go_on()

        async def free() -> bool:
            with contextlib.suppress(Unavailable):
                return await b.cluster.call_of(ADA) is None and await b.cluster.call_of(CAI) is None
            return False

        await eventually(free, "both are free")
        assert (await given(b, CAI, ADA)).owner == b.me


async def test_a_short_pause_of_redis_is_not_noticed(own_redis: RedisServer) -> None:
    async with in_use(own_redis) as (a, b):
        own_redis.stop()
        await eventually(lambda: a.counted("renewals_failed"), "a renewal fails")
        own_redis.go_on()
        await eventually(a.cluster.may_act, "the lease is held")
        assert "fenced" not in a.heard.leases + b.heard.leases


async def test_a_node_that_was_stopped_may_not_act_when_it_wakes_and_is_fenced(own_redis: RedisServer) -> None:
    async with nodes_on(own_redis.url, "a", timing=SHORT) as (a,):
        await eventually(a.cluster.may_act, "the lease is held")
        time.sleep(SHORT.lease.duration + 0.1)  # noqa: ASYNC251 - nothing of the process runs meanwhile
        assert not a.cluster.may_act()
        with pytest.raises(Unavailable):
            await a.cluster.claim(new_id(), (ADA, BEN))
        await eventually(lambda: a.heard.leases == ["fenced", "restored"], "it is fenced, and comes back")


async def test_two_nodes_of_one_name_are_two(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "same", "same") as (a, b):
        await know_each_other(a, b)
        claim = await given(a, ADA, BEN)
        assert await b.cluster.call_of(ADA) == claim
        assert (await b.cluster.claim("other", (ADA, CAI))).claim == claim
        a.say(b, b"to the other one")
        await eventually(lambda: b.heard.frames == [b"to the other one"], "it arrives there")
        assert a.heard.frames == []
        assert [one.ref for one in a.cluster.nodes()] == [a.me, b.me]


async def test_nodes_go_on_at_the_replica_that_sentinels_make_the_master() -> None:
    with (
        redis_server("--repl-diskless-sync-delay", "0") as master,
        redis_server("--replicaof", "127.0.0.1", str(master.port)),
        sentinel_of(master, "calls") as sentinel,
    ):
        async with Redis(port=sentinel.port, decode_responses=True) as asked:

            async def knows_the_replica() -> bool:
                found = await asked.execute_command("SENTINEL", "REPLICAS", "calls")  # type: ignore[no-untyped-call]
                return any(one.get("flags") == "slave" and one.get("master-link-status") == "ok" for one in found)

            await eventually(knows_the_replica, "the Sentinel knows the replica", within=30)
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/calls"
        async with nodes_on(url, "a", "b", timing=SHORT) as (a, b):
            await know_each_other(a, b)
            claim = await given(a, ADA, BEN)
            async with Redis(port=master.port) as redis:
                await redis.wait(1, 2000)
            master.kill()
            await eventually(lambda: "restored" in a.heard.leases and a.cluster.may_act(), "the node goes on", within=40)

            async def known() -> bool:
                with contextlib.suppress(Unavailable):
                    return await b.cluster.call_of(ADA) == claim
                return False

            await eventually(known, "the claim stands")

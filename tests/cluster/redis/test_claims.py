"""Claims of profiles: one call for each, whichever node begins it."""

import asyncio
from collections import Counter

import pytest

from relay.ids import Profile, new_id
from tests.kit.nodes import Counted, given, nodes_on
from tests.kit.redis_server import RedisServer
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers

ADA, BEN, CAI = Profile("student", 1), Profile("tutor", 2), Profile("parent", 3)


async def test_a_claim_stands_for_both_profiles_at_every_node_until_it_is_released(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        mine = await given(a, ADA, BEN)
        assert mine.owner == a.me
        assert await b.cluster.call_of(ADA) == await b.cluster.call_of(BEN) == await a.cluster.call_of(ADA) == mine
        assert (await b.cluster.claim("other", (CAI, BEN))).claim == mine
        assert await b.cluster.call_of(CAI) is None
        assert await b.cluster.orphan_of(ADA) is None
        a.cluster.release(mine)
        assert await a.cluster.call_of(ADA) is None
        assert (await b.cluster.claim("other", (CAI, BEN))).claim.call_id == "other"
        assert (b.counted("claims"), b.counted("claims_refused")) == (1, 1)


async def test_a_claim_after_a_release_finds_it_released(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a") as (a,):
        claim = await given(a, ADA, BEN)
        for number in range(200):
            a.cluster.release(claim)
            claim = (await a.cluster.claim(f"call-{number}", (BEN, ADA) if number % 2 else (ADA, BEN))).claim
            assert claim.call_id == f"call-{number}"


async def test_two_nodes_that_claim_the_same_two_profiles_at_once_have_one_winner_ten_thousand_times(
    shared_redis: RedisServer,
) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        a.cluster.release(await given(a, ADA, BEN))
        winners: Counter[str] = Counter()

        async def glare(number: int) -> None:
            one, other = Profile("student", 10 + number), Profile("tutor", 10 + number)
            pair = [a.cluster.claim(f"a{number}", (one, other)), b.cluster.claim(f"b{number}", (other, one))]
            first, second = (one.claim for one in await asyncio.gather(*pair))
            assert first == second
            winners[first.owner.name] += 1
            (a if first.owner == a.me else b).cluster.release(first)

        for start in range(0, 10_000, 50):
            await asyncio.gather(*(glare(number) for number in range(start, start + 50)))
        assert winners.total() == 10_000
        assert a.counted("claims") + b.counted("claims") == 10_001


async def test_the_claims_of_a_node_that_is_lost_are_void_and_one_successor_takes_the_call_over(own_redis: RedisServer) -> None:
    counted = Counted()
    async with nodes_on(own_redis.url, "b", "c", namespace="n", counted=counted) as (b, c):
        async with nodes_on(own_redis.url, "a", namespace="n", counted=counted) as (a,):
            claim = await given(a, ADA, BEN)
            a.cluster.keep(claim.call_id, b"sheet")
            assert await a.cluster.sheet_of(claim.call_id) == b"sheet"
        assert await b.cluster.call_of(ADA) is None
        orphan = await b.cluster.orphan_of(BEN)
        assert orphan == claim
        taken = await asyncio.gather(b.cluster.take_over(claim), c.cluster.take_over(claim))
        [successor] = [one for one in taken if one is not None]
        assert await b.cluster.call_of(ADA) == await c.cluster.call_of(BEN) == successor
        assert await b.cluster.orphan_of(ADA) is None
        assert await c.cluster.sheet_of(claim.call_id) == b"sheet"
        assert await c.cluster.take_over(claim) in (None, successor)
        (b if successor.owner == b.me else c).cluster.release(successor)
        assert await (b if successor.owner == b.me else c).cluster.sheet_of(claim.call_id) is None


async def test_a_call_whose_owner_lives_is_not_taken_over(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        claim = await given(a, ADA, BEN)
        assert await b.cluster.take_over(claim) is None
        assert await a.cluster.call_of(ADA) == claim


async def test_a_claim_whose_caller_gave_up_is_undone(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a") as (a,):
        a.cluster.release(await given(a, ADA, BEN))
        for _ in range(20):
            claiming = asyncio.create_task(a.cluster.claim(new_id(), (ADA, BEN)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            claiming.cancel()

        async def free() -> bool:
            return await a.cluster.call_of(ADA) is None

        await eventually(free, "no claim is left")


async def test_a_claim_in_a_redis_that_is_new_waits_until_the_nodes_have_written_what_they_had(own_redis: RedisServer) -> None:
    async with nodes_on(own_redis.url, "a") as (a,):
        claim = (await a.cluster.claim(new_id(), (ADA, BEN))).claim
        assert claim.owner == a.me
        assert await a.cluster.call_of(BEN) == claim

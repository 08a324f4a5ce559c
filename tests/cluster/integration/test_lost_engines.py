"""Redis and PostgreSQL that die, hang, or come back empty while a call goes on between nodes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from relay.client import ClientCall, ClientError, Refused
from tests.cluster.integration.people import People, chat_crosses, goes_on, lost, talk
from tests.kit.databases import PostgresServer
from tests.kit.outages import refusing
from tests.kit.redis_server import RedisServer
from tests.kit.served_cluster import ServedCluster
from tests.kit.wait import eventually

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("lost_engines")]


@contextlib.asynccontextmanager
async def killed(redis: RedisServer) -> AsyncIterator[None]:
    """It is started again, and has nothing."""
    redis.kill()
    try:
        yield
    finally:
        redis.start()


@contextlib.asynccontextmanager
async def stopped(redis: RedisServer) -> AsyncIterator[None]:
    """For eight seconds, as one that swaps: leases run out at the nodes, and at Redis once it goes on."""
    redis.stop()
    try:
        yield
        await asyncio.sleep(8)  # the length of the outage is what is tested
    finally:
        redis.go_on()


@contextlib.asynccontextmanager
async def flushed(redis: RedisServer) -> AsyncIterator[None]:
    async with Redis(port=redis.port) as client:
        await client.flushall()
    yield


@pytest.mark.parametrize("outage", [killed, stopped, flushed], ids=["killed and empty", "stopped for 8 s", "flushed"])
async def test_a_call_between_nodes_outlives_redis(
    cluster: ServedCluster,
    people: People,
    shared_redis: RedisServer,
    outage: Callable[[RedisServer], Any],
    record_property: Callable[[str, object], None],
) -> None:
    loop = asyncio.get_running_loop()
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    parent = await people.join("parent_321", cluster.c)
    advertiser = await people.join("advertiser_654", cluster.b)
    scope = await parent.client.new_conversation(advertiser.client.profile)
    call, other = await talk(caller, callee)
    async with outage(shared_redis):
        if outage is not flushed:  # that one is over at once
            with pytest.raises(Refused, match="unavailable"):
                await parent.client.call("advertiser_654", "voice", scope)
        if outage is stopped:  # for so long that nothing is said of the call to a device that comes back
            callee.path.cut()
            callee.path.mend()
            await eventually(lambda: callee.types().count("welcome") > 1, "the callee's device is back")
        await goes_on(call, other)
    back_at = loop.time()

    async def begun() -> ClientCall | None:
        with contextlib.suppress(ClientError):
            return await parent.client.call("advertiser_654", "voice", scope)
        return None

    new = await eventually(begun, "calls are taken again")
    record_property("seconds until calls are taken again", round(loop.time() - back_at, 1))
    await new.hang_up()
    await chat_crosses(call, other, caller, callee, "back")
    await goes_on(call, other)
    assert lost(call, other) == 0
    await call.hang_up()
    assert await other.ended() == "hangup"


async def test_a_call_between_nodes_outlives_a_restart_of_postgresql(
    cluster: ServedCluster, people: People, postgresql: PostgresServer
) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    parent = await people.join("parent_321", cluster.c)
    call, other = await talk(caller, callee)
    async with refusing(postgresql, cluster.database_url):
        with pytest.raises(Refused, match="unavailable"):
            await parent.client.call("student_456", "voice", 125)
        await chat_crosses(call, other, caller, callee, "without a database")
        await goes_on(call, other)
        await call.hang_up()
        assert await other.ended() == "hangup"
    assert (await cluster.finished(call.call_id))["end_reason"] == "hangup"

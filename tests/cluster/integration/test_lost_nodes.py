"""Nodes that are killed, that hang, that drain, or that are cut off from Redis while calls go on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from relay.client import ClientCall, Refused
from tests.cluster.integration.people import People, Person, came_back, chat_crosses, goes_on, lost, move, rung, talk
from tests.kit.served_cluster import ServedCluster, ServedNode, metrics
from tests.kit.wait import eventually

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("lost_nodes")]

LEASE = 9.0
"""Seconds after which the others may know that a node is lost."""


async def lease_is(node: ServedNode, held: bool) -> None:
    """Wait until a node holds its lease, or does not."""

    async def found() -> bool:
        return (await metrics(node))["relay_cluster_lease_held"] == held

    await eventually(found, f"node {node.name} {'holds' if held else 'has lost'} its lease")


async def knows(node: ServedNode, number: int) -> None:
    """Wait until a node sees so many nodes that live."""

    async def found() -> bool:
        return (await metrics(node))["relay_cluster_nodes"] == number

    await eventually(found, f"node {node.name} sees {number} nodes", within=3 * LEASE)


async def home_of(callee: Person, call: ClientCall, cluster: ServedCluster) -> ServedNode:
    """The node that a callee is with, where it was with `b`; if that owns the call, it is another one from now on."""
    if await cluster.owner(call.call_id) is not cluster.b:
        return cluster.b
    await move(callee, cluster.c, cluster.a)
    return cluster.c


async def test_a_call_outlives_the_homes_of_both_its_devices(cluster: ServedCluster, people: People) -> None:
    """They are killed one after the other; the third node owns the call."""
    loop = asyncio.get_running_loop()
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    answered_at = loop.time()
    call, other = await talk(caller, callee)
    owner = await cluster.owner(call.call_id)
    one, two = (node for node in cluster.nodes if node is not owner)
    await move(caller, one, owner)
    await move(callee, two, owner)
    welcomes = callee.types().count("welcome")
    await two.kill()
    await goes_on(call, other)
    await came_back(callee, welcomes)
    await chat_crosses(call, other, caller, callee, "one")
    welcomes = caller.types().count("welcome")
    await one.kill()
    await goes_on(call, other)
    await came_back(caller, welcomes)
    await chat_crosses(call, other, caller, callee, "two")
    await knows(owner, 1)
    await goes_on(call, other)
    await call.hang_up()
    lasted = loop.time() - answered_at
    assert await other.ended() == "hangup"
    row = await cluster.finished(call.call_id)
    assert (row["status"], row["end_reason"], row["node"]) == ("ended", "hangup", owner.name)
    assert abs(row["duration_seconds"] - lasted) <= 1.5, "rounded down, and the answer took a moment"


async def test_devices_of_a_node_that_drains_come_back_at_another_one_and_their_call_goes_on(
    cluster: ServedCluster, people: People
) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    call, other = await talk(caller, callee)
    home = await home_of(callee, call, cluster)
    home.drain()
    await asyncio.wait_for(home.process.wait(), 20)
    await chat_crosses(call, other, caller, callee, "still there")
    assert lost(call, other) == 0
    await call.hang_up()


async def test_a_node_that_is_cut_off_from_redis_for_five_seconds_is_missed_by_no_other(
    cluster: ServedCluster, people: People
) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    call, other = await talk(caller, callee)
    home = await home_of(callee, call, cluster)
    await chat_crosses(call, other, caller, callee, "before")  # behind what is told to a device that has moved
    told = len(caller.heard), len(callee.heard)
    home.redis.freeze()
    waiting = asyncio.create_task(chat_crosses(call, other, caller, callee, "meanwhile"))
    await asyncio.sleep(5)  # the length of the outage is what is tested
    home.redis.thaw()
    await waiting
    news = [*caller.heard[told[0] :], *callee.heard[told[1] :]]
    assert {one["type"] for one in news} <= {"call_chat", "call_quality"}, "neither party hears of it"
    assert lost(call, other) == 0
    await call.hang_up()


@contextlib.asynccontextmanager
async def cut_off(node: ServedNode) -> AsyncIterator[None]:
    """A node is without Redis until it has lost its lease, and longer."""
    node.redis.freeze()
    await lease_is(node, held=False)
    yield
    node.redis.thaw()
    await lease_is(node, held=True)


async def test_a_node_that_is_cut_off_for_longer_begins_no_calls_and_drops_none(cluster: ServedCluster, people: People) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    call, other = await talk(caller, callee)
    home = await home_of(callee, call, cluster)
    parent = await people.join("parent_321", home)
    async with cut_off(home):
        with pytest.raises(Refused, match="unavailable"):
            await parent.client.call("tutor_789", "voice", 124)
        await knows(await cluster.owner(call.call_id), 2)
        await goes_on(call, other)
    await cluster.whole()
    await chat_crosses(call, other, caller, callee, "back")
    assert lost(call, other) == 0
    await call.hang_up()
    assert await other.ended() == "hangup"
    again = await parent.client.call("tutor_789", "voice", 124)
    await (await rung(callee)).decline()
    await again.ended()


async def test_a_home_that_hangs_for_twenty_seconds_says_nothing_to_devices_that_have_moved(
    cluster: ServedCluster, people: People
) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    call, other = await talk(caller, callee)
    owner, home = await cluster.owner(call.call_id), await home_of(callee, call, cluster)
    await move(caller, owner)
    home.stop()
    await move(callee, owner)
    await knows(owner, 2)
    home.go_on()
    await cluster.whole()
    await chat_crosses(call, other, caller, callee, "still there")
    await goes_on(call, other)
    await call.hang_up()
    assert await other.ended() == "hangup"


async def test_a_call_whose_owner_is_killed_goes_on_at_another_node(
    cluster: ServedCluster, people: People, record_property: Callable[[str, object], None]
) -> None:
    loop = asyncio.get_running_loop()
    caller, callee = await people.join("student_456", cluster.a, cluster.c), await people.join("tutor_789", cluster.b)
    answered_at = loop.time()
    call, other = await talk(caller, callee)
    await kept_for_successors(cluster, call)
    killed_at, owner = loop.time(), await cluster.owner(call.call_id)
    await owner.kill()
    await taken_over(caller, callee)
    await eventually(lambda: {call.state, other.state} == {"connected"}, "media flows again", within=30)
    await goes_on(call, other)
    record_property("seconds until media flows after the owner was killed", round(loop.time() - killed_at, 1))
    await chat_crosses(call, other, caller, callee, "hello")
    await call.hang_up()
    lasted = loop.time() - answered_at
    assert await other.ended() == "hangup"
    row = await cluster.finished(call.call_id)
    assert (row["status"], row["end_reason"]) == ("ended", "hangup")
    assert row["node"] != owner.name
    assert abs(row["duration_seconds"] - lasted) <= 1.5, "rounded down, and the answer took a moment"


async def test_an_owner_that_hangs_until_its_call_was_taken_over_writes_nothing_and_says_nothing(
    cluster: ServedCluster, people: People
) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    call, other = await talk(caller, callee)
    await kept_for_successors(cluster, call)
    before = await row_of(cluster, call)
    owner = await cluster.owner(call.call_id)
    owner.stop()
    one, two = (node for node in cluster.nodes if node is not owner)
    await move(caller, one)
    await move(callee, two)
    await taken_over(caller, callee)
    await eventually(lambda: {call.state, other.state} == {"connected"}, "media flows again", within=30)
    after = await row_of(cluster, call)
    assert after["owner_epoch"] != before["owner_epoch"]
    owner.go_on()
    await cluster.whole()
    await chat_crosses(call, other, caller, callee, "hello")
    await goes_on(call, other)
    row = await row_of(cluster, call)
    assert (row["status"], row["owner_epoch"], row["node"]) == ("answered", after["owner_epoch"], after["node"])
    await call.hang_up()
    assert await other.ended() == "hangup"
    assert (await cluster.finished(call.call_id))["end_reason"] == "hangup"


def states(person: Person) -> list[str]:
    return [str(one["state"]) for one in person.heard if one["type"] == "call_state"]


async def taken_over(*parties: Person) -> None:
    """Wait until another node has the call, and one of the parties is told so: one comes back after the other."""
    await eventually(
        lambda: any("reconnecting" in states(one) for one in parties),
        lambda: f"the call is taken over: {[one.types() for one in parties]}",
        within=30,
    )


async def kept_for_successors(cluster: ServedCluster, call: ClientCall) -> None:
    """Wait until Redis has what a successor of the call's owner needs."""
    await eventually(lambda: cluster.has_sheet(call.call_id), "the owner keeps what a successor needs")


async def row_of(cluster: ServedCluster, call: ClientCall) -> dict[str, Any]:
    row = await cluster.row(call.call_id)
    assert row is not None, "it is written down"
    return row


async def test_two_processes_of_one_name_end_no_calls_of_each_other(cluster: ServedCluster, people: People) -> None:
    """As in a rolling update, in which the new process begins before the old one ends. No other node takes a call."""
    await asyncio.gather(cluster.b.end(), cluster.c.end())
    await knows(cluster.a, 1)
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.a)
    call, other = await talk(caller, callee)
    async with cluster.twin(cluster.a) as twin:
        parent, advertiser = await people.join("parent_321", twin), await people.join("advertiser_654", twin)
        scope = await parent.client.new_conversation(advertiser.client.profile)
        await goes_on(call, other)
        second, third = await talk(parent, advertiser, scope=scope)
        assert [(await row_of(cluster, one))["end_reason"] for one in (call, second)] == [None, None]
        await second.hang_up()
        assert await third.ended() == "hangup"
        await parent.client.close()
        await advertiser.client.close()
    await goes_on(call, other)
    assert lost(call, other) == 0
    await call.hang_up()
    row = await cluster.finished(call.call_id)
    assert (row["end_reason"], row["node"]) == ("hangup", "a")

"""Calls of programs at three nodes, each a machine of its own: where media flows, and what is left when a node is cut off.

All machines have one clock here: a network namespace has none of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import pytest
import pytest_asyncio

from relay.client import ClientCall
from tests.cluster.integration.people import LESSONS, goes_on, hears, lost, taken
from tests.kit.peer import ToneTrack
from tests.kit.wait import PATIENCE, eventually
from tests.lab.gateways import Access
from tests.lab.nodes import LabCluster, Resident, Residents

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("three_nodes")]

CALLER, CALLEE = 440.0, 880.0
"""Hertz: what each sends."""

BACK: Final = 20.0
"""Seconds until media flows again by another node: 9 for the lease, and a few for the rest. On an idle machine it is 12."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LabCluster]:
    async with LabCluster.running(tmp_path_factory.mktemp("nodes")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def residents(cluster: LabCluster) -> AsyncIterator[Residents]:
    await cluster.whole()
    async with Residents.of(cluster) as residents:
        yield residents


async def talk(caller: Resident, callee: Resident, scope: int = LESSONS) -> tuple[ClientCall, ClientCall]:
    """A call in which both hear each other."""
    media = [ToneTrack(CALLER)]
    call = await caller.loop.run(caller.client.call(callee.client.profile, "voice", scope, media=media))
    other = await callee.loop.run(taken(callee, [ToneTrack(CALLEE)]))
    await caller.loop.run(call.connected())
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(caller.loop.run(hears(call, CALLEE)), callee.loop.run(hears(other, CALLER)))
    return call, other


async def test_media_of_a_call_between_two_nodes_flows_by_the_address_of_its_owner_and_by_no_other(
    cluster: LabCluster, residents: Residents
) -> None:
    home, office = cluster.site(0, Access.SYMMETRIC), cluster.site(1, Access.OPEN)
    caller, callee = await residents.join("student_456", home, cluster.a), await residents.join("tutor_789", office, cluster.b)
    call, other = await talk(caller, callee)
    owner = (await cluster.owner(call.call_id)).host.address
    with cluster.internet.counting() as flows:
        await goes_on(call, other)
        crossed = flows.packets()
    one, two = home.site.public_address, office.site.public_address
    assert crossed.keys() == {(one, owner), (owner, one), (two, owner), (owner, two)}
    assert min(crossed.values()) > 20
    assert lost(call, other) == 0
    await caller.loop.run(call.hang_up())
    assert await callee.loop.run(other.ended()) == "hangup"


async def test_a_call_is_back_at_another_node_when_the_power_of_its_own_fails(
    cluster: LabCluster, residents: Residents, record_property: Callable[[str, object], None]
) -> None:
    """No end of a connection is told, and nothing is refused. The caller's WebSocket is at the same node."""
    loop = asyncio.get_running_loop()
    home, office = cluster.site(0, Access.SYMMETRIC), cluster.site(1, Access.OPEN)
    caller, callee = await residents.join("student_456", home, cluster.a), await residents.join("tutor_789", office, cluster.a)
    answered_at = loop.time()
    call, other = await talk(caller, callee)
    assert await cluster.owner(call.call_id) is cluster.a, "it is the only one in the region of both"
    await residents.move(callee, cluster.b)
    with cluster.internet.cut(cluster.a.host):
        failed_at = loop.time()
        cluster.lead(home, cluster.c)
        for node in (cluster.b, cluster.c):
            await cluster.figure(node, "relay_cluster_nodes", 2)
        await eventually(lambda: {call.state, other.state} == {"connected"}, "media flows again", within=BACK)
        await goes_on(call, other)
        record_property("seconds until media flows after the power failed", round(loop.time() - failed_at, 1))
        owner = await cluster.owner(call.call_id)
        assert owner is not cluster.a
        with cluster.internet.counting() as flows:
            await goes_on(call, other)
            crossed = flows.packets()
        assert {address for pair in crossed for address in pair} == {
            cluster.a.host.address,
            home.site.public_address,
            office.site.public_address,
        }
    await cluster.whole()
    await goes_on(call, other)
    [row] = [row for row in await cluster.rows() if row["call_id"] == call.call_id]
    assert (row["status"], row["node"]) == ("answered", owner.name), "the former owner has written nothing"
    await caller.loop.run(call.hang_up())
    lasted = loop.time() - answered_at
    assert await callee.loop.run(other.ended()) == "hangup"
    row = await cluster.finished(call.call_id)
    assert (row["status"], row["end_reason"], row["node"]) == ("ended", "hangup", owner.name)
    assert abs(row["duration_seconds"] - lasted) <= 1.5, "rounded down, and the answer took a moment"

"""Calls at three nodes, each a machine of its own: where media flows, and what is left when a node is cut off.

All machines have one clock here: a network namespace has none of its own.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Final

import pytest
import pytest_asyncio

from relay.client import ClientCall, Refused
from tests.browser.pages import RelayPage
from tests.cluster.integration.people import LESSONS, goes_on, hears, lost, taken
from tests.kit.browsers import LOOK, chromium
from tests.kit.peer import ToneTrack
from tests.kit.wait import PATIENCE, eventually
from tests.lab.gateways import Access
from tests.lab.nodes import SHARED, LabCluster, LabNode, LabSite, Resident, Residents
from tests.lab.relay import PORT
from tests.lab.shared import TRUSTED

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("three_nodes")]

A_FEW: Final = 20
"""Packets: the checks of a path alone are fewer in half a second (RFC 7675)."""

CALLER, CALLEE = 440.0, 880.0
"""Hertz: what each sends."""


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


async def flow_between(cluster: LabCluster, paths: Collection[tuple[LabSite, LabNode]], *parties: ClientCall) -> None:
    """Wait until media goes both ways between these sites and nodes, and no UDP packet anywhere else: a former connection is
    closed a moment after the next one is up."""
    addresses = [(site.site.public_address, node.host.address) for site, node in paths]
    expected = {*addresses, *((node, site) for site, node in addresses)}
    crossed: Mapping[tuple[str, str], int] = {}

    async def only_there() -> bool:
        nonlocal crossed
        with cluster.internet.counting() as flows:
            await goes_on(*parties)
            crossed = flows.packets()
        return crossed.keys() == expected and min(crossed.values()) > A_FEW

    await eventually(only_there, lambda: f"media flows between {addresses} only: {crossed}")


async def test_media_of_a_call_between_two_nodes_flows_by_the_address_of_its_owner_and_by_no_other(
    cluster: LabCluster, residents: Residents
) -> None:
    home, office = cluster.site(0, Access.SYMMETRIC), cluster.site(1, Access.OPEN)
    caller, callee = await residents.join("student_456", home, cluster.a), await residents.join("tutor_789", office, cluster.b)
    call, other = await talk(caller, callee)
    owner = await cluster.owner(call.call_id)
    await flow_between(cluster, {(home, owner), (office, owner)}, call, other)
    assert lost(call, other) == 0
    await caller.loop.run(call.hang_up())
    assert await callee.loop.run(other.ended()) == "hangup"


@contextlib.asynccontextmanager
async def without_power(cluster: LabCluster, home: LabSite) -> AsyncIterator[None]:
    """Node `a` is, and its clients at that site are led to another one. Begins once the others know that it is lost."""
    with cluster.internet.cut(cluster.a.host):
        cluster.lead(home, cluster.c)
        for node in (cluster.b, cluster.c):
            await cluster.figure(node, "relay_cluster_nodes", 2)
        yield


async def knows_its_call_anew(device: Resident) -> None:
    """Wait until a device that has heard of a call from a node that was lost, and is back, has begun anew: what that node had for
    it is lost. While it is away for that, it is not told how its call ends."""

    def known() -> bool:
        begun = [at for at, one in enumerate(device.heard) if one["type"] == "welcome" and not one["resumed"]]
        return len(begun) > 1 and "call_state" in device.types()[begun[-1] :]

    await eventually(known, lambda: f"the device begins anew, and knows its call: {device.types()}")


async def test_a_call_is_back_at_another_node_when_the_power_of_its_own_fails(
    cluster: LabCluster,
    residents: Residents,
    record_property: Callable[[str, object], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No end of a connection is told, and nothing is refused. The caller's WebSocket is at the same node."""
    loop = asyncio.get_running_loop()
    home, office = cluster.site(0, Access.SYMMETRIC), cluster.site(1, Access.OPEN)
    caller, callee = await residents.join("student_456", home, cluster.a), await residents.join("tutor_789", office, cluster.a)
    answered_at = loop.time()
    call, other = await talk(caller, callee)
    assert await cluster.owner(call.call_id) is cluster.a, "it is the only one in the region of both"
    await residents.move(callee, cluster.b)
    failed_at = loop.time()
    async with without_power(cluster, home):
        await goes_on(call, other)
        record_property("seconds until media flows after the power failed", round(loop.time() - failed_at, 1))
        owner = await cluster.owner(call.call_id)
        assert owner is not cluster.a
        await flow_between(cluster, {(home, owner), (office, owner)}, call, other)
    await cluster.whole()
    await knows_its_call_anew(callee)
    await goes_on(call, other)
    [row] = [row for row in await cluster.rows() if row["call_id"] == call.call_id]
    assert (row["status"], row["node"]) == ("answered", owner.name), "the former owner has written nothing"
    await caller.loop.run(call.hang_up())
    lasted = loop.time() - answered_at
    assert await callee.loop.run(other.ended()) == "hangup"
    row = await cluster.finished(call.call_id)
    assert (row["status"], row["end_reason"], row["node"]) == ("ended", "hangup", owner.name)
    assert abs(row["duration_seconds"] - lasted) <= 1.5, "rounded down, and the answer took a moment"
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING], "nothing that a program has to know of"


async def test_a_node_that_is_cut_off_from_redis_keeps_the_calls_of_its_own_clients_and_others_take_the_rest(
    cluster: LabCluster, residents: Residents
) -> None:
    """Clients and PostgreSQL reach it all the while."""
    home, office = cluster.site(0, Access.SYMMETRIC), cluster.site(1, Access.OPEN)
    student, tutor = await residents.join("student_456", home, cluster.a), await residents.join("tutor_789", office, cluster.a)
    parent = await residents.join("parent_321", home, cluster.a)
    advertiser = await residents.join("advertiser_654", home, cluster.a)
    scope = await parent.loop.run(parent.client.new_conversation(advertiser.client.profile))
    shared, other = await talk(student, tutor)
    local, peer = await talk(parent, advertiser, scope)
    assert {await cluster.owner(one.call_id) for one in (shared, local)} == {cluster.a}
    await residents.move(tutor, cluster.b)
    cluster.lead(home, cluster.a)
    with cluster.internet.cut(cluster.a.host, cluster.redis.port):
        for node in (cluster.b, cluster.c):
            await cluster.figure(node, "relay_cluster_nodes", 2)
        await cluster.figure(cluster.a, "relay_cluster_lease_held", 0)
        cluster.lead(home, cluster.c)  # as a balancer does that asks the nodes whether they are ready
        with pytest.raises(Refused, match="unavailable"):
            await parent.loop.run(parent.client.call("tutor_789", "voice", 124))

        async def taken_over() -> bool:
            return await cluster.owner(shared.call_id) is cluster.b

        await eventually(taken_over, "the tutor's node has their call")
        await goes_on(shared, other, local, peer)
        await flow_between(cluster, {(home, cluster.a), (home, cluster.b), (office, cluster.b)}, shared, other, local, peer)
        assert [one.types().count("welcome") for one in (tutor, parent, advertiser)] == [2, 1, 1], "the tutor had moved before"
    await cluster.whole()
    assert lost(local, peer) == 0
    await goes_on(shared, other, local, peer)
    rows = {row["call_id"]: row for row in await cluster.rows()}
    found = [(rows[one.call_id]["status"], rows[one.call_id]["node"]) for one in (local, shared)]
    assert found == [("answered", "a"), ("answered", "b")]
    for first, second, called in ((student, tutor, (shared, other)), (parent, advertiser, (local, peer))):
        await first.loop.run(called[0].hang_up())
        assert await second.loop.run(called[1].ended()) == "hangup"
        assert (await cluster.finished(called[0].call_id))["end_reason"] == "hangup"


@pytest.mark.browser
async def test_a_page_has_its_call_back_when_the_power_of_its_node_fails(
    cluster: LabCluster, residents: Residents, record_property: Callable[[str, object], None]
) -> None:
    loop = asyncio.get_running_loop()
    home, office = cluster.site(0, Access.SYMMETRIC), cluster.site(1, Access.OPEN)
    callee = await residents.join("tutor_789", office, cluster.a)
    cluster.lead(home, cluster.a)
    flags = "--ignore-certificate-errors", f"--host-resolver-rules=MAP {TRUSTED} {SHARED}"
    async with (
        chromium(*flags, within=home.site.client.command()) as browser,
        RelayPage.used_by(browser, f"http://{TRUSTED}:{PORT}", "student_456", "tutor_789", LESSONS) as page,
    ):
        await page.call("voice")
        call = await callee.loop.run(taken(callee, [ToneTrack(CALLEE)]))
        await page.talking()
        await goes_on(call)
        assert await cluster.owner(call.call_id) is cluster.a
        await residents.move(callee, cluster.b)
        failed_at = loop.time()
        async with without_power(cluster, home):
            await goes_on(call)
            energy = (await page.talking()).audio_energy

            async def heard() -> bool:
                return (await page.talking()).audio_energy > energy + 0.01

            await eventually(heard, "the page hears the tutor", every=LOOK)
            record_property("seconds until a page hears again after the power failed", round(loop.time() - failed_at, 1))
            owner = await cluster.owner(call.call_id)
            await flow_between(cluster, {(home, owner), (office, owner)}, call)
        await cluster.whole()
        await knows_its_call_anew(callee)
        await goes_on(call)
        await page.hang_up()
        assert await callee.loop.run(call.ended()) == "hangup"
        row = await cluster.finished(call.call_id)
        assert (row["end_reason"], row["node"]) == ("hangup", owner.name)
        page.forgive("WebSocket")

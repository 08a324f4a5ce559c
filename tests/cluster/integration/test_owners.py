"""Which node owns a call: by the regions of its parties, and by how busy the nodes really are."""

import contextlib
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.cluster.integration.people import People, Person, goes_on, lost, talk
from tests.http.admin.conftest import PLATFORM, SERVICE_TOKEN
from tests.http.records import asked
from tests.kit.children import end_child, start_child
from tests.kit.databases import PostgresServer
from tests.kit.redis_server import RedisServer
from tests.kit.served_cluster import ServedCluster, ServedNode, metrics
from tests.kit.wait import eventually

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("owners_of_calls")]

REGIONS = {"a": "west", "b": "west", "c": "east"}

ASKS = """
import sys, urllib.request
while True:
    urllib.request.urlopen(sys.argv[1]).read()
"""
"""A process of its own, which does not wait for what the test does meanwhile."""

BUSIER = 0.1
"""By how much the load of a busy node is above that of the others, at least: five times what counts as the same."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresServer, shared_redis: RedisServer
) -> AsyncIterator[ServedCluster]:
    each = {name: {"region": region, "turn_host": f"{name}.example"} for name, region in REGIONS.items()}
    folder = tmp_path_factory.mktemp("nodes")
    async with ServedCluster.running(folder, postgresql, shared_redis, each, service_token=SERVICE_TOKEN) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(nodes: ServedCluster) -> ServedCluster:
    """All of its nodes run."""
    await nodes.whole()
    # A node's first card is from before its TURN server has begun.
    await eventually(lambda: knows_all_turn_servers(nodes.a), "the nodes know each other's TURN servers", within=20)
    return nodes


async def knows_all_turn_servers(node: ServedNode) -> bool:
    return await turn_hosts(node) == {f"{name}.example" for name in REGIONS}


@contextlib.asynccontextmanager
async def busy(seen_by: ServedNode, *nodes: ServedNode) -> AsyncIterator[None]:
    """These nodes have to answer one request after the other, and a node knows that they have much more to do than the rest."""
    asking = [await start_child(sys.executable, "-c", ASKS, f"{node.url}/metrics") for node in nodes]
    try:
        await eventually(lambda: differ(seen_by, nodes), "their loads are known", within=60)
        yield
    finally:
        for one in asking:
            await end_child(one)


async def differ(seen_by: ServedNode, busy: tuple[ServedNode, ...]) -> bool:
    async with aiohttp.ClientSession(seen_by.url) as http:
        _, found = await asked(http, "GET", "/api/admin/nodes", PLATFORM)
    loads = {one["name"]: one["load"] for one in found["nodes"]}
    idle = loads.keys() - {node.name for node in busy}
    return bool(min(loads[node.name] for node in busy) > max(loads[name] for name in idle) + BUSIER)


async def owner_of_a_call(cluster: ServedCluster, caller: Person, callee: Person) -> str:
    """They talk; the name of the node that their media went through."""
    call, other = await talk(caller, callee)
    owner = await cluster.owner(call.call_id)
    await goes_on(call, other)
    assert lost(call, other) == 0
    await call.hang_up()
    await other.ended()
    return owner.name


async def turn_hosts(node: ServedNode) -> set[str]:
    """Of the TURN servers that a client is told."""
    async with aiohttp.ClientSession(node.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        assert (await http.post("/api/dev/login", json={"profile_type": "student", "profile_id": 456})).status == 200
        async with http.get("/api/ice-servers") as response:
            [server] = (await response.json())["ice_servers"]
    return {url.split(":")[1] for url in server["urls"]}


async def test_the_less_loaded_node_of_the_parties_region_owns_their_call_and_not_an_idle_one_far_away(
    cluster: ServedCluster, people: People
) -> None:
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.a)
    before = (await metrics(cluster.a))["relay_cluster_calls_placed_total"]
    async with busy(cluster.a, cluster.a):
        assert await owner_of_a_call(cluster, caller, callee) == "b"
        assert (await metrics(cluster.a))["relay_cluster_calls_placed_total"] == before + 1
        assert "b.example" in await turn_hosts(cluster.a), "or the caller could not reach it by TURN"
    async with busy(cluster.a, cluster.b):
        assert await owner_of_a_call(cluster, caller, callee) == "a"
        assert (await metrics(cluster.a))["relay_cluster_calls_placed_total"] == before + 1


async def test_a_call_between_two_regions_is_owned_by_the_less_loaded_node_of_either(
    cluster: ServedCluster, people: People
) -> None:
    await cluster.b.end()
    await eventually(lambda: sees_one_other(cluster.a), "one node of each region is left")
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.c)
    async with busy(cluster.a, cluster.a):
        assert await owner_of_a_call(cluster, caller, callee) == "c"
        assert "c.example" in await turn_hosts(cluster.a)
    async with busy(cluster.a, cluster.c):
        assert await owner_of_a_call(cluster, caller, callee) == "a"


async def sees_one_other(node: ServedNode) -> bool:
    return (await metrics(node))["relay_cluster_nodes"] == 2

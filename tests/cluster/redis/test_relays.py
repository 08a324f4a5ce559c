"""Whole relays as nodes of one cluster, on PostgreSQL and Redis."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.composition.limits import AppLimits
from tests.http.admin.conftest import PLATFORM, SERVICE_TOKEN
from tests.http.records import asked
from tests.kit.databases import PostgresServer, postgresql
from tests.kit.nodes import SHORT
from tests.kit.redis_server import RedisServer
from tests.kit.server import RunningRelay, serving_relay
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers

__all__ = ["postgresql"]

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def relays(tmp_path: Path, postgresql: PostgresServer, own_redis: RedisServer) -> AsyncIterator[list[RunningRelay]]:
    async with postgresql.database() as database:
        common: dict[str, Any] = {
            "database_url": database,
            "redis_url": own_redis.url,
            "jwt_secret": SECRET,
            "turn_secret": SECRET,
            "service_token": SERVICE_TOKEN,
            "journal": "off",
            "limits": AppLimits(cluster=SHORT),
        }
        folders = [tmp_path / name for name in ("north", "south")]
        for one in folders:
            one.mkdir()
        async with (
            serving_relay(
                folders[0], node="north", region="eu", node_url="https://north.example", turn_host="north.example", **common
            ) as north,
            serving_relay(folders[1], node="south", turn_host="south.example", **common) as south,
        ):
            yield [north, south]


async def test_nodes_know_each_other_and_say_when_redis_is_away(relays: list[RunningRelay], own_redis: RedisServer) -> None:
    north, south = relays
    async with aiohttp.ClientSession(north.url) as http:

        async def both() -> Any:
            _, found = await asked(http, "GET", "/api/admin/nodes", PLATFORM)
            return found if len(found["nodes"]) == 2 else None

        found = await eventually(both, "the nodes know each other")
        assert found["holds_lease"]
        first, second = found["nodes"]
        assert (first["name"], first["region"], first["url"]) == ("north", "eu", "https://north.example")
        assert (second["name"], second["state"], second["calls"]) == ("south", "serving", 0)
        assert first["incarnation"] != second["incarnation"]
        assert (await asked(http, "GET", "/api/admin/nodes", {}))[0] == 401
        assert (await asked(http, "GET", "/readyz", {}))[1]["checks"]["lease"] is True
        assert (await north.counters())["relay_cluster_nodes"] == (await south.counters())["relay_cluster_nodes"] == 2
        own_redis.kill()

        async def holding() -> bool:
            _, found = await asked(http, "GET", "/readyz", {})
            assert found["checks"].keys() == {"database", "media", "accepting", "lease"}
            return bool(found["checks"]["lease"])

        async def without() -> bool:
            return not await holding()

        await eventually(without, "the node says that it has no lease")
        own_redis.start()
        await eventually(holding, "the node has its lease again")
        counters = await north.counters()
        assert counters["relay_cluster_redis_outages_total"] >= 1
        assert counters["relay_cluster_leases_lost_total"] >= 1
        assert counters["relay_cluster_redis_seconds_count"] > 0


async def test_a_client_is_told_the_turn_servers_of_all_nodes_as_its_call_may_be_at_any(relays: list[RunningRelay]) -> None:
    profile = {"profile_type": "student", "profile_id": 456}
    for relay in relays:
        async with aiohttp.ClientSession(relay.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            assert (await http.post("/api/dev/login", json=profile)).status == 200

            async def hosts(http: aiohttp.ClientSession = http) -> list[str]:
                async with http.get("/api/ice-servers") as response:
                    [server] = (await response.json())["ice_servers"]
                return [url.split(":")[1] for url in server["urls"] if url.endswith("udp")]

            own = f"{'north' if relay is relays[0] else 'south'}.example"
            other = f"{'south' if relay is relays[0] else 'north'}.example"

            async def both(own: str = own, other: str = other) -> bool:
                return await hosts() == [own, other]

            await eventually(both, "its own server, and then that of the other node")

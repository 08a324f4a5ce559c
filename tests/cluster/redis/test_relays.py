"""Whole relays as nodes of one cluster, on PostgreSQL and Redis."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from relay.cluster.lease import LeaseTiming
from relay.cluster.redis.timing import ClusterTiming
from relay.composition.limits import AppLimits
from relay.http.access.auth import Tokens
from relay.ids import Profile
from relay.settings.auth import AuthSettings
from relay.signaling.calls.enforcement import CREDENTIAL_OVER
from tests.http.admin.conftest import PLATFORM, SERVICE_TOKEN
from tests.http.records import asked
from tests.kit.databases import PostgresServer, postgresql
from tests.kit.nodes import SHORT
from tests.kit.redis_server import RedisServer
from tests.kit.server import RunningRelay, serving_relay
from tests.kit.wait import PATIENCE, eventually

pytestmark = pytest.mark.servers

__all__ = ["postgresql"]

FAILED_LOGINS = 50

SECRET = "0123456789abcdef0123456789abcdef"


SELDOM: Final = replace(SHORT, lease=LeaseTiming(duration=600.0, renewal=200.0, margin=1.0))
"""Nodes look at each other's cards as often as others do, and write theirs when something has changed."""


@pytest.fixture
def timing() -> ClusterTiming:
    return SHORT


@pytest.fixture
async def relays(
    tmp_path: Path, postgresql: PostgresServer, own_redis: RedisServer, timing: ClusterTiming
) -> AsyncIterator[list[RunningRelay]]:
    async with postgresql.database() as database:
        common: dict[str, Any] = {
            "database_url": database,
            "redis_url": own_redis.url,
            "jwt_secret": SECRET,
            "turn_secret": SECRET,
            "service_token": SERVICE_TOKEN,
            "journal": "off",
            "max_devices": 2,
            "limit_failed_logins": f"{FAILED_LOGINS}/minute",
            "limits": AppLimits(cluster=timing, revocation_interval=3600),
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


def signed_in() -> dict[str, str]:
    """The headers of a profile's request, good at both nodes."""
    token = Tokens(AuthSettings(jwt_secret=SECRET)).issue(Profile("student", 456))
    return {"Authorization": f"Bearer {token}"}


async def known_to_each_other(relay: RunningRelay) -> None:
    async def both() -> bool:
        return (await relay.counters())["relay_cluster_nodes"] == 2

    await eventually(both, "the nodes know each other")


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


@pytest.mark.parametrize("timing", [SHORT, SELDOM], ids=["", "whose node was started just now"])
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


async def test_failed_logins_count_at_both_nodes_together(relays: list[RunningRelay]) -> None:
    north, south = relays
    await known_to_each_other(north)
    async with aiohttp.ClientSession(north.url) as here, aiohttp.ClientSession(south.url) as there:
        bad = {"Authorization": "Bearer bad"}
        assert [(await asked(here, "GET", "/api/calls", bad))[0] for _ in range(FAILED_LOGINS)] == [401] * FAILED_LOGINS
        tries = 0

        async def refused() -> bool:
            nonlocal tries
            tries += 1
            return (await asked(there, "GET", "/api/calls", bad))[0] == 429

        await eventually(refused, "by its first one, the other node learns of those before")
        assert 1 < tries < FAILED_LOGINS, "its own window would have taken as many"


async def test_devices_of_a_profile_at_both_nodes_are_too_many_together(relays: list[RunningRelay]) -> None:
    await known_to_each_other(relays[0])
    async with aiohttp.ClientSession(headers=signed_in()) as http, contextlib.AsyncExitStack() as sockets:
        for relay in relays:
            socket = await sockets.enter_async_context(http.ws_connect(f"{relay.url}/ws/456/student"))
            assert (await socket.receive_json())["type"] == "welcome"
        for relay in relays:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(f"{relay.url}/ws/456/student")
            assert refused.value.status == 429


async def test_a_revocation_closes_connections_to_the_other_node_at_once_and_is_lifted_there(relays: list[RunningRelay]) -> None:
    """Neither node looks by itself for what is revoked."""
    north, south = relays
    await known_to_each_other(north)
    headers, revocation = signed_in(), "/api/admin/profiles/student/456/revocation"
    async with aiohttp.ClientSession() as http:
        socket = await http.ws_connect(f"{south.url}/ws/456/student", headers=headers)
        assert (await socket.receive_json())["type"] == "welcome"
        assert (await http.put(f"{north.url}{revocation}", headers=PLATFORM, json={})).status == 204
        while (message := await socket.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.TEXT:
            continue
        assert message.data == CREDENTIAL_OVER
        assert (await http.get(f"{south.url}/api/calls", headers=headers)).status == 401
        assert (await http.delete(f"{north.url}{revocation}", headers=PLATFORM)).status == 204

        async def good() -> bool:
            return (await http.get(f"{south.url}/api/calls", headers=headers)).status == 200

        await eventually(good, "the other node knows that it is lifted")

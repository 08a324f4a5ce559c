"""Browsers that have TURN only, at two nodes: each TURN server relays to the calls of its own node, which may be another."""

from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser

from tests.browser.calls import A_SECOND
from tests.browser.pages import STUDENT, TUTOR, RelayPage
from tests.kit.browsers import LOOK
from tests.kit.databases import PostgresServer, postgresql
from tests.kit.redis_server import RedisServer, shared_redis
from tests.kit.served_cluster import ServedCluster, metrics
from tests.kit.wait import eventually
from tests.lab.pages import CONVERSATION

__all__ = ["postgresql", "shared_redis"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.servers,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("Firefox"),  # where test_lost_nodes has started PostgreSQL and Redis
]

BEHIND_A_FIREWALL: Final = """
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(configuration) { super({ ...configuration, iceTransportPolicy: "relay" }); }
};
"""


class RelayedPage(RelayPage):
    """A page all of whose media goes by a TURN server."""

    async def start(self, url: str, key: str, other: str, conversation: int) -> None:
        await self.page.add_init_script(BEHIND_A_FIREWALL)
        await super().start(url, key, other, conversation)


async def test_pages_that_have_turn_only_talk_across_nodes_also_if_one_was_loaded_before_the_node_of_the_other_was_there(
    browser: Browser, tmp_path: Path, postgresql: PostgresServer, shared_redis: RedisServer
) -> None:
    async with ServedCluster.running(tmp_path, postgresql, shared_redis, turn_host="127.0.0.1") as cluster:
        await cluster.b.end()
        async with RelayedPage.used_by(browser, cluster.a.url, STUDENT, TUTOR, CONVERSATION) as callee:
            await cluster.whole()
            async with RelayedPage.used_by(browser, cluster.b.url, TUTOR, STUDENT, CONVERSATION) as caller:
                await caller.call("video")
                await callee.ringing()
                await callee.accept()

                async def both_ways() -> bool:
                    return min([(await page.talking()).frames_decoded for page in (caller, callee)]) > A_SECOND

                await eventually(both_ways, "both see each other", every=LOOK)
                for page in (caller, callee):
                    assert (await page.talking()).route.startswith("turn-")
                [row] = await cluster.rows()
                relayed = {node.name: (await metrics(node))["relay_turn_bytes_to_clients_total"] for node in cluster.nodes}
                assert {name for name, number in relayed.items() if number} == {row["node"]}
                await caller.hang_up()
                await callee.shows("ended-card")

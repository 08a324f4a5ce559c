"""A video call between two pages at different nodes of a cluster, and one of the nodes stops, or is killed.

By default an owner dies once between two pages of Chromium, and once between Firefox and Chromium. More of it on demand, of each
node that a call depends on so many times, and with Firefox a quarter of that:

    RELAY_DEATHS=20 make test TESTS=tests/browser/test_lost_nodes.py
"""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.calls import A_SECOND, Record
from tests.browser.conftest import StartFirefox
from tests.browser.pages import STUDENT, TUTOR
from tests.browser.test_broken_connections import IN_VAIN
from tests.kit.browsers import INSTRUMENTS, LOOK, PLAIN_SCALING, SMALL_CAMERA
from tests.kit.cuttable import CuttablePath
from tests.kit.databases import PostgresServer, postgresql
from tests.kit.redis_server import RedisServer, shared_redis
from tests.kit.served_cluster import ServedCluster, ServedNode, metrics, url_of
from tests.kit.wait import eventually
from tests.lab.firefox import Firefox
from tests.lab.pages import CONVERSATION, FRAME_GAPS, ChromiumPage, FirefoxPage

__all__ = ["postgresql", "shared_redis"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.servers,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("Firefox"),
]

Killed = Literal["owner", "owner alone", "caller's home", "callee's home"]
"""The owner may be a home, too: where the others differ, each is nothing else."""

Page = ChromiumPage | FirefoxPage

RETURNS: Final = 30.0
"""Seconds: after 9 a node is taken for dead, and twice that is what a busy machine takes."""

IN_VAIN_TOO: Final = (*IN_VAIN, "establish a connection", "was interrupted")
"""The same in the words of Firefox."""


PHASES: Final = """() => {
  window.phases = [];
  const look = () => { const now = relayCall.state; if (phases.at(-1) !== now) phases.push(now); };
  setInterval(look, 20);
}"""

FORMER: Final = """() => {
  window.former = relayCall.peerConnection;
  const close = former.close.bind(former);
  former.close = () => { window.closedWhen ??= relayCall.peerConnection.connectionState; close(); };
}"""

HOW_IT_IS: Final = """() => ({
  call: relayCall.state,
  connection: relayCall.connection,
  media: relayCall.peerConnection === window.former ? "same" : "new",
})"""


@dataclass(frozen=True)
class Death:
    killed: Killed
    caller: Literal["chromium", "firefox"] = "chromium"
    callee: Literal["chromium", "firefox"] = "chromium"
    number: int = 1

    @property
    def name(self) -> str:
        return f"{self.killed}, {self.caller} to {self.callee}, {self.number}"


def deaths() -> list[Death]:
    times = int(os.environ.get("RELAY_DEATHS", "0"))
    if not times:
        return [Death("owner"), Death("owner", caller="firefox")]
    kinds: tuple[Killed, ...] = ("owner", "owner alone", "caller's home", "callee's home")
    alike = [Death(kind, number=number + 1) for kind, number in itertools.product(kinds, range(times))]
    numbers = [number + 1 for number in range(times // 4)]
    mixed = [
        Death(kind, "chromium", "firefox", number) if number % 2 else Death(kind, "firefox", "chromium", number)
        for kind, number in itertools.product(kinds, numbers)
    ]
    return [*alike, *mixed]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nodes(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresServer, shared_redis: RedisServer
) -> AsyncIterator[ServedCluster]:
    """The cluster for all tests here, each of which may find a node dead."""
    folder = tmp_path_factory.mktemp("nodes")
    # Media at all addresses: Firefox sends none to 127.0.0.1.
    async with ServedCluster.running(folder, postgresql, shared_redis, media_host="") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(nodes: ServedCluster) -> ServedCluster:
    await nodes.whole()
    return nodes


@dataclass(frozen=True)
class CallAcross:
    """A video call of two pages, each with a way to the nodes of its own."""

    cluster: ServedCluster
    call_id: str
    caller: Page
    callee: Page
    paths: tuple[CuttablePath, CuttablePath]
    homes: list[ServedNode]
    """The caller's and the callee's."""

    @property
    def pages(self) -> tuple[Page, Page]:
        return self.caller, self.callee

    async def owner(self) -> ServedNode:
        """The node that has the call, by its row."""
        [row] = [one for one in await self.cluster.rows() if one["call_id"] == self.call_id]
        assert row["status"] == "answered"
        [owner] = [one for one in self.cluster.nodes if one.name == row["node"]]
        return owner

    async def move(self, party: int, to: ServedNode) -> None:
        """The WebSocket of one party breaks, and comes back to another node."""
        path = self.paths[party]
        path.lead_to(to.port, *(one.port for one in self.cluster.nodes if one is not to))
        path.cut()
        path.mend()

        async def there() -> bool:
            return (await metrics(to))["relay_devices"] > 0

        await eventually(there, "the page is at the other node", every=LOOK)
        await eventually(lambda: is_online(self.pages[party]), "the page knows that it is", every=LOOK)
        self.homes[party] = to

    async def meets(self, killed: Killed) -> ServedNode:
        """The node that is to be killed, once it is what its name says, and nothing else if it says so."""
        owner = await self.owner()
        for party in (0, 1):
            alone = killed == "owner alone" or killed == ("caller's home", "callee's home")[party]
            if alone and self.homes[party] is owner:
                [free] = [one for one in self.cluster.nodes if one is not owner and one not in self.homes]
                await self.move(party, free)
        match killed:
            case "caller's home":
                return self.homes[0]
            case "callee's home":
                return self.homes[1]
            case _:
                return owner

    async def media_goes_on(self) -> None:
        """Wait until both pages are in their call, and have decoded two seconds more of video and heard audio."""
        before = [await page.talking() for page in self.pages]

        async def more() -> bool:
            return all(
                now.frames_decoded > old.frames_decoded + 2 * A_SECOND and now.audio_energy > 0
                for now, old in zip([await page.talking() for page in self.pages], before, strict=True)
            )

        await eventually(more, "both see and hear each other", every=LOOK)


async def is_online(page: Page) -> bool:
    return bool(await page.run("() => window.relayCall?.connection === 'online'"))


@contextlib.asynccontextmanager
async def opened(
    kind: Literal["chromium", "firefox"],
    browser: Browser,
    firefox: StartFirefox,
    url: str,
    key: str,
) -> AsyncIterator[Page]:
    """The page of a profile, logged in."""
    if kind == "chromium":
        other = TUTOR if key == STUDENT else STUDENT
        async with ChromiumPage.used_by(browser, url, key, other, CONVERSATION) as page:
            yield page
            page.forgive(*IN_VAIN_TOO)
        return
    async with (await firefox()).tab() as tab:
        yield await signed_in(tab, url, key)
    assert not [one for one in tab.problems if not any(text in one for text in IN_VAIN_TOO)]


async def signed_in(tab: Firefox, url: str, key: str) -> FirefoxPage:
    page = FirefoxPage(tab)
    await tab.before_every_page(INSTRUMENTS + PLAIN_SCALING + SMALL_CAMERA)
    await tab.goto(f"{url}/")
    await page.press(f"user-{key}")
    await eventually(lambda: is_online(page), "the page is connected", every=LOOK)
    return page


@pytest_asyncio.fixture(loop_scope="session")
async def call(cluster: ServedCluster, browser: Browser, firefox: StartFirefox, death: Death) -> AsyncIterator[CallAcross]:
    async with (
        cluster.near(cluster.a) as one,
        cluster.near(cluster.b) as two,
        opened(death.caller, browser, firefox, url_of(one), STUDENT) as caller,
        opened(death.callee, browser, firefox, url_of(two), TUTOR) as callee,
    ):
        await caller.call("video")
        await callee.ringing()
        await callee.accept()
        await caller.talking()
        call_id = await caller.run("() => relayCall.callId")
        yield CallAcross(cluster, call_id, caller, callee, (one, two), [cluster.a, cluster.b])


@pytest.mark.parametrize("death", deaths(), ids=lambda one: one.name)
async def test_a_video_call_outlives_a_node(call: CallAcross, death: Death, record_property: Record) -> None:
    cluster = call.cluster
    await call.media_goes_on()
    await eventually(lambda: cluster.has_sheet(call.call_id), "the owner keeps what a successor needs")
    victim = await call.meets(death.killed)
    is_owner = victim is await call.owner()
    for page in call.pages:
        await page.run(FRAME_GAPS)
        await page.run("() => { window.former = relayCall.peerConnection; }")
    await victim.kill()

    seen: list[Any] = []

    async def back() -> bool:
        seen[:] = [await page.run(HOW_IT_IS) for page in call.pages]
        return seen == [{"call": "connected", "connection": "online", "media": "new" if is_owner else "same"}] * 2

    await eventually(back, lambda: f"the call is there again: {seen}, {cluster.logs()}", within=RETURNS, every=LOOK)
    await call.media_goes_on()
    gaps = [await page.run("() => frameGaps.longest") for page in call.pages]
    record_property(f"longest gap in the video: death of the {death.killed} [s]", [round(gap / 1000, 1) for gap in gaps])
    await ends(call)


@pytest.mark.parametrize("death", [Death("owner"), Death("owner", caller="firefox")], ids=["Chromium", "Firefox and Chromium"])
async def test_a_video_call_goes_on_without_a_gap_when_its_node_stops(call: CallAcross, record_property: Record) -> None:
    await call.media_goes_on()
    owner = await call.owner()
    for page in call.pages:
        await page.run(FRAME_GAPS)
        await page.run(PHASES)
        await page.run(FORMER)
    owner.drain()

    async def moved() -> bool:
        return all([await page.run("() => relayCall.peerConnection !== former") for page in call.pages])

    await eventually(moved, lambda: f"the call is elsewhere: {owner.log[-2000:]}", every=LOOK)
    await asyncio.wait_for(owner.process.wait(), 60)
    await call.media_goes_on()
    gaps = [await page.run("() => frameGaps.longest") for page in call.pages]
    phases = [await page.run("() => phases") for page in call.pages]
    record_property("longest gap in the video when its node stopped [ms]", [round(gap) for gap in gaps])
    assert phases == [["connected"], ["connected"]]
    closed = [await page.run("() => closedWhen") for page in call.pages]
    assert closed == ["connected", "connected"], "the next peer connection was there before the former one ended"
    await ends(call)


async def ends(call: CallAcross) -> None:
    """The caller hangs up, and the one row tells how long they talked."""
    await call.caller.hang_up()
    for page in call.pages:
        await page.moment("ended card")
    row: dict[str, Any] = await call.cluster.finished(call.call_id)
    assert (row["status"], row["end_reason"], row["call_type"]) == ("ended", "hangup", "video")
    talked = await call.caller.moment("sent call_ended") - await call.callee.moment("sent call_answer")
    assert abs((row["ended_at"] - row["answered_at"]).total_seconds() - talked) <= 1
    assert abs(row["duration_seconds"] - talked) <= 1.5, "it is rounded down"

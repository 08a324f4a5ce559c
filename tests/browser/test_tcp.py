"""Calls of networks that let no UDP through: media over TCP, and through the built-in TURN server."""

import contextlib
import json
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa
from playwright.async_api import Browser, expect
from sqlalchemy.ext.asyncio import create_async_engine

from relay.app import EDGE, create_app
from relay.edge.edge import Edge
from relay.serving import serve
from relay.settings.all import Settings
from tests.browser.calls import A_SECOND, PagesInCall, Record
from tests.browser.conftest import CONVERSATIONS
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.edge.kit import write_certificate
from tests.kit.server import RunningRelay, migrated
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HERE = "127.0.0.1"

WITHOUT = """
// As if nothing got through by that protocol: the page never learns of it.
(() => {
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    return set.call(this, { type, sdp: sdp.replace(/^a=candidate:\\S+ \\S+ %s .*\\r\\n/gim, "") });
  };
})();
"""
WITHOUT_UDP, WITHOUT_TCP = WITHOUT % "udp", WITHOUT % "tcp"

ONLY_TURN = """
// As if only the way to the TURN server were open.
(() => {
  const Plain = RTCPeerConnection;
  window.RTCPeerConnection = class extends Plain {
    constructor() { super({ iceServers: %s, iceTransportPolicy: "relay" }); }
  };
})();
"""

WORDS = {
    "udp": "over UDP",
    "tcp": "over TCP",
    "turn-udp": "through TURN over UDP",
    "turn-tcp": "through TURN over TCP",
    "turn-tls": "through TURN over TLS",
}
"""What the page says of each way."""

Running = tuple[RunningRelay, Edge]


class AttentivePage(RelayPage):
    """Remembers what the server said to it."""

    async def start(self, url: str, key: str, other: str, conversation: int) -> None:
        self.heard: list[dict[str, Any]] = []
        self.page.on("websocket", lambda socket: socket.on("framereceived", self._hear))
        await super().start(url, key, other, conversation)

    def _hear(self, frame: str | bytes) -> None:
        self.heard.append(json.loads(frame))

    async def hears_of(self, **legs: tuple[str, str]) -> None:
        """Wait until what it hears of each leg, `yours` and `other`, is that route and that family, with a round trip time."""

        def last() -> dict[str, tuple[str, str]]:
            told = [one for one in self.heard if one["type"] == "call_quality" and one["rtt_ms"] is not None]
            return {one["leg"]: (one["route"], one["family"]) for one in told}

        await eventually(lambda: last() == legs, lambda: f"{legs}, but {last()}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest_asyncio.fixture(loop_scope="session")
async def running(no_errors_logged: None, folder: Path, relay_settings: dict[str, Any]) -> AsyncIterator[Running]:
    """A relay with all that `python -m relay serve` has, on free ports, with TLS."""
    database = f"sqlite+aiosqlite:///{folder / 'relay.db'}"
    shutil.copy(await migrated(), folder / "relay.db")
    certificate, key = write_certificate(folder, "relay")
    ports = {"host": HERE, "port": 0, "media_port": 0, "turn_port": 0}
    given = {"dev": True, "workers": 0, "tls_cert": certificate, "tls_key": key, **ports, **relay_settings}
    app = create_app(Settings(database_url=database, **given))
    async with serve(app) as port:
        yield RunningRelay(url=f"http://{HERE}:{port}", database_url=database), app[EDGE]


@contextlib.asynccontextmanager
async def pages(browser: Browser, url: str, scripts: Mapping[str, str]) -> AsyncIterator[list[AttentivePage]]:
    """A page for each profile, which runs its script before its own."""
    async with contextlib.AsyncExitStack() as stack:
        opened = []
        for key, script in scripts.items():
            page = await stack.enter_async_context(AttentivePage.opened(browser))
            await page.page.context.add_init_script(script)
            await page.start(url, key, *CONVERSATIONS[key])
            opened.append(page)
        yield opened


def only_turn(edge: Edge, way: Callable[[str], bool]) -> str:
    [server] = edge.ice_servers(STUDENT, HERE, time.time())
    urls = [url for url in server.urls if way(url)]
    assert len(urls) == 1
    return ONLY_TURN % json.dumps([{**msgspec.to_builtins(server), "urls": urls}])


async def see_and_hear_each_other(relay: RunningRelay, caller: RelayPage, callee: RelayPage, record: Record) -> PagesInCall:
    call = await PagesInCall.connected(relay, "video", caller, callee)
    statistics = await call.video_goes_on(3 * A_SECOND)
    assert min(one.audio_energy for one in statistics) > 0
    await call.report_first_frames(record)
    assert await relay.losses() == {}
    return call


def family_of(route: str, remote: tuple[str, int]) -> str:
    """Of the address that a page with this remote candidate sends media from: all but UDP goes where the page came from."""
    return "ipv6" if route == "udp" and ":" in remote[0] else "ipv4"


async def routes_are(relay: RunningRelay, call: PagesInCall, *routes: str) -> list[str]:
    """Wait until both pages know the routes of the media of the caller and the callee. Returns the address families."""
    families = [family_of(route, one.remote) for route, one in zip(routes, await call.statistics(), strict=True)]
    for page, yours, other in ((call.caller, 0, 1), (call.callee, 1, 0)):
        assert isinstance(page, AttentivePage)
        await page.hears_of(yours=(routes[yours], families[yours]), other=(routes[other], families[other]))
        assert not any("127.64." in str(one) for one in page.heard), "no message has an address in it"
        await page.press("quality")
        for hook, index in (("your-route", yours), ("their-route", other)):
            expected = f"Connected {WORDS[routes[index]]} (IP{families[index][2:]})."
            await expect(page.hook(hook)).to_contain_text(expected, timeout=PATIENCE)
    async with aiohttp.ClientSession() as http, http.get(f"{relay.url}/metrics") as response:
        metrics = await response.text()
    legs = Counter(zip(families, routes, strict=True))
    for (family, route), count in legs.items():
        labels = f'{{family="{family}",route="{route}"}}'
        assert f"relay_legs{labels} {count}.0" in metrics
        assert f"relay_legs_connected_total{labels} " in metrics
        assert f"relay_leg_rtt_seconds_count{labels} " in metrics
    return families


async def logged_routes(relay: RunningRelay) -> dict[str, Any]:
    """What the only row of `call_logs` says of the paths, once the call is over."""
    await relay.finished_call()
    engine = create_async_engine(relay.database_url)
    try:
        async with engine.connect() as connection:
            columns = ", ".join(f"{role}_{name}" for role in ("caller", "callee") for name in ("route", "family", "rtt_ms"))
            row = (await connection.execute(sa.text(f"SELECT {columns} FROM call_logs"))).mappings().one()
            return dict(row)
    finally:
        await engine.dispose()


async def routes_are_logged(relay: RunningRelay, families: list[str], *routes: str) -> None:
    row = await logged_routes(relay)
    assert (row["caller_route"], row["callee_route"]) == routes
    assert [row["caller_family"], row["callee_family"]] == families
    assert 0 <= min(row["caller_rtt_ms"], row["callee_rtt_ms"]) <= max(row["caller_rtt_ms"], row["callee_rtt_ms"]) < 5_000


async def forgotten(edge: Edge) -> None:
    await eventually(lambda: edge.connection_count == 0, "the browsers' connections are closed")


@pytest.mark.parametrize("relay_settings", [{"workers": 0}, {"workers": 2}], ids=["one process", "two workers"])
async def test_two_pages_without_udp_see_and_hear_each_other_over_tcp(
    browser: Browser, running: Running, record_property: Record
) -> None:
    relay, edge = running
    async with pages(browser, relay.url, {STUDENT: WITHOUT_UDP, TUTOR: WITHOUT_UDP}) as (caller, callee):
        call = await see_and_hear_each_other(relay, caller, callee, record_property)
        for one in await call.statistics():
            assert one.remote == (HERE, edge.port), "media goes to the port that the page came from"
        assert edge.counters["connections_ice_tcp"] >= 2
        assert edge.counters["stream_packets_dropped"] == edge.counters["tunnel_foreign"] == 0
        families = await routes_are(relay, call, "tcp", "tcp")
        await call.hang_up(caller, record_property)
    await routes_are_logged(relay, families, "tcp", "tcp")
    await forgotten(edge)


async def test_a_page_that_can_use_udp_does_although_tcp_is_offered_too(
    browser: Browser, running: Running, record_property: Record
) -> None:
    relay, edge = running
    async with pages(browser, relay.url, {STUDENT: "", TUTOR: WITHOUT_UDP}) as (caller, callee):
        call = await PagesInCall.connected(relay, "video", caller, callee)
        with_udp, without = await call.video_goes_on(3 * A_SECOND)
        assert with_udp.remote[1] != edge.port
        assert without.remote[1] == edge.port
        families = await routes_are(relay, call, "udp", "tcp")
        await expect(caller.hook("their-route")).to_contain_text("Their network lets no UDP through.", timeout=PATIENCE)
        await call.hang_up(caller, record_property)
    await routes_are_logged(relay, families, "udp", "tcp")


@pytest.mark.parametrize(
    ("scheme", "transport"), [("turn", "udp"), ("turn", "tcp"), ("turns", "tcp")], ids=["TURN/UDP", "TURN/TCP", "TURN/TLS"]
)
async def test_a_page_that_reaches_only_turn_sees_and_hears_the_other(
    browser: Browser, running: Running, record_property: Record, scheme: str, transport: str
) -> None:
    relay, edge = running

    def way(url: str) -> bool:
        return url.startswith(f"{scheme}:") and url.endswith(f"transport={transport}")

    async with pages(browser, relay.url, {STUDENT: only_turn(edge, way), TUTOR: WITHOUT_TCP}) as (caller, callee):
        call = await see_and_hear_each_other(relay, caller, callee, record_property)
        assert edge.turn_counters["packets_to_media"] > 100
        assert edge.counters["connections_ice_tcp"] == 0
        assert edge.turn_counters["peers_refused"] == 0
        route = "turn-tls" if scheme == "turns" else f"turn-{transport}"
        families = await routes_are(relay, call, route, "udp")
        await call.hang_up(callee, record_property)
    await routes_are_logged(relay, families, route, "udp")
    await forgotten(edge)


async def test_the_page_itself_and_its_media_come_by_the_same_tls_port(browser: Browser, running: Running) -> None:
    relay, edge = running
    url = relay.url.replace("http:", "https:")
    script = only_turn(edge, lambda one: one.startswith("turns:"))
    async with pages(browser, url, {STUDENT: script, TUTOR: script}) as (caller, callee):
        call = await PagesInCall.connected(relay, "video", caller, callee)
        await call.video_goes_on(3 * A_SECOND)
        assert edge.counters["connections_turn"] >= 2
        assert edge.counters["connections_tls"] > edge.counters["connections_turn"]

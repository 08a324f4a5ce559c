"""The page that tests the connection, in a real browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Response, expect
from sqlalchemy.ext.asyncio import create_async_engine

from relay.check.verdicts import LABELS
from relay.db.schema.migrate import upgrade
from relay.http.access.auth import Tokens
from relay.ids import Profile
from relay.settings.auth import AuthSettings
from tests.browser.pages import PATIENCE
from tests.check.test_verdicts import CASES, explanation_of
from tests.edge.kit import write_certificate
from tests.kit.browsers import BrowserPage
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SECRET = "a secret of at least 32 characters"
WAYS = ("udp", "tcp", "turn_udp", "turn_tcp", "turn_tls")
HOPS = ("page", "websocket", *WAYS, "call")

SAID_BY_THE_PAGE = """
async (cases) => {
  const { explain } = await import("./app/connectivity/explain.js");
  return Promise.all(cases.map(({ report }) => explain(document.baseURI, "", report)));
}
"""


class TestPage(BrowserPage):
    """The page of the test."""

    __test__ = False

    async def run(self, url: str) -> None:
        """Open it, start the test, and wait for its end."""
        await self.page.goto(url)
        await self.page.get_by_test_id("start").click()
        await expect(self.page.get_by_test_id("outcome")).to_be_visible(timeout=3 * PATIENCE)

    async def states(self) -> dict[str, str | None]:
        return {hop: await self.page.get_by_test_id(f"hop-{hop}").get_attribute("data-state") for hop in HOPS}

    async def says(self) -> list[str]:
        return await self.page.locator("[data-testid=headline], [data-testid=sentence]").all_inner_texts()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[TestPage]:
    async with TestPage.opened(browser) as opened:
        yield opened


async def nothing_is_left(relay: RunningRelay) -> None:
    async def freed() -> bool:
        counters = await relay.counters()
        return counters["relay_media_transports_opened_total"] == counters["relay_media_transports_closed_total"]

    await eventually(freed, "the relay has closed every transport")
    assert await relay.call_logs() == []


async def test_the_page_says_the_same_as_the_command(relay: RunningRelay, page: TestPage) -> None:
    await page.page.goto(f"{relay.url}/connectivity")
    said = await page.page.evaluate(SAID_BY_THE_PAGE, CASES)
    for case, one in zip(CASES, said, strict=True):
        assert one == explanation_of(case), case["name"]
    names = await page.page.locator(".hop__name").all_inner_texts()
    assert names == list(LABELS.values())


async def test_everything_that_is_turned_on_works_and_the_call_has_figures(
    no_errors_logged: None, tmp_path: Path, page: TestPage
) -> None:
    certificate, key = write_certificate(tmp_path, "relay")
    async with running_relay(tmp_path, tls_cert=certificate, tls_key=key, media_host="127.0.0.1") as relay:
        await page.run(f"{relay.url}/connectivity")
        assert await page.states() == dict.fromkeys(HOPS, "ok")
        # People are told what they want to know; the rest is for their administrator, and folded.
        await expect(page.page.get_by_role("heading", name="Calls will work well from here.")).to_be_visible()
        await expect(page.page.get_by_test_id("headline")).to_be_hidden()
        await page.page.get_by_role("button", name="Details for your administrator").click()
        await expect(page.page.get_by_test_id("headline")).to_be_visible()
        [port] = relay.media_ports
        assert (await page.says())[0] == f"Everything works: media will use UDP {port} to 127.0.0.1."
        figures = await page.page.get_by_test_id("figures").inner_text()
        assert figures.startswith(f"UDP (IPv4) to 127.0.0.1:{port} · round trip ")
        assert " 0 kbit/s" not in figures
        assert "unknown" not in figures
        plain = RunningRelay(relay.url.replace("https", "http"), relay.database_url)  # the same port takes both
        await nothing_is_left(plain)
        counters = await plain.counters()
        assert counters["relay_turn_allocations_opened_total"] >= 6, "by UDP, TCP and TLS, for both ends"
        assert counters["relay_front_connections_ice_tcp_total"] >= 2


@pytest.mark.settings(media_tcp=False, turn=False, media_host="127.0.0.1")
async def test_a_transport_that_is_turned_off_is_not_reported_as_a_failure(relay: RunningRelay, page: TestPage) -> None:
    await page.run(f"{relay.url}/connectivity")
    off = dict.fromkeys(("tcp", "turn_udp", "turn_tcp", "turn_tls"), "off")
    assert await page.states() == {**dict.fromkeys(HOPS, "ok"), **off}
    assert "Turned off at the relay: media over TCP (RELAY_MEDIA_TCP) and TURN (RELAY_TURN)." in await page.says()
    assert await page.page.get_by_test_id("result-tcp").inner_text() == "turned off at the relay"
    await nothing_is_left(relay)


@pytest.mark.settings(media_host="127.0.0.1")
async def test_it_can_be_run_again_and_the_report_that_is_copied_has_no_credentials(relay: RunningRelay, page: TestPage) -> None:
    await page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answers: list[Response] = []
    page.page.on("response", lambda one: answers.append(one))  # noqa: PLW0108 - Playwright marks what it is given
    await page.run(f"{relay.url}/connectivity")
    await page.page.get_by_test_id("start").click()
    await expect(page.page.get_by_test_id("outcome")).to_be_hidden(timeout=PATIENCE)
    await expect(page.page.get_by_test_id("outcome")).to_be_visible(timeout=3 * PATIENCE)
    await page.page.get_by_test_id("copy").click()
    await expect(page.page.get_by_text("Copied")).to_be_visible(timeout=PATIENCE)
    text = await page.page.evaluate("navigator.clipboard.readText()")
    assert "UDP: works" in text
    assert "Everything works" in text
    told = [found for one in answers if one.url.endswith("/api/session") and (found := (await one.json())["ice_servers"])]
    [server] = told[-1]
    assert server["credential"] not in text
    assert server["username"] not in text
    [cookie] = await page.page.context.cookies()
    assert cookie["value"] not in text


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(relay: RunningRelay) -> AsyncIterator[str]:
    """The URL of a reverse proxy before the relay that knows nothing of WebSockets, as many do by default."""
    async with aiohttp.ClientSession(auto_decompress=False) as http:

        async def forward(request: web.Request) -> web.Response:
            headers = {name: value for name, value in request.headers.items() if name not in {"Upgrade", "Connection"}}
            async with http.request(
                request.method, relay.url + request.path_qs, headers=headers, data=await request.read()
            ) as answer:
                kept = {k: v for k, v in answer.headers.items() if k not in {"Transfer-Encoding", "Content-Length"}}
                return web.Response(body=await answer.read(), status=answer.status, headers=kept)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
        await runner.cleanup()


async def test_a_proxy_that_strips_the_upgrade_is_found(relay: RunningRelay, proxy: str, page: TestPage) -> None:
    await page.run(f"{proxy}/connectivity")
    page.forgive("WebSocket connection to")
    rest = dict.fromkeys((*WAYS, "call"), "skipped")
    assert await page.states() == {"page": "ok", "websocket": "failed", **rest}
    [sentence] = await page.says()
    assert "does not pass on the Upgrade" in sentence


async def test_a_relay_that_does_not_answer_is_named_with_its_port(relay: RunningRelay, page: TestPage) -> None:
    await page.page.goto(f"{relay.url}/connectivity")
    await page.page.context.set_offline(True)
    await page.page.get_by_test_id("start").click()
    await expect(page.page.get_by_test_id("outcome")).to_be_visible(timeout=3 * PATIENCE)
    page.forgive("ERR_INTERNET_DISCONNECTED")
    assert await page.states() == {**dict.fromkeys(HOPS, "skipped"), "page": "failed"}
    port = relay.url.rpartition(":")[2]
    assert await page.says() == [
        f"The relay at {relay.url}/ does not answer. Check that it is running, and that TCP {port} to it is open."
    ]
    assert await page.page.get_by_test_id("result-page").inner_text() == "fails"


@pytest.mark.parametrize(
    ("status", "body"),
    [(502, "<h1>Bad Gateway</h1>"), (200, "<h1>Log in to the hotel's network</h1>"), (200, "[]")],
    ids=["a proxy without its relay", "a captive portal", "another service"],
)
async def test_an_answer_that_is_not_the_relays_is_said_with_its_status(
    relay: RunningRelay, page: TestPage, status: int, body: str
) -> None:
    await page.page.goto(f"{relay.url}/connectivity")
    await page.page.route("**/api/**", lambda route: route.fulfill(status=status, body=body))
    await page.page.get_by_test_id("start").click()
    await expect(page.page.get_by_test_id("outcome")).to_be_visible(timeout=3 * PATIENCE)
    page.forgive("502")
    [sentence] = await page.says()
    assert f"does not answer (it answers with status {status} and unknown content). Check that " in sentence


async def test_a_user_who_is_not_signed_in_gets_a_message(no_errors_logged: None, tmp_path: Path, page: TestPage) -> None:
    await migrate(tmp_path)
    async with running_relay(tmp_path, dev=False, jwt_secret=SECRET, media_host="127.0.0.1") as relay:
        await page.run(f"{relay.url}/connectivity")
        assert (await page.states())["page"] == "failed"
        assert "sign in on the page where you make calls" in (await page.says())[0]


async def test_a_link_with_a_token_signs_in(no_errors_logged: None, tmp_path: Path, page: TestPage) -> None:
    await migrate(tmp_path)
    async with running_relay(tmp_path, dev=False, jwt_secret=SECRET, media_host="127.0.0.1") as relay:
        token = Tokens(AuthSettings(jwt_secret=SECRET)).issue(Profile("student", 456))
        await page.run(f"{relay.url}/connectivity#token={token}")
        assert (await page.states())["call"] == "ok"


async def migrate(folder: Path) -> None:
    """Outside development mode the schema must be there."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'relay.db'}")
    await upgrade(engine)
    await engine.dispose()


async def test_the_page_does_not_overflow_a_narrow_screen(relay: RunningRelay, page: TestPage) -> None:
    await page.page.set_viewport_size({"width": 320, "height": 640})
    await page.run(f"{relay.url}/connectivity")
    width = await page.page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= 320
    assert (await page.says())[0] in await page.page.get_by_test_id("announced").inner_text(), "it is read out"

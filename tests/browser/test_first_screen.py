"""The first screen outside development mode: how soon it is there over a slow line, and for how many requests and bytes."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any, Literal
from urllib.parse import urljoin

import pytest
from playwright.async_api import Browser, CDPSession, Page, Route, expect

from tests.browser.pages import PATIENCE
from tests.browser.production import CONVERSATION, Production, ProductionPage, requests_of, token

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SLOW = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
ROUND_TRIPS, ROUND_TRIP, BYTES_PER_SECOND = 2, 0.4, 50_000.0
"""Of the first screen, on a connection that is there: seconds, and the rate of `SLOW`."""
MOST_SECONDS = 1.5
MOST_BYTES = 90_000
MOST_REQUESTS = 7
"""Until the first screen is there: the page, its script, its icon, and what the server says of the session."""
FIRST_SEEN = {"gate": "gate", "home": f"call-video-{CONVERSATION}"}
"""What the user has come for, and sees last."""


Screen = Literal["gate", "home"]


@contextlib.asynccontextmanager
async def at_first_screen(browser: Browser, production: Production, screen: Screen) -> AsyncIterator[ProductionPage]:
    """A page whose first screen is that one: `home` where a user has signed in."""
    async with ProductionPage.opened(browser) as page:
        if screen == "home":
            await page.page.goto(production.link(token()))
            await page.shows(screen)
        yield page


async def slowed(page: Page) -> CDPSession:
    """All that the page loads from here on comes over a slow line."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Network.enable")
    await devtools.send("Network.emulateNetworkConditions", SLOW)
    return devtools


@pytest.mark.parametrize("screen", ["gate", "home"])
async def test_the_first_screen_takes_few_requests_and_bytes(
    browser: Browser, production: Production, screen: Screen, record_property: Any
) -> None:
    async with at_first_screen(browser, production, screen) as page:
        devtools = await slowed(page.page)
        await devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
        received: list[float] = []
        devtools.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
        await page.page.goto("about:blank")
        received.clear()
        asked = requests_of(page.page)
        await page.page.goto(production.relay.url, wait_until="commit")
        record_property(f"first screen ({screen}) at 400 ms and 50 kB/s [s]", await seen_after(page.page, FIRST_SEEN[screen]))
        record_property(f"first screen ({screen}) [kB]", round(sum(received) / 1000, 1))
        assert len(received) <= MOST_REQUESTS, received
        assert sum(received) <= MOST_BYTES
        assert len([one for one in asked if one.url.endswith("/api/session")]) == 1, "the page uses what was asked for ahead"
        if screen == "home":
            await page.connection_is("online")


@pytest.mark.parametrize("screen", ["gate", "home"])
async def test_the_first_screen_takes_two_round_trips_the_page_and_what_it_names_and_on_a_slow_line_a_second_and_a_half(
    browser: Browser, production: Production, screen: Screen, record_property: Any
) -> None:
    url = f"{production.relay.url}/"
    async with at_first_screen(browser, production, screen) as page:
        html = await (await page.page.request.get(url)).text()
        tags = [one for one in re.findall(r"<(?:link|script)\b[^>]*>", html) if 'rel="later"' not in one]
        named = {url, *(urljoin(url, one) for tag in tags for one in re.findall(r'(?:href|src)="([^"]+)"', tag))}
        shown = asyncio.Event()

        async def serve(route: Route) -> None:
            if route.request.url not in named:
                await shown.wait()
            await route.continue_()

        received: list[float] = []
        devtools = await page.page.context.new_cdp_session(page.page)
        await devtools.send("Network.enable")
        await devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
        devtools.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
        await page.page.route("**/*", serve)
        await page.page.goto(url, wait_until="commit")
        await page.shows(FIRST_SEEN[screen])
        taken = ROUND_TRIPS * ROUND_TRIP + sum(received) / BYTES_PER_SECOND
        record_property(f"first screen ({screen}) by round trips and bytes, at 400 ms and 50 kB/s [s]", round(taken, 2))
        assert len(received) >= len(named) - 1, "all but the icon of the tab, which browsers load when they like"
        assert taken <= MOST_SECONDS, received
        if screen == "home":  # what is behind the first screen can be asked for before it has come
            await page.page.get_by_role("tab", name="Settings").click()
            shown.set()
            await expect(page.page.get_by_role("switch", name="Do not disturb")).to_be_enabled(timeout=PATIENCE)
        shown.set()
        await page.page.unroute_all(behavior="wait")


@pytest.mark.parametrize("screen", ["gate", "home"])
async def test_over_a_slow_line_the_page_is_not_blank_while_its_script_is_on_its_way(
    browser: Browser, production: Production, screen: Screen, record_property: Any
) -> None:
    async with at_first_screen(browser, production, screen) as page:
        come = asyncio.Event()

        async def hold(route: Route) -> None:
            await come.wait()
            await route.continue_()

        await page.page.route("**/*.js", hold)
        await slowed(page.page)
        await page.page.goto(production.relay.url, wait_until="commit")
        record_property(f"first paint ({screen}) at 400 ms and 50 kB/s [s]", await seen_after(page.page, "opening"))
        await expect(page.page.get_by_role("status", name="Loading")).to_contain_text("Call Relay")
        come.set()
        await page.shows(screen)
        await expect(page.hook("opening")).to_be_hidden()
        await page.page.unroute("**/*.js")


async def seen_after(page: Page, name: str) -> float:
    """Wait until that part is there to see; seconds since the page was asked for, by the frame in which it is.

    Playwright's own expectations look twice a second after a while.
    """
    seen = "(name) => document.querySelector(`[data-testid=${name}]`)?.checkVisibility() && performance.now()"
    return round(float(await (await page.wait_for_function(seen, arg=name)).json_value()) / 1000, 2)

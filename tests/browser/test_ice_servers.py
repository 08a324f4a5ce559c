"""Which TURN servers a page takes for its next peer connection: a module of `web/client` alone, in a browser, with a relay."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

KNOWN: Final = [{"urls": ["turn:before.example:3478"], "username": "before", "credential": "before"}]

MADE: Final = """
async (known) => {
  const { Api } = await import("/client/api.js");
  const { IceServers } = await import("/client/iceservers.js");
  const credentials = { token: "", person: { type: "student", id: 456 }, renew: async () => false };
  window.iceServers = new IceServers(new Api(location.href, credentials), known);
}
"""

RENEWED: Final = "async () => { await iceServers.renew(); return iceServers.current; }"


@pytest_asyncio.fixture(loop_scope="session")
async def page(bare_page: Page) -> AsyncIterator[Page]:
    """A page that is signed in, and knows one TURN server since."""
    page = await bare_page.context.new_page()
    await page.goto(bare_page.url)
    who = {"profile_type": "student", "profile_id": 456}
    assert (await page.request.post(f"{bare_page.url}api/dev/login", data=who)).ok
    await page.evaluate(MADE, KNOWN)
    yield page
    await page.close()


async def test_a_page_has_the_turn_servers_of_now_for_a_call_and_not_those_of_when_it_was_loaded(page: Page) -> None:
    asked = 0

    async def counted(route: Route) -> None:
        nonlocal asked
        asked += 1
        await route.continue_()

    await page.route("**/api/ice-servers", counted)
    [server] = await page.evaluate(RENEWED)
    assert "before.example" not in str(server["urls"])
    assert server["username"].endswith(":student_456")
    assert await page.evaluate(RENEWED) == [server]
    assert asked == 1, "an answer of a moment ago is as good"


async def test_a_call_does_not_wait_for_turn_servers_that_do_not_come_and_the_next_asks_again(page: Page) -> None:
    asked = 0
    gives_up = asyncio.Event()

    async def first_hangs(route: Route) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            await route.continue_()
        else:
            await gives_up.wait()
            await route.abort()

    await page.route("**/api/ice-servers", first_hangs)
    assert await page.evaluate(RENEWED) == KNOWN
    [server] = await page.evaluate(RENEWED)
    assert server["username"].endswith(":student_456")
    gives_up.set()
    assert asked == 2


@pytest.mark.parametrize("answer", [{"status": 429, "json": {"error": {"code": "rate_limited", "message": ""}}}, None], ids=str)
async def test_a_page_keeps_the_turn_servers_that_it_knows_if_the_server_is_away_or_refuses(page: Page, answer: Any) -> None:
    async def refused(route: Route) -> None:
        await (route.abort() if answer is None else route.fulfill(**answer))

    await page.route("**/api/ice-servers", refused)
    assert await page.evaluate(RENEWED) == KNOWN

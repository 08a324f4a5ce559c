"""The page outside development mode, over TLS: users sign in at their platform (docs/sign_in_example.py), and call each other."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import jwt
import pytest
from playwright.async_api import Browser, Error, Route, expect

from tests.browser.calls import A_SECOND
from tests.browser.conftest import StartFirefox
from tests.browser.pages import PATIENCE, STUDENT, TUTOR
from tests.browser.production import CONVERSATION, Production, ProductionPage, requests_of, token
from tests.browser.test_other_origins import page_server
from tests.kit.axe import violations_at_both_ends
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

DAY = 86_400


@contextlib.asynccontextmanager
async def visitor(browser: Browser, production: Production, key: str) -> AsyncIterator[ProductionPage]:
    """A page of one who is signed in at the platform, and not at the relay."""
    async with ProductionPage.opened(browser) as page:
        await page.page.context.add_cookies([{"name": "user", "value": key, "url": production.platform}])
        yield page


async def test_users_sign_in_at_their_platform_and_call_each_other_by_a_link(browser: Browser, production: Production) -> None:
    url = production.relay.url
    async with visitor(browser, production, STUDENT) as caller, visitor(browser, production, TUTOR) as callee:
        await callee.page.goto(url)
        await callee.shows_gate("")
        await expect(callee.page.get_by_text("Maya Lindgren")).to_have_count(0)
        assert await violations_at_both_ends(callee.page) == []
        await callee.page.get_by_role("link", name="Sign in").click()
        await callee.is_home_of("Daniel Okafor")
        await callee.connection_is("online")

        await caller.page.goto(f"{url}/#call=conversation/{CONVERSATION}&kind=video")
        await caller.page.get_by_role("link", name="Sign in").click()
        await caller.is_home_of("Maya Lindgren")
        assert "token" not in caller.page.url
        assert "token" not in callee.page.url
        await expect(caller.page.get_by_role("button", name="Start the video call")).to_be_enabled(timeout=PATIENCE)
        assert await violations_at_both_ends(caller.page) == []
        await caller.page.get_by_role("button", name="Start the video call").click()
        await callee.ringing()
        await callee.accept()

        async def both_ways() -> bool:
            both = await caller.talking(), await callee.talking()
            return all(one.frames_decoded > A_SECOND and one.audio_energy > 0 for one in both)

        await eventually(both_ways, "both hear and see each other")
        # The platform has not asked for the texts of this conversation to be kept.
        await caller.press("chat")
        await expect(caller.hook("chat-kept")).to_have_text("Messages and files are not kept: they are gone when the call ends.")
        await caller.hang_up()
        await callee.shows("ended-card")
        row = await production.relay.finished_call()
        assert (row["status"], row["conversation_id"]) == ("ended", CONVERSATION)

        # Signed in over tabs and reloads; signed out in all of them.
        second = ProductionPage(await caller.page.context.new_page())
        await second.page.goto(url)
        await second.is_home_of("Maya Lindgren")
        await caller.page.reload()
        await caller.is_home_of("Maya Lindgren")
        await caller.page.get_by_role("button", name="Sign out").click()
        await caller.shows_gate("You have signed out.")
        await second.shows_gate("You have signed out in another tab.")
        await second.page.reload()
        await second.shows_gate("")
        assert second.problems == []


async def test_who_signs_out_is_told_so_once_the_server_knows(browser: Browser, production: Production) -> None:
    async with ProductionPage.opened(browser) as page:
        await page.page.goto(production.link(token()))
        await page.is_home_of("Maya Lindgren")
        asked: asyncio.Queue[Route] = asyncio.Queue()
        await page.page.route("**/api/session", asked.put)
        await page.page.get_by_role("button", name="Sign out").click()
        lost = await asked.get()
        await expect(page.page.get_by_role("heading", name="Signing out")).to_be_visible()
        await lost.abort()
        await expect(page.hook("gate-problem")).to_contain_text("this browser still keeps your sign-in", timeout=PATIENCE)
        page.forgive("net::ERR")
        await page.page.unroute("**/api/session")
        await page.page.get_by_role("button", name="Try again").click()
        await page.shows_gate("You have signed out.")
        assert await page.page.context.cookies() == []


async def test_who_signs_out_and_closes_the_page_at_once_is_signed_out(browser: Browser, production: Production) -> None:
    async with ProductionPage.opened(browser) as page:
        await page.page.goto(production.link(token()))
        await page.is_home_of("Maya Lindgren")
        context = page.page.context
        next_one = await context.new_page()
        asked: asyncio.Queue[Route] = asyncio.Queue()
        await page.page.route("**/api/session", asked.put)
        await page.page.get_by_role("button", name="Sign out").click()
        held = await asked.get()  # not with the server yet
        await page.page.close()
        with contextlib.suppress(Error):  # Playwright waits for it for ever
            await held.continue_()

        async def has_no_cookie() -> bool:
            return not await context.cookies()

        await eventually(has_no_cookie, "the browser has forgotten the sign-in")
        await next_one.goto(production.relay.url)
        await ProductionPage(next_one).shows_gate("")


BAD = {
    "expired": (token(lifetime=-60), "Your sign-in has expired."),
    "of tomorrow": (token(iat=time.time() + DAY), "the clock of your platform’s server, or of this one, is wrong"),
    "for another service": (token(aud="another"), "This sign-in is for another service"),
    "not signed by the platform": (jwt.encode({"sub": STUDENT}, "x" * 32), "has no valid sign-in"),
    "nonsense": ("<script>", "has no valid sign-in"),
}


async def test_what_is_wrong_with_a_sign_in_is_said_and_not_tried_again(browser: Browser, production: Production) -> None:
    async with ProductionPage.opened(browser) as page:
        await page.page.clock.install()
        asked = requests_of(page.page)
        for bad, text in BAD.values():
            await page.page.goto("about:blank")
            await page.page.goto(production.link(bad))
            await expect(page.hook("gate-problem")).to_contain_text(text, timeout=PATIENCE)
            before = len(asked)
            await page.page.clock.fast_forward(600_000)
            await expect(page.hook("gate-problem")).to_contain_text(text)
            assert len(asked) == before
            assert page.page.url == f"{production.relay.url}/"


async def test_a_sign_in_that_ends_is_told_in_words_and_another_tab_renews_it(browser: Browser, production: Production) -> None:
    async with ProductionPage.opened(browser) as page:
        await page.page.goto(production.link(token(lifetime=6)))
        await page.is_home_of("Maya Lindgren")
        await page.connection_is("online")
        await page.shows("renewal")
        await expect(page.hook("renewal-link")).to_have_attribute("target", "_blank")
        other = await page.page.context.new_page()
        await other.goto(production.link(token(lifetime=6)))
        await page.hides("renewal")
        await page.shows_gate("Your sign-in has expired.")


async def test_a_link_that_signs_in_another_user_asks_first(browser: Browser, production: Production) -> None:
    async with ProductionPage.opened(browser) as page:
        await page.page.goto(production.link(token(STUDENT)))
        await page.is_home_of("Maya Lindgren")
        for answer, name in (("Stay Maya", "Maya Lindgren"), ("Continue as Daniel", "Daniel Okafor")):
            await page.page.goto("about:blank")
            await page.page.goto(production.link(token(TUTOR)))
            await expect(page.page.get_by_role("button", name=answer)).to_be_visible(timeout=PATIENCE)
            if name == "Maya Lindgren":
                assert await violations_at_both_ends(page.page) == []
            await page.page.get_by_role("button", name=answer).click()
            await page.is_home_of(name)


async def test_the_page_takes_a_token_from_the_page_around_it_and_a_stranger_cannot_show_it(
    browser: Browser, production: Production
) -> None:
    async with visitor(browser, production, STUDENT) as page, page_server() as stranger:
        await page.page.goto(f"{production.platform}/calls")
        frame = page.page.frame_locator("iframe")
        await expect(frame.get_by_test_id("me")).to_have_text("Maya Lindgren", timeout=PATIENCE)
        await expect(frame.get_by_test_id(f"call-video-{CONVERSATION}")).to_be_enabled(timeout=PATIENCE)

        asked = requests_of(page.page)
        await page.page.goto(stranger)
        async with page.page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            await page.page.evaluate(
                "(url) => document.body.append(Object.assign(document.createElement('iframe'), { src: url }))",
                production.link(token()),
            )
        page.forgive("frame-ancestors")
        assert not [one for one in asked if "/api/" in one.url or "/assets/" in one.url]


async def test_firefox_signs_in_by_a_link_and_stays_signed_in(production: Production, firefox: StartFirefox) -> None:
    async with (await firefox()).tab() as tab:
        text = "(name) => document.querySelector(`[data-testid=${name}]`)?.innerText ?? ''"

        async def says(name: str, expected: str) -> None:
            async def said() -> bool:
                return expected in str(await tab.evaluate(text, name))

            await eventually(said, f"{name} says {expected!r}")

        async def online() -> None:
            async def is_online() -> bool:
                return bool(await tab.evaluate("() => relayCall.connection === 'online'"))

            await eventually(is_online, "the page is connected")

        await tab.goto(production.link(token(TUTOR), "answer=abc&"))
        await says("me", "Daniel Okafor")
        assert "token" not in await tab.evaluate("() => location.href")
        await says("toast", "does not ring any more")
        await tab.goto(f"{production.relay.url}/?again")
        await says("me", "Daniel Okafor")
        await online()
        await tab.evaluate("() => document.querySelector('[data-testid=sign-out]').click()")
        await says("gate-problem", "You have signed out.")
        await tab.goto(f"{production.relay.url}/")
        await says("gate", "Sign in at your platform")
        # It says so of each page with a WebSocket that is left for another one.
        assert not [one for one in tab.problems if "interrupted while the page was loading" not in one]

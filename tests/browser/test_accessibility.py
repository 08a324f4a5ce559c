"""axe-core finds nothing, wherever the page is: at the widths of a small phone, a phone and a desktop, by day and by night."""

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.axe import violations
from tests.kit.server import RunningRelay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SCREENS = (("light", 320), ("light", 1280), ("dark", 390))


TWO_FRAMES = "() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"
"""Rows with `content-visibility` get the colours of another scheme with the next frame."""


async def found_in(page: Page, state: str) -> list[str]:
    """What axe-core finds in this state, on each kind of screen; and whether the page is wider than it."""
    found = []
    for scheme, width in SCREENS:
        await page.emulate_media(color_scheme="light" if scheme == "light" else "dark", reduced_motion="reduce")
        await page.set_viewport_size(ViewportSize(width=width, height=800))
        await page.evaluate(TWO_FRAMES)
        found += [f"{state}, {scheme}, {width} px: {one}" for one in await violations(page)]
        over = await page.evaluate("document.scrollingElement.scrollWidth") - width
        found += [f"{state}, {scheme}, {width} px: {over} px too wide"] if over > 0 else []
    return found


async def test_no_state_of_the_page_has_what_axe_core_objects_to(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    page, found = callee.page, list[str]()

    async def look(state: str) -> None:
        found.extend(await found_in(page, state))

    await look("people")
    await callee.hook("check-devices").click()
    await expect(callee.hook("microphone-hint")).to_have_text("Your microphone works.", timeout=PATIENCE)
    await look("camera and sound")
    await callee.hook("devices-done").click()
    await caller.call("video")
    await callee.ringing()
    await look("incoming")
    await callee.hook("decline-with-message").click()
    await look("declining with a message")
    await callee.accept()
    await callee.talking()
    await look("video call")
    await callee.write("Page 12? https://example.org")
    await caller.reads("Page 12?")
    await look("chat")
    await caller.hang_up()
    await callee.shows("ended-card")
    await look("ended")
    await page.get_by_role("radio", name="Poor").check(force=True)
    await look("rating")
    await callee.put_away_the_ended_call()
    steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("recent calls", page.get_by_role("tab", name="Recent").click),
        ("past call", callee.hook("open-call").click),
        ("settings", page.get_by_role("tab", name="Settings").click),
    ]
    for state, step in steps:
        await step()
        await page.wait_for_load_state("networkidle")
        await look(state)
    await callee.hook("sign-out").click()
    await callee.shows("user-tutor_789")
    await look("sign-in")
    await page.goto(f"{relay.url}/connectivity")
    await callee.hook("start").click()
    await expect(callee.hook("outcome")).to_be_visible(timeout=3 * PATIENCE)
    await callee.hook("details").click()
    await look("connection test")
    await page.goto(f"{relay.url}/recordings")
    await expect(page.get_by_role("heading", name="Recordings", exact=True)).to_be_visible(timeout=PATIENCE)
    await look("recordings")
    callee.forgive("frame is sandboxed")
    assert not found, "\n".join(found)

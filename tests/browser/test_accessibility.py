"""axe-core finds nothing, wherever the page is: at the widths of a small phone, a phone and a desktop, by day and by night.
Nothing is cut off at 200 %, and nothing is said by a colour alone.
"""

import functools
import io
import itertools
from collections.abc import Awaitable, Callable
from typing import Literal

import matplotlib.image
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.async_api import Locator, Page, ViewportSize, expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.axe import OF_COLOURS, violations
from tests.kit.browsers import LOOK
from tests.kit.controls import out_of_reach
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SCREENS: tuple[tuple[Literal["light", "dark"], int], ...] = tuple(itertools.product(("light", "dark"), (320, 390, 1280)))
ZOOMED = ViewportSize(width=640, height=400)
"""A window of 1280 × 800 at 200 %: pages are laid out in half as many pixels."""
PHONE_LYING = ViewportSize(width=740, height=360)

TWO_FRAMES = "() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"
"""Rows with `content-visibility` get the colours of another scheme with the next frame."""


async def found_in(page: Page, state: str) -> list[str]:
    """What axe-core finds in this state, on each kind of screen, and whether the page is wider than it; and what is out of reach
    at 200 %, on a phone that lies, and where the colours are the user's own.
    """
    found = []

    async def resized(what: str, size: ViewportSize) -> None:
        await page.set_viewport_size(size)
        await page.mouse.move(size["width"] / 2, 40)
        await page.mouse.move(size["width"] / 2, 44)  # the controls of a call hide from who does not move
        await page.evaluate(TWO_FRAMES)
        over = await page.evaluate("document.scrollingElement.scrollWidth") - size["width"]
        found.extend([f"{state}, {what}: {over} px too wide"] if over > 0 else [])

    for scheme, width in SCREENS:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        what = f"{scheme}, {width} px"
        await resized(what, ViewportSize(width=width, height=800))
        # By night there is nothing else than by day but the colours.
        rules = OF_COLOURS if scheme == "dark" else ()
        found += [f"{state}, {what}: {one}" for one in await violations(page, rules)]
    for what, size in (("at 200 %", ZOOMED), ("on a phone that lies", PHONE_LYING)):
        await resized(what, size)
        found += [f"{state}, {what}: {one}" for one in await out_of_reach(page)]
    await page.emulate_media(forced_colors="active", reduced_motion="reduce")
    for width in (320, 1280):
        what = f"forced colours, {width} px"
        await resized(what, ViewportSize(width=width, height=800))
        found += [f"{state}, {what}: {one}" for one in await out_of_reach(page)]
    await page.emulate_media(forced_colors="none", reduced_motion="reduce")
    return found


async def light_of(page: Page, part: Locator) -> NDArray[np.float64]:
    """How light each point of a part of the page is, 0 to 1: all that is left of it without colours."""
    for y in (60, 64):  # neither hovered, nor hidden from who does not move
        await page.mouse.move(640, y)
    await page.evaluate("document.activeElement.blur()")
    pixels = matplotlib.image.imread(io.BytesIO(await part.screenshot(animations="disabled")), format="png")
    return np.asarray(pixels[..., :3] @ [0.2126, 0.7152, 0.0722], dtype=np.float64)


async def test_what_is_on_and_selected_is_told_without_colours(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    page = caller.page
    await page.emulate_media(forced_colors="active", reduced_motion="reduce")

    async def differs(part: Locator, change: Callable[[], Awaitable[object]]) -> None:
        """By a hundredth of its points at least, and by half of all light there is."""
        before = await light_of(page, part)
        await change()
        now = await light_of(page, part)
        assert now.shape == before.shape
        share = float(np.mean(np.abs(now - before) > 0.5))
        assert share > 0.01, f"{part}: {share:.1%}"

    people = page.get_by_role("tab", name="People")
    await differs(people, page.get_by_role("tab", name="Settings").click)
    disturb = page.get_by_role("switch", name="Do not disturb")
    await expect(disturb).to_be_enabled(timeout=PATIENCE)
    await differs(disturb, disturb.check)
    await disturb.uncheck()
    await people.click()
    await PagesInCall.connected(relay, "voice", caller, callee)
    await caller.reaches("connected")
    for control in ("mute", "chat"):
        await differs(caller.hook(control), functools.partial(caller.press, control))
        await caller.press(control)
    await expect(caller.hook("quality")).to_be_visible(timeout=PATIENCE)
    bars = caller.hook("quality")
    how_many = """(count) => {
      const { dataset } = document.querySelector(".quality");
      return count ? (dataset.bars = count) : dataset.bars;
    }"""

    async def lit(count: int) -> list[NDArray[np.float64]]:
        """Empty: the page has shown what is the case meanwhile."""
        await page.evaluate(how_many, count)
        light = await light_of(page, bars)
        return [light] if await page.evaluate(how_many, 0) == str(count) else []

    [few], [many] = [await eventually(functools.partial(lit, count), f"{count} bars", every=LOOK) for count in (1, 3)]
    assert np.mean(np.abs(few - many) > 0.5) > 0.01
    await caller.hang_up()
    await callee.shows("ended-card")
    await relay.finished_call()


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

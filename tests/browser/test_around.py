"""Around the call: how the page rings, what it keeps of calls, and how it takes names and data that are wrong."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Playwright, Response, Route, expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import CONVERSATIONS, OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.browsers import chromium
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

A_DAY_AHEAD = """
// The clock of this device is a day ahead.
(() => {
  const RealDate = Date;
  window.Date = class extends RealDate {
    constructor(...given) { if (given.length) super(...given); else super(RealDate.now() + 86_400_000); }
    static now() { return RealDate.now() + 86_400_000; }
  };
})();
"""

NOT_TOUCHED = """
// Each question of Playwright's counts as a click of the user (its scripts run with a user gesture).
(() => {
  let isTouched = false;
  addEventListener("pointerdown", () => { isTouched = true; }, { capture: true });
  Object.defineProperty(navigator, "userActivation", { value: { get hasBeenActive() { return isTouched; } } });
})();
"""

OUT_OF_SIGHT = """(isHidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

WATCH = """() => {
  window.notifications = [];
  window.titles = new Set();
  window.badges = [];
  new MutationObserver(() => titles.add(document.title)).observe(document.querySelector("title"), { childList: true });
  window.Notification = class extends Notification {
    constructor(title, options) {
      super(title, options);
      const noted = { title, isClosed: false };
      window.notifications.push(noted);
      const close = this.close.bind(this);
      this.close = () => { noted.isClosed = true; close(); };
    }
  };
  navigator.setAppBadge = async (count) => void badges.push(count);
}"""

CLICKED = """async (callId) => {
  const opened = [];
  clients.openWindow = async (url) => void opened.push(url);
  await registration.showNotification("Daniel is calling", { data: { answer: callId } });
  const [notification] = await registration.getNotifications();
  const event = new NotificationEvent("notificationclick", { notification });
  let done;
  event.waitUntil = (work) => { done = work; };
  dispatchEvent(event);
  await Promise.race([done, new Promise((resolve) => setTimeout(resolve, 500))]).catch(() => {});
  return opened;
}"""

HOSTILE = [
    ("<img src=x onerror=alert(1)>", "javascript:alert(1)"),
    ("\u202edlrow \u202eolleh", "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
    ("W" * 200, "data:image/png;base64," + "A" * 10_000_000),
    ("", "https://[not an address"),
    ("\u0000\ufffd 🧑‍🚀 Zoë", "ftp://example.org/a.png"),
]


async def cannot_be_loaded(route: Route) -> None:
    await route.abort()


async def test_a_call_is_rated_and_keeps_a_page_with_what_was_said(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await callee.page.context.add_init_script(A_DAY_AHEAD)
    await callee.page.reload()
    await callee.connection_is("online")
    await PagesInCall.connected(relay, "voice", caller, callee)
    await caller.reaches("connected")
    await caller.write("Page 12?")
    await callee.reads("Page 12?")
    await caller.receives("call_quality", 1)
    await caller.hang_up()

    page = caller.page
    await page.locator("label", has=page.get_by_role("radio", name="Poor")).click()
    await page.locator("label", has_text="Echo").click()
    await page.get_by_label("In your own words").fill("<b>I heard myself.</b>")
    await expect(page.get_by_role("link", name="Test your connection")).to_have_attribute("href", "connectivity")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_text("Thank you.")).to_be_visible(timeout=PATIENCE)
    await expect(caller.hook("rating-more")).to_be_hidden(timeout=PATIENCE)
    counters = await relay.counters()
    assert (counters["relay_call_ratings_total"], counters["relay_call_problems_total"]) == (1, 1)
    await caller.put_away_the_ended_call()

    await page.route("**/*pastcall.js", cannot_be_loaded)
    await page.get_by_role("tab", name="Recent").click()
    await page.get_by_role("button", name="Daniel Okafor Outgoing voice call").click()
    await caller.hears("This part of the page could not be loaded.")
    caller.forgive("net::ERR_FAILED")
    await page.unroute("**/*pastcall.js")
    await page.reload()
    await page.get_by_role("tab", name="Recent").click()
    await page.get_by_role("button", name="Daniel Okafor Outgoing voice call").click()
    details = page.get_by_role("article", name="Daniel Okafor")
    await expect(details.get_by_text("One of you hung up")).to_be_visible(timeout=PATIENCE)
    await expect(details.get_by_text(re.compile("^(Very good|Good|Poor|Bad), over UDP"))).to_be_visible()
    await expect(details.get_by_text("Page 12?")).to_be_visible()
    await expect(details.get_by_role("radio", name="Poor")).to_be_checked()
    await page.go_back()
    row = page.get_by_role("button", name="Daniel Okafor Outgoing voice call")
    await expect(row).to_be_focused()
    for wanted, number in (("OKÁFOR", 1), ("Victor", 0)):
        await page.get_by_role("searchbox", name="Search calls").fill(wanted)
        await expect(row).to_have_count(number, timeout=PATIENCE)

    # On a device whose clock is wrong, the call was today all the same, and has lasted seconds.
    await expect(callee.hook("ended-duration")).to_have_text(re.compile(r"^0:\d\d$"))
    await callee.put_away_the_ended_call()
    await callee.page.get_by_role("tab", name="Recent").click()
    await expect(callee.hook("recent-call")).to_contain_text(re.compile(r"voice call · 0:\d\d"), timeout=PATIENCE)
    assert "Yesterday" not in await callee.hook("recent-call").inner_text()


async def test_what_was_wrong_with_a_call_is_kept_though_the_stars_were_sent_before_and_arrive_late(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await PagesInCall.connected(relay, "voice", caller, callee)
    await caller.hang_up()
    page, under_way, goes_on = caller.page, list[Route](), asyncio.Event()
    answers = list[Response]()

    async def hold_the_first(route: Route) -> None:
        under_way.append(route)
        if len(under_way) == 1:
            await goes_on.wait()
        await route.continue_()

    await page.route("**/rating", hold_the_first)
    page.on("response", lambda one: answers.append(one) if one.url.endswith("/rating") else None)
    await page.locator("label", has=page.get_by_role("radio", name="Poor")).click()
    await eventually(lambda: under_way, "the stars are sent")
    await page.locator("label", has_text="Echo").click()
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_text("Thank you.")).to_be_hidden()
    goes_on.set()
    await eventually(lambda: len(answers) == 2, "both are answered")
    await expect(page.get_by_text("Thank you.")).to_be_visible(timeout=PATIENCE)
    await page.reload()
    await page.get_by_role("tab", name="Recent").click()
    await page.get_by_role("button", name="Daniel Okafor Outgoing voice call").click()
    await expect(page.get_by_role("article", name="Daniel Okafor").get_by_role("radio", name="Poor")).to_be_checked()
    await expect(page.get_by_role("article", name="Daniel Okafor").get_by_test_id("problem-echo")).to_be_checked()


MOVES = """(name) => {
  // Which animations run there now, and whether anything of them is to be seen a twentieth of the way.
  const face = document.querySelector(`[data-testid=${name}] .bigbutton`);
  const animations = face.getAnimations().filter((one) => one instanceof CSSAnimation); // it grows under the pointer, once
  return animations.map((animation) => {
    animation.pause();
    animation.currentTime = animation.effect.getComputedTiming().duration / 20;
    const turned = getComputedStyle(face).transform !== "none";
    animation.play();
    return [animation.animationName, turned];
  });
}"""
ENDLESS = "() => document.getAnimations().filter(({ effect }) => effect.getComputedTiming().iterations === Infinity).length"


async def test_the_button_that_answers_shakes_until_it_is_pointed_at_and_stands_still_where_less_motion_is_wanted(
    open_page: OpenPage[RelayPage],
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    page = callee.page
    await page.emulate_media(reduced_motion="no-preference")
    await caller.call("voice")
    await callee.ringing()
    assert await page.evaluate(MOVES, "accept") == [["shake", True]]
    assert await page.evaluate(MOVES, "decline") == [], "only the one"
    box = await callee.hook("accept").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert await page.evaluate(MOVES, "accept") == [], "what is aimed at does not move"
    await page.mouse.move(5, 5)
    assert await page.evaluate(MOVES, "accept") == [["shake", True]]

    await page.emulate_media(reduced_motion="reduce")
    assert await page.evaluate(MOVES, "accept") == []
    assert await page.evaluate(ENDLESS) == 0, "nothing on the page moves for ever"
    await caller.hang_up()
    await callee.hides("incoming")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole_browser(driver: Playwright) -> AsyncIterator[Browser]:
    """With notifications, which the build without a user interface has not."""
    async with chromium(program="chromium", driver=driver) as running:
        yield running


@contextlib.asynccontextmanager
async def notified(browser: Browser, relay: RunningRelay) -> AsyncIterator[RelayPage]:
    """The tutor's page, which may notify."""
    async with RelayPage.used_by(browser, relay.url, TUTOR, *CONVERSATIONS[TUTOR]) as page:
        await page.page.context.grant_permissions(["notifications", "microphone", "camera"])
        yield page


async def test_a_page_out_of_sight_rings_all_the_same_and_shows_what_was_missed(
    relay: RunningRelay, open_page: OpenPage[RelayPage], whole_browser: Browser
) -> None:
    caller = await open_page(RelayPage, STUDENT)
    async with notified(whole_browser, relay) as callee:
        await rings_out_of_sight(caller, callee)


async def rings_out_of_sight(caller: RelayPage, callee: RelayPage) -> None:
    page = callee.page
    await page.add_init_script(NOT_TOUCHED)
    await page.reload()
    strip = page.get_by_role("button", name="Click once so that this page can ring")
    await expect(strip).to_be_visible(timeout=PATIENCE)
    await page.mouse.click(5, 300)
    await expect(strip).to_be_hidden()

    await page.get_by_role("tab", name="Settings").click()
    await page.get_by_role("combobox", name="Ringtone").select_option("Marimba")
    await page.get_by_role("slider", name="Volume").fill("20")
    assert await page.evaluate("localStorage.getItem('call-relay.ringing')") == '{"tone":"marimba","volume":0.2}'
    await expect(page.get_by_text("as long as this page is open")).to_be_visible(timeout=PATIENCE)
    await page.evaluate(WATCH)
    await page.evaluate(OUT_OF_SIGHT, True)
    await page.emulate_media(reduced_motion="no-preference")
    await caller.call("voice")
    await callee.ringing()
    await page.evaluate("titles.clear()")
    await page.wait_for_function("() => titles.has('Maya Lindgren is calling…') && titles.has('Call Relay')")
    await page.emulate_media(reduced_motion="reduce")
    assert await page.evaluate("notifications") == [{"title": "Maya Lindgren is calling", "isClosed": False}]
    await caller.hang_up()
    await callee.hides("incoming")
    await page.wait_for_function("() => document.title === '(1) Call Relay' && badges.at(-1) === 1")
    assert [one["isClosed"] for one in await page.evaluate("notifications")] == [True]

    await page.evaluate(OUT_OF_SIGHT, False)
    await page.get_by_role("switch", name="Do not disturb").check()
    await expect(callee.hook("my-state")).to_have_text("Do not disturb", timeout=PATIENCE)
    await caller.call("voice")
    assert "busy" in await caller.said()
    await page.wait_for_function("() => document.title === '(2) Call Relay'")
    await expect(callee.hook("toast").filter(has_text="tried to call you")).to_have_count(0)


async def test_a_link_opens_the_call_that_rings_and_a_notification_leads_to_it(
    relay: RunningRelay, open_page: OpenPage[RelayPage], whole_browser: Browser
) -> None:
    caller = await open_page(RelayPage, STUDENT)
    async with notified(whole_browser, relay) as callee:
        await links_lead_to_the_call(relay, caller, callee)


async def links_lead_to_the_call(relay: RunningRelay, caller: RelayPage, callee: RelayPage) -> None:
    await caller.call("voice")
    await callee.ringing()
    call_id = await callee.page.evaluate("relayCall.callId")
    context = callee.page.context

    second = RelayPage(await context.new_page())
    await second.page.goto(f"{relay.url}/#answer={call_id}")
    await second.hook(f"user-{TUTOR}").click()
    await second.ringing()
    await second.page.wait_for_function("() => !location.hash")
    await second.accept()
    await second.reaches("connected")
    await second.hang_up()
    await second.page.close()

    async with context.expect_event("serviceworker") as started:
        await callee.page.evaluate(
            "navigator.serviceWorker.register('sw.js').then(() => navigator.serviceWorker.ready).then(() => 1)"
        )
    worker = await started.value
    assert await worker.evaluate(CLICKED, call_id) == [], "the page is open"
    await callee.page.wait_for_function("() => !location.hash")
    assert await worker.evaluate(CLICKED, "f" * 32) == []
    await callee.hears("does not ring any more")
    await callee.page.goto(f"{relay.url}/connectivity")
    assert await worker.evaluate(CLICKED, call_id) == [f"{relay.url}/#answer={call_id}"], "that page does not ring"


async def test_a_thousand_conversations_with_hostile_names_are_shown_as_they_are_looked_at(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    opened = await open_page(RelayPage, STUDENT)
    page = opened.page
    members = [*HOSTILE, *((f"Person {number}", "") for number in range(995))]
    conversations = [
        {
            "conversation_id": 1000 + number,
            "members": [{"profile_type": "tutor", "profile_id": 1000 + number, "name": name, "avatar": avatar}],
        }
        for number, (name, avatar) in enumerate(members)
    ]

    async def many(route: Route) -> None:
        await route.fulfill(json={"conversations": conversations, "to_come": {"of": "a newer relay"}})

    async def newer(route: Route) -> None:
        response = await route.fetch()
        # Of a thousand conversations, the server lists none with its first answer.
        answer: dict[str, Any] = {**await response.json(), "to_come": [1], "contacts": None}
        answer.pop("frame_ancestors")
        await route.fulfill(response=response, json=answer)

    def talk(socket: Any) -> None:
        server = socket.connect_to_server()
        server.send('{"type": "ping", "to_come": true}')
        socket.send('{"type": "call_hologram", "call_id": "f", "seq": "x"}')
        socket.send("[]")
        socket.send("nonsense")

    await page.route("**/api/conversations", many)
    await page.route("**/api/session", newer)
    await page.route_web_socket(re.compile("/ws/"), talk)
    alerts: list[object] = []
    page.on("dialog", lambda dialog: alerts.append(dialog))  # noqa: PLW0108 - Playwright marks the function
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.reload()
    await opened.connection_is("online")
    rows = page.locator("[data-testid^=conversation-]")
    await expect(rows.first).to_contain_text("<img src=x onerror=alert(1)>", timeout=PATIENCE)
    await expect(page.get_by_role("button", name="Voice call with dlrow olleh")).to_be_visible()
    assert await rows.count() <= 200
    assert await page.evaluate("document.scrollingElement.scrollWidth") <= 320

    async def at_the_end() -> bool:
        await page.mouse.wheel(0, 100_000)
        return await rows.count() == 1000

    await page.mouse.move(160, 400)
    await eventually(at_the_end, "the last conversation is there")
    await page.get_by_role("searchbox", name="Search people").fill("zoe")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("Zoë")
    await page.get_by_role("searchbox", name="Search people").fill("no such person")
    await expect(page.get_by_text("There is no one here with “no such person” in their name.")).to_be_visible()
    assert alerts == []

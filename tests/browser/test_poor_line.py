"""A call whose line to the relay breaks, and then is very poor: what the page says and does, by what it sees itself."""

import pytest
from playwright.async_api import Browser, expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import CONVERSATIONS
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.axe import violations
from tests.kit.impair import ImpairedPath
from tests.kit.server import RunningRelay

HERE = "127.0.0.1"

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.settings(media_host=HERE)]

NOTE_THE_BREAK = """
() => {
  // What was the case when the page said that it reconnects.
  const status = document.querySelector("[data-testid=call-status]");
  const look = () => {
    if (status.textContent !== "Reconnecting…" || window.broke) return;
    const bars = document.querySelector(".quality").dataset.bars;
    window.broke = { state: relayCall.peerConnection.connectionState, bars };
  };
  new MutationObserver(look).observe(status, { childList: true, characterData: true, subtree: true });
}
"""

NOTE_WHAT_IS_DONE = """
() => {
  // What the page says that it does about a poor line, step by step.
  window.said = [];
  const notice = document.querySelector("[data-testid=line-notice]");
  const look = () => notice.hidden || said.push(notice.innerText.replace(/\\s+/g, " "));
  new MutationObserver(look).observe(notice, { attributes: true, childList: true, subtree: true });
}
"""
STAYS_IF_FEW = """
(meter) => {
  // Whether it is to be seen by one who does not touch the page: with the few bars that there are, and with more.
  meter.closest(".call").toggleAttribute("data-idle", true);
  const opacity = () => {
    void getComputedStyle(meter).opacity;
    meter.getAnimations().forEach((one) => one.finish());
    return getComputedStyle(meter).opacity;
  };
  const few = opacity();
  meter.toggleAttribute("data-few", false);
  return [few, opacity()];
}
"""
STEPS = [
    "Your connection is poor. Turn off your video to keep the audio. Turn off video",
    "Your video is off to keep the audio. It comes back when your connection is better. Turn on",
]


async def test_a_line_that_breaks_is_told_at_once_and_a_very_poor_one_loses_its_video_until_it_is_wanted(
    relay: RunningRelay, browser: Browser
) -> None:
    [port] = relay.media_ports
    async with (
        ImpairedPath.to((HERE, port), seed=1) as path,
        RelayPage.used_by(browser, relay.url, STUDENT, *CONVERSATIONS[STUDENT], media_at=path.address) as caller,
        RelayPage.used_by(browser, relay.url, TUTOR, *CONVERSATIONS[TUTOR]) as callee,
    ):
        call = await PagesInCall.connected(relay, "video", caller, callee)
        await call.video_goes_on(20)
        await caller.shows("quality")
        await caller.page.evaluate(NOTE_THE_BREAK)

        path.impair(cut=True)
        await expect(caller.page.get_by_role("status").filter(has_text="Reconnecting…")).to_be_visible(timeout=PATIENCE)
        await expect(caller.page.get_by_role("button", name="Connection: Lost")).to_be_visible(timeout=PATIENCE)
        broke = await caller.page.evaluate("broke")
        assert broke == {"state": "connected", "bars": "0"}, "the page says so before its browser does, and shows no bars"
        assert await violations(caller.page) == []
        path.impair()
        await caller.reaches("connected")
        await call.more_frames(caller)

        await caller.page.evaluate(NOTE_WHAT_IS_DONE)
        path.impair(loss=0.3)
        await expect(callee.hook("other-camera-off")).to_have_text("Camera off", timeout=2 * PATIENCE)
        await callee.shows("other-camera-off")
        await caller.page.get_by_text("Your video is off to keep the audio.").wait_for()
        assert list(dict.fromkeys(await caller.page.evaluate("said"))) == STEPS
        assert await caller.page.locator(".quality").evaluate(STAYS_IF_FEW) == ["1", "0"]
        assert await violations(caller.page) == []
        await expect(caller.hook("camera")).to_have_attribute("aria-label", "Turn camera on")
        # That it comes back by itself, and when, is test_line_judgement's.
        await caller.page.get_by_role("button", name="Turn on", exact=True).click()
        await expect(caller.hook("quality-advice")).to_contain_text("Your connection loses data.", timeout=PATIENCE)
        path.impair()
        await callee.hides("other-camera-off")
        await call.more_frames(callee)
        await caller.hang_up()
        await callee.shows("ended-card")

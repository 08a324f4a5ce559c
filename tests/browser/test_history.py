"""The list of calls, and the calls that were missed."""

import pytest
from playwright.async_api import expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.server import RunningRelay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_calls_are_listed_newest_first_and_can_be_called_back(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await PagesInCall.connected(relay, "video", caller, callee)
    await caller.hang_up()
    await callee.put_away_the_ended_call()
    await caller.put_away_the_ended_call()
    await caller.call("voice")
    await callee.ringing()
    await caller.hang_up()
    await callee.hides("incoming")

    await expect(callee.hook("unseen")).to_have_text("1", timeout=PATIENCE)
    await callee.hook("tab-recents").click()
    rows = callee.hook("recent-call")
    await expect(rows).to_have_count(2, timeout=PATIENCE)
    await expect(rows.nth(0)).to_contain_text("Missed voice call")
    await expect(rows.nth(1)).to_contain_text("Incoming video call · 0:")
    await callee.hides("unseen")
    await callee.hook("filter-missed").click()
    await expect(rows).to_have_count(1, timeout=PATIENCE)

    await callee.hook("call-back").click()
    await caller.ringing()
    await caller.accept()
    for page in (caller, callee):
        await page.reaches("connected")
    await callee.hang_up()


async def test_a_user_who_was_away_sees_the_missed_calls(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller = await open_page(RelayPage, STUDENT)
    await caller.call("voice")
    assert "offline" in await caller.said()
    callee = await open_page(RelayPage, TUTOR)
    await callee.hears("You missed a call")
    await expect(callee.hook("unseen")).to_have_text("1", timeout=PATIENCE)
    await caller.put_away_the_ended_call()
    await caller.call("video")
    await callee.ringing()
    await expect(callee.hook("toast")).to_have_count(0)  # it would cover who is calling
    await caller.hang_up()
    await callee.hides("incoming")
    await expect(callee.hook("unseen")).to_have_text("2", timeout=PATIENCE)
    await callee.hook("tab-recents").click()
    await callee.hides("unseen")
    again = await open_page(RelayPage, TUTOR)
    await again.connection_is("online")
    await again.hook("tab-recents").click()
    for row in (again.hook("recent-call").first, again.hook("recent-call").last):
        await expect(row).to_have_attribute("data-unseen", "false", timeout=PATIENCE)


async def test_a_call_from_a_whiteboard_is_listed_with_the_others(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await caller.shows("whiteboards")
    await caller.hook("call-video-whiteboard-900").click()
    await callee.ringing()
    await callee.accept()
    call = PagesInCall(relay, "video", caller, callee)
    await call.media_flows()
    await callee.page.reload()
    await call.video_goes_on(20)
    await caller.hang_up()
    await callee.put_away_the_ended_call()
    await callee.hook("tab-recents").click()
    await expect(callee.hook("recent-call")).to_contain_text("Incoming video call", timeout=PATIENCE)
    assert await relay.call_logs() == [], "it is written down in a table of its own"

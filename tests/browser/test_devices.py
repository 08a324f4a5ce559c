"""One profile on several devices, and two who call each other at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.server import RunningRelay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HOLD_INVITATIONS = """
// Keep back what starts a call, so that two of them can be let go in the same instant.
(() => {
  const send = WebSocket.prototype.send;
  window.kept = [];
  WebSocket.prototype.send = function (data) {
    if (JSON.parse(data).type !== "call_invitation" || !window.kept) return send.call(this, data);
    window.kept.push(() => send.call(this, data));
  };
})();
"""

LET_GO = "() => { const kept = window.kept; window.kept = null; kept.forEach((one) => one()); }"


@pytest_asyncio.fixture(loop_scope="session")
async def tabs(open_page: OpenPage[RelayPage]) -> AsyncIterator[list[RelayPage]]:
    """Three of one callee."""
    yield [await open_page(RelayPage, TUTOR) for _ in range(3)]


async def test_all_devices_ring_and_stop_when_one_answers(
    relay: RunningRelay, open_page: OpenPage[RelayPage], tabs: list[RelayPage]
) -> None:
    caller = await open_page(RelayPage, STUDENT)
    await caller.call("video")
    for tab in tabs:
        await tab.ringing()
    first, *others = tabs
    await first.accept()
    for other in others:
        await other.hides("incoming")
        await other.hears("Answered on another device")
        assert await other.state() == "idle"
    call = PagesInCall(relay, "video", caller, first)
    await call.media_flows()
    await others[0].close()
    await call.video_goes_on(10)
    await caller.hang_up()
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "hangup")


async def test_one_device_that_declines_stops_them_all(
    relay: RunningRelay, open_page: OpenPage[RelayPage], tabs: list[RelayPage]
) -> None:
    caller = await open_page(RelayPage, STUDENT)
    await caller.call("voice")
    for tab in tabs:
        await tab.ringing()
    await tabs[1].decline()
    for tab in tabs:
        await tab.hides("incoming")
    assert "declined" in await caller.said()
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("missed", "rejected")


async def test_two_users_who_call_each_other_at_once_are_connected_without_ringing(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    one, other = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    for page in (one, other):
        await page.page.evaluate(HOLD_INVITATIONS)
        await page.call("video")
    for page in (one, other):
        await page.page.wait_for_function("() => kept.length === 1")
    await asyncio.gather(*(page.page.evaluate(LET_GO) for page in (one, other)))

    call = PagesInCall(relay, "video", one, other)
    await call.media_flows()
    for page in (one, other):
        await page.reaches("connected")
        await page.shows("remote-video")
        assert not await page.was_asked()
    names = {await page.page.evaluate("relayCall.callId") for page in (one, other)}
    assert len(names) == 1
    await one.hang_up()
    await other.shows("ended-card")
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "hangup")


async def test_a_call_whose_device_has_crashed_is_taken_over_by_another(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    call = await PagesInCall.connected(relay, "video", caller, callee)
    await call.media_flows()
    await callee.crash()
    second = await open_page(RelayPage, TUTOR)
    await second.shows("elsewhere")
    await expect(second.hook("elsewhere")).to_contain_text("Maya Lindgren", timeout=PATIENCE)
    await second.hook("take-over").click()
    call = PagesInCall(relay, "video", caller, second)
    await call.video_goes_on(20)
    await second.shows("remote-video")
    await second.hang_up()
    await caller.shows("ended-card")
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "hangup")

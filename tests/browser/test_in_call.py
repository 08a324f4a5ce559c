"""What users can do during a call: cameras, screen sharing, chat messages, hold, and the state of the other party."""

import asyncio

import pytest
from playwright.async_api import expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage, Version1Page
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def in_call(relay: RunningRelay, open_page: OpenPage[RelayPage], kind: str) -> PagesInCall:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    call = await PagesInCall.connected(relay, "voice" if kind == "voice" else "video", caller, callee)
    await call.media_flows()
    for page in (caller, callee):
        await page.reaches("connected")
    return call


async def frames(page: RelayPage, of: str = "frames_decoded") -> int:
    statistics = await page.statistics()
    assert statistics is not None, "the page is in a call"
    return int(getattr(statistics, of))


async def more_frames(page: RelayPage, of: str = "frames_decoded") -> None:
    """Wait until the page has decoded a few more frames."""
    before = await frames(page, of)

    async def more() -> bool:
        return await frames(page, of) > before + 5

    await eventually(more, f"{of} grows")


async def test_a_voice_call_becomes_a_video_call_when_a_camera_is_turned_on(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    call = await in_call(relay, open_page, "voice")
    caller, callee = call.caller, call.callee
    assert isinstance(caller, RelayPage) and isinstance(callee, RelayPage)
    await caller.press("camera")
    await more_frames(callee)
    await callee.shows("remote-video")
    await caller.shows("local-video")
    await expect(callee.hook("call-screen")).to_have_attribute("data-view", "video", timeout=PATIENCE)
    await caller.shows("other-camera-off")
    await callee.hides("local-video")

    await callee.press("camera")
    await more_frames(caller)
    await caller.hides("other-camera-off")
    await caller.press("camera")
    await callee.shows("other-camera-off")
    await caller.hang_up()
    await callee.shows("ended-card")
    row = await relay.finished_call()
    assert (row["status"], row["call_type"]) == ("ended", "video")


async def test_both_may_turn_their_cameras_on_in_the_same_instant(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    call = await in_call(relay, open_page, "voice")
    caller, callee = call.caller, call.callee
    assert isinstance(caller, RelayPage) and isinstance(callee, RelayPage)
    press = "document.querySelector('[data-testid=camera]').click()"
    await asyncio.gather(*(page.page.evaluate(press) for page in (caller, callee)))
    for page in (caller, callee):
        await more_frames(page)
        await expect(page.hook("call-screen")).to_have_attribute("data-view", "video", timeout=PATIENCE)
        await page.hides("toast")


@pytest.mark.parametrize("kind", ["voice", "video"])
async def test_a_screen_is_seen_beside_the_camera(relay: RunningRelay, open_page: OpenPage[RelayPage], kind: str) -> None:
    call = await in_call(relay, open_page, kind)
    caller, callee = call.caller, call.callee
    assert isinstance(caller, RelayPage) and isinstance(callee, RelayPage)
    await caller.press("share")
    await caller.shows("sharing")
    await callee.shows("remote-screen")
    await expect(callee.hook("call-screen")).to_have_attribute("data-view", "screen", timeout=PATIENCE)
    await more_frames(callee, "screen_frames_decoded")
    if kind == "video":
        await more_frames(callee)
        await more_frames(caller)

    await callee.press("share")
    await more_frames(caller, "screen_frames_decoded")
    await expect(caller.hook("call-screen")).to_have_attribute("data-view", "screen", timeout=PATIENCE)
    await caller.press("stop-sharing")
    await caller.hides("sharing")
    await expect(callee.hook("call-screen")).not_to_have_attribute("data-view", "screen", timeout=PATIENCE)
    await caller.hang_up()
    await callee.shows("ended-card")


async def test_the_app_of_the_other_side_may_be_too_old_for_a_camera_in_mid_call(
    relay: RunningRelay, open_page: OpenPage[RelayPage | Version1Page]
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(Version1Page, TUTOR)
    assert isinstance(caller, RelayPage)
    call = await PagesInCall.connected(relay, "voice", caller, callee)
    await call.media_flows()
    await caller.press("camera")
    await caller.hears("The other side’s app can’t do that")
    await expect(caller.hook("camera")).to_have_attribute("aria-label", "Turn camera on", timeout=PATIENCE)
    await call.media_flows()
    await caller.hang_up()


async def test_no_media_flows_while_a_call_is_on_hold(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    call = await in_call(relay, open_page, "video")
    caller, callee = call.caller, call.callee
    assert isinstance(caller, RelayPage) and isinstance(callee, RelayPage)
    await caller.press_more("hold")
    await caller.shows("resume")
    await expect(callee.hook("call-status")).to_contain_text("has put the call on hold", timeout=PATIENCE)
    await callee.hides("resume")

    async def still() -> bool:
        before = await frames(caller), await frames(callee)
        await caller.page.wait_for_timeout(1000)
        return before == (await frames(caller), await frames(callee))

    await eventually(still, "no frames arrive")
    await caller.press("resume")
    for page in (caller, callee):
        await more_frames(page)
        await expect(page.hook("call-screen")).to_have_attribute("data-view", "video", timeout=PATIENCE)
    await caller.hang_up()
    await callee.shows("ended-card")


async def test_each_page_shows_which_media_the_other_party_has_turned_off(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    call = await in_call(relay, open_page, "video")
    caller, callee = call.caller, call.callee
    assert isinstance(caller, RelayPage) and isinstance(callee, RelayPage)
    await caller.press("mute")
    await callee.shows("other-muted")
    await caller.press("camera")
    await callee.shows("other-camera-off")
    await expect(callee.hook("call-screen")).to_have_attribute("data-view", "persona", timeout=PATIENCE)
    await caller.hides("other-muted")
    await caller.press("mute")
    await callee.hides("other-muted")
    await caller.press("camera")
    await callee.hides("other-camera-off")
    await more_frames(callee)
    await expect(callee.hook("call-screen")).to_have_attribute("data-view", "video", timeout=PATIENCE)


async def test_chat_messages_arrive_as_they_were_written(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    call = await in_call(relay, open_page, "voice")
    caller, callee = call.caller, call.callee
    assert isinstance(caller, RelayPage) and isinstance(callee, RelayPage)
    markup = "<img src=x onerror=alert(1)> & <b>bold</b>"
    await caller.write(markup)
    await expect(callee.hook("chat-unread")).to_have_text("1", timeout=PATIENCE)
    await callee.reads(markup)
    await callee.hides("chat-unread")
    await callee.write("zwei\nZeilen 👋")
    await caller.reads(markup, "zwei\nZeilen 👋")


async def test_the_quality_of_both_connections_is_shown(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    call = await in_call(relay, open_page, "video")
    caller = call.caller
    assert isinstance(caller, RelayPage)
    await caller.press("quality")
    details = caller.hook("quality-details")
    for text in ("Your connection", "Their connection", "Round trip", "Loss", "Score"):
        await expect(details).to_contain_text(text, timeout=PATIENCE)

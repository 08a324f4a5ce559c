"""What users can do to a call: turn cameras on, and share screens."""

import asyncio

import pytest
from playwright.async_api import expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage, Version1Page
from tests.kit.server import RunningRelay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def in_call(relay: RunningRelay, open_page: OpenPage[RelayPage], kind: str) -> PagesInCall:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    call = await PagesInCall.connected(relay, "voice" if kind == "voice" else "video", caller, callee)
    await call.media_flows()
    for page in (caller, callee):
        await page.reaches("connected")
    return call


async def test_a_voice_call_becomes_a_video_call_when_a_camera_is_turned_on(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    call = await in_call(relay, open_page, "voice")
    caller, callee = call.caller, call.callee
    assert isinstance(caller, RelayPage) and isinstance(callee, RelayPage)
    await caller.press("camera")
    await call.more_frames(callee)
    await callee.shows("remote-video")
    await caller.shows("local-video")
    await expect(callee.hook("call-screen")).to_have_attribute("data-view", "video", timeout=PATIENCE)
    await caller.shows("other-camera-off")
    await callee.hides("local-video")

    await callee.press("camera")
    await call.more_frames(caller)
    await caller.hides("other-camera-off")
    await caller.press("camera")
    await callee.shows("other-camera-off")
    await caller.hang_up()
    await callee.shows("ended-card")
    row = await relay.finished_call()
    assert (row["status"], row["call_type"]) == ("ended", "video")


SLOW_TO_TAKE_ANSWERS = """
() => {
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = async function (description) {
    if (description.type === "answer") await new Promise((resolve) => setTimeout(resolve, 1500));
    return set.call(this, description);
  };
}
"""


async def test_a_voice_call_may_be_answered_with_video_however_slow_the_caller_is(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    await caller.page.evaluate(SLOW_TO_TAKE_ANSWERS)
    await caller.call("voice")
    await callee.ringing()
    await callee.page.get_by_role("button", name="Answer with video").click()
    await expect(caller.hook("call-screen")).to_have_attribute("data-view", "video", timeout=PATIENCE)
    await caller.hides("local-video")
    await callee.hides("toast")
    await PagesInCall(relay, "video", caller, callee).more_frames(caller)
    await caller.hang_up()
    await callee.shows("ended-card")


async def test_both_may_turn_their_cameras_on_in_the_same_instant(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    call = await in_call(relay, open_page, "voice")
    caller, callee = call.caller, call.callee
    assert isinstance(caller, RelayPage) and isinstance(callee, RelayPage)
    press = "document.querySelector('[data-testid=camera]').click()"
    await asyncio.gather(*(page.page.evaluate(press) for page in (caller, callee)))
    for page in (caller, callee):
        await call.more_frames(page)
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
    await call.more_frames(callee, "screen_frames_decoded")
    if kind == "video":
        await call.more_frames(callee)
        await call.more_frames(caller)

    await callee.press("share")
    await call.more_frames(caller, "screen_frames_decoded")
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
    await caller.page.get_by_role("button", name="Dismiss").focus()  # it stays as long as the focus is there
    await expect(caller.hook("camera")).to_have_attribute("aria-label", "Turn camera on", timeout=PATIENCE)
    await call.media_flows()
    await caller.hang_up()
    await caller.page.get_by_role("button", name="Call again").click()
    await expect(caller.hook("toast")).to_have_count(0, timeout=1000)  # it was about the last call
    await caller.hang_up()

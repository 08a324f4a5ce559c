"""What users can do during a call: hold, chat messages, the state of the other party. All tests share one call, which goes on."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.calls import PagesInCall
from tests.browser.conftest import call_of_a_module
from tests.browser.pages import PATIENCE, RelayPage
from tests.kit.axe import violations_at_both_ends
from tests.kit.wait import eventually

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("one call"),
    pytest.mark.usefixtures("no_errors_logged"),
]

TELEPHONE = """
() => {
  // A telephone has a camera at its front and one at its back.
  const devices = navigator.mediaDevices;
  const list = MediaDevices.prototype.enumerateDevices;
  devices.enumerateDevices = async () => {
    const known = await list.call(devices);
    const { deviceId } = known.find(({ kind }) => kind === "videoinput");
    return [...known, { kind: "videoinput", deviceId: `${deviceId}-back`, groupId: "back", label: "Back camera" }];
  };
  const open = MediaDevices.prototype.getUserMedia;
  devices.getUserMedia = async ({ video }) => {
    const stream = await open.call(devices, { video: true });
    const [track] = stream.getVideoTracks();
    const settings = { ...track.getSettings(), facingMode: video.facingMode.exact };
    track.getSettings = () => settings;
    return stream;
  };
  devices.dispatchEvent(new Event("devicechange"));
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def call(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PagesInCall]:
    async with call_of_a_module(browser, tmp_path_factory.mktemp("relay")) as call:
        yield call


async def test_no_media_flows_while_a_call_is_on_hold(call: PagesInCall, caller: RelayPage, callee: RelayPage) -> None:
    await caller.press_more("hold")
    await caller.shows("resume")
    await expect(callee.hook("call-status")).to_contain_text("has put the call on hold", timeout=PATIENCE)
    await callee.hides("resume")
    assert await violations_at_both_ends(caller.page) == []

    async def still() -> bool:
        before = [one.frames_decoded for one in await call.statistics()]
        await caller.page.wait_for_timeout(1000)
        return before == [one.frames_decoded for one in await call.statistics()]

    await eventually(still, "no frames arrive")
    await caller.press("resume")
    for page in (caller, callee):
        await call.more_frames(page)
        await expect(page.hook("call-screen")).to_have_attribute("data-view", "video", timeout=PATIENCE)


async def test_each_page_shows_which_media_the_other_party_has_turned_off(
    call: PagesInCall, caller: RelayPage, callee: RelayPage
) -> None:
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
    await call.more_frames(callee)
    await expect(callee.hook("call-screen")).to_have_attribute("data-view", "video", timeout=PATIENCE)


async def test_the_quality_of_both_connections_is_shown(caller: RelayPage) -> None:
    await caller.press("quality")
    details = caller.hook("quality-details")
    for text in ("Your connection", "Their connection", "There and back", "Lost on the way"):
        await expect(details).to_contain_text(text, timeout=PATIENCE)
    await expect(details).not_to_contain_text("of 4.5")
    assert await violations_at_both_ends(caller.page) == []


async def test_chat_messages_arrive_as_they_were_written(caller: RelayPage, callee: RelayPage) -> None:
    markup = "<img src=x onerror=alert(1)> & <b>bold</b>"
    await caller.write(markup)
    await expect(callee.hook("chat-unread")).to_have_text("1", timeout=PATIENCE)
    await callee.reads(markup)
    await callee.hides("chat-unread")
    await callee.write("zwei\nZeilen 👋")
    await caller.reads(markup, "zwei\nZeilen 👋")


async def test_a_telephone_goes_from_its_front_camera_to_its_back_one_and_back(
    call: PagesInCall, caller: RelayPage, callee: RelayPage
) -> None:
    finger = await caller.page.context.new_cdp_session(caller.page)
    await finger.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    await caller.page.evaluate(TELEPHONE)
    await caller.shows("device-arrived")
    mirrored = "() => getComputedStyle(document.querySelector('[data-testid=local-video]')).transform.startsWith('matrix(-1')"
    assert await caller.page.evaluate(mirrored)
    for is_back in (True, False):
        await caller.press_more("flip-camera")
        # What is in front of the user is no mirror.
        await caller.page.wait_for_function(f"() => ({mirrored})() !== {str(is_back).lower()}")
        await call.more_frames(callee)

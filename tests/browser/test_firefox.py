"""A call of Firefox with Chromium, from test to test: voice, video, screens, devices, music, files, and a page loaded anew.

A headless Firefox has one microphone, one camera, no speaker and no screen, and its fake devices never change: what plugs a
headset in here is its list of devices and the event of a change, and what shares a screen is a drawing. Its fake microphone is
mono and processes nothing, whatever is wanted of it.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.calls import A_SECOND
from tests.browser.conftest import CONVERSATIONS, StartFirefox
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.browser.test_media_devices import NEW_HEADSET, SENT
from tests.browser.test_talking import HOW_THE_MICROPHONE_IS_HEARD
from tests.kit.browsers import INSTRUMENTS, LOOK, SMALL_CAMERA, Statistics
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually
from tests.lab.firefox import Firefox
from tests.lab.pages import FirefoxPage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("Firefox"),
    pytest.mark.usefixtures("no_errors_logged"),
]

CONTENT: Final = bytes(range(256)) * 1200
"""Of a file."""

DRAWN_SCREEN: Final = """
// Without a screen, a headless Firefox has none to share: one that is drawn.
if (window.MediaDevices) MediaDevices.prototype.getDisplayMedia = async () => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 400 });
  const brush = canvas.getContext("2d");
  let hue = 0;
  setInterval(() => {
    brush.fillStyle = `hsl(${(hue += 7)} 80% 50%)`;
    brush.fillRect(0, 0, 640, 400);
  }, 50);
  return canvas.captureStream(20);
};
"""


@dataclass(frozen=True)
class CallOfFirefox:
    relay: RunningRelay
    firefox: Firefox
    page: FirefoxPage
    """The student's, who calls."""
    other: RelayPage
    downloads: Path
    """Where Firefox puts what its user saves."""

    async def goes_on(self, frames: int = 0) -> None:
        """Wait until each has heard more of the other, and has decoded so many more frames."""
        before = await self._both()

        async def more() -> bool:
            return all(
                now.audio_energy > old.audio_energy and now.frames_decoded >= old.frames_decoded + frames
                for now, old in zip(await self._both(), before, strict=True)
            )

        await eventually(more, f"both hear more, and see {frames} more frames", every=LOOK)

    async def _both(self) -> tuple[Statistics, Statistics]:
        return await self.page.talking(), await self.other.talking()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def call(
    browser: Browser, firefox: StartFirefox, downloads: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[CallOfFirefox]:
    """A voice call."""
    async with (
        running_relay(tmp_path_factory.mktemp("relay")) as relay,
        RelayPage.used_by(browser, relay.url, TUTOR, *CONVERSATIONS[TUTOR]) as other,
        (await firefox()).tab() as tab,
    ):
        await tab.before_every_page(INSTRUMENTS + SMALL_CAMERA + DRAWN_SCREEN)
        page = FirefoxPage(tab)
        await tab.goto(f"{relay.url}/")
        await page.press(f"user-{STUDENT}")
        await page.call("voice")
        await other.ringing()
        await other.accept()
        yield CallOfFirefox(relay, tab, page, other, downloads)
        await page.hang_up()
        await other.shows("ended-card")
        # It says so of each page with a WebSocket that is left for another one.
        assert not [one for one in tab.problems if "interrupted while the page was loading" not in one]
        row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "hangup")


async def test_firefox_and_chromium_hear_and_see_each_other_and_the_screen_of_either(call: CallOfFirefox) -> None:
    page, other = call.page, call.other
    await call.goes_on()
    await page.press("camera")
    await other.press("camera")
    await call.goes_on(A_SECOND)

    for sharing, showing in ((page, other), (other, page)):
        before = (await showing.talking()).screen_frames_decoded
        await sharing.press("share")

        async def shown(seen_by: FirefoxPage | RelayPage = showing, before: int = before) -> bool:
            return (await seen_by.talking()).screen_frames_decoded > before + 2

        await eventually(shown, "the screen is seen", every=LOOK)
        if showing is page:
            view = "() => document.querySelector('[data-testid=call-screen]').dataset.view"
            assert await page.run(view) == "screen"
        await sharing.press("share")


async def test_firefox_offers_a_headset_that_is_plugged_in_and_takes_it_in_mid_call(call: CallOfFirefox) -> None:
    page = call.page
    before = await page.run(SENT, "audio")
    await page.run(NEW_HEADSET)
    await page.says("device-arrived", "Bright Headset is connected.")
    await page.press("device-arrived-action")

    async def taken() -> bool:
        wanted = await page.run("() => window.wanted ?? ''")
        return bool(wanted == f"{before['id']}-headset")

    await eventually(taken, "the headset is taken", every=LOOK)
    await page.says("device-arrived", "")
    await call.goes_on()


async def test_firefox_sends_music_in_stereo_and_unprocessed_and_speech_as_before(call: CallOfFirefox) -> None:
    wanted = """() => {
      const { track } = relayCall.peerConnection.getSenders().find((sender) => sender.track?.kind === "audio");
      const { echoCancellation, noiseSuppression, autoGainControl } = track.getConstraints();
      return [echoCancellation, noiseSuppression, autoGainControl];
    }"""
    for music in (True, False):
        await call.page.press_more("music")

        async def heard_so(music: bool = music) -> bool:
            stereo = (await call.page.run(HOW_THE_MICROPHONE_IS_HEARD))["stereo"]
            return bool(stereo == music and await call.page.run(wanted) == [not music] * 3)

        await eventually(heard_so, f"music: {music}", every=LOOK)
    await call.goes_on()


async def test_files_arrive_unchanged_from_firefox_and_in_firefox(call: CallOfFirefox, tmp_path: Path) -> None:
    page, other = call.page, call.other
    (tmp_path / "from firefox.bin").write_bytes(CONTENT)
    (tmp_path / "to firefox.bin").write_bytes(CONTENT[::-1])

    await page.press("chat")
    await call.firefox.set_files("[data-testid=file-picker]", tmp_path / "from firefox.bin")
    await other.press("chat")
    async with other.page.expect_download() as saving:
        await other.page.get_by_role("button", name="Save from firefox.bin").click()
    assert await asyncio.to_thread((await (await saving.value).path()).read_bytes) == CONTENT
    await page.says("file-state", "307 kB · Received by Daniel, unchanged")

    await other.hook("file-picker").set_input_files(tmp_path / "to firefox.bin")
    await page.press("file-accept")
    await expect(other.hook("file-state").last).to_have_text("307 kB · Received by Maya, unchanged", timeout=PATIENCE)
    saved = call.downloads / "to firefox.bin"
    await eventually(lambda: saved.exists() and saved.read_bytes() == CONTENT[::-1], "Firefox has saved the file")


async def test_a_page_that_is_loaded_anew_in_firefox_is_back_in_its_call_by_itself(call: CallOfFirefox) -> None:
    name = await call.page.run("() => relayCall.callId")
    await call.firefox.reload()
    await call.goes_on(A_SECOND)
    assert await call.page.run("() => relayCall.callId") == name
    assert await call.other.state() == "connected"

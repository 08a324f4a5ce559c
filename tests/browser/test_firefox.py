"""A call of Firefox with Chromium: voice, video, and the screen of either."""

from typing import Final

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.pages import STUDENT, TUTOR, RelayPage
from tests.browser.test_recordings_page import ThisMachine
from tests.kit.browsers import INSTRUMENTS, LOOK, SMALL_CAMERA, Statistics
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually
from tests.lab.firefox import Firefox
from tests.lab.pages import FirefoxPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("no_errors_logged")]

A_SECOND: Final = 20
"""Frames of a browser's fake camera."""

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


async def test_firefox_and_chromium_hear_and_see_each_other_and_the_screen_of_either(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    other = await open_page(RelayPage, TUTOR)
    async with Firefox.started(ThisMachine()) as firefox:
        await firefox.before_every_page(INSTRUMENTS + SMALL_CAMERA + DRAWN_SCREEN)
        page = FirefoxPage(firefox)

        async def both() -> tuple[Statistics, Statistics]:
            return await page.talking(), await other.talking()

        async def goes_on(frames: int = 0) -> None:
            """Wait until each has heard more of the other, and has decoded so many more frames."""
            before = await both()

            async def more() -> bool:
                return all(
                    now.audio_energy > old.audio_energy and now.frames_decoded >= old.frames_decoded + frames
                    for now, old in zip(await both(), before, strict=True)
                )

            await eventually(more, f"both hear more, and see {frames} more frames", every=LOOK)

        await firefox.goto(f"{relay.url}/")
        await page.press(f"user-{STUDENT}")
        await page.call("voice")
        await other.ringing()
        await other.accept()
        await goes_on()

        await page.press("camera")
        await other.press("camera")
        await goes_on(A_SECOND)

        for sharing, showing in ((page, other), (other, page)):
            before = (await showing.talking()).screen_frames_decoded
            await sharing.press("share")

            async def shown(seen_by: FirefoxPage | RelayPage = showing, before: int = before) -> bool:
                return (await seen_by.talking()).screen_frames_decoded > before + 2

            await eventually(shown, "the screen is seen", every=LOOK)
            if showing is page:
                view = "() => document.querySelector('[data-testid=call-screen]').dataset.view"
                assert await firefox.evaluate(view) == "screen"
            await sharing.press("share")

        await page.hang_up()
        await other.shows("ended-card")
        # It says so of each page with a WebSocket that is left for another one.
        assert not [one for one in firefox.problems if "interrupted while the page was loading" not in one]
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "hangup")

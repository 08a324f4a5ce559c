"""A call of Firefox with Chromium: voice, video, a screen, another microphone, files, music, and the page loaded anew."""

from typing import Any, Final

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.browser.test_media_devices import NEW_HEADSET, TEXT
from tests.browser.test_recordings_page import ThisMachine
from tests.browser.test_talking import SOUND
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
GIVE_FILE: Final = """
(name, text) => {
  const chosen = new DataTransfer();
  chosen.items.add(new File([text], name, { type: "text/plain" }));
  const picker = document.querySelector("[data-testid=file-picker]");
  picker.files = chosen.files;
  picker.dispatchEvent(new Event("change", { bubbles: true }));
}
"""
SAVED: Final = """
// What the page saves.
if (window.HTMLAnchorElement) {
  const click = HTMLAnchorElement.prototype.click;
  HTMLAnchorElement.prototype.click = function () {
    if (!this.download) return click.call(this);
    window.saved = fetch(this.href).then((found) => found.text()).then((text) => [this.download, text]);
  };
}
"""
MICROPHONE: Final = "() => relayCall.peerConnection.getSenders().find(({ track }) => track?.kind === 'audio')?.track.id"
HEARS_STEREO: Final = """
async () => {
  const report = [...(await relayCall.peerConnection.getStats()).values()];
  const { codecId } = report.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
  return report.find(({ id }) => id === codecId).sdpFmtpLine ?? "";
}
"""


async def test_firefox_does_in_a_call_what_chromium_does(relay: RunningRelay, open_page: OpenPage[RelayPage]) -> None:
    other = await open_page(RelayPage, TUTOR)
    async with Firefox.started(ThisMachine()) as firefox:
        await firefox.before_every_page(INSTRUMENTS + SMALL_CAMERA + DRAWN_SCREEN + SAVED)
        page = FirefoxPage(firefox)

        async def says(name: str, text: str) -> None:
            async def said() -> bool:
                return text in str(await firefox.evaluate(TEXT, name))

            await eventually(said, f"{name} says {text!r}", every=LOOK)

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

        microphone = await firefox.evaluate(MICROPHONE)
        await firefox.evaluate(NEW_HEADSET)
        await says("device-arrived", "Bright Headset")
        await page.press("device-arrived-action")

        async def exchanged() -> bool:
            return bool(await firefox.evaluate(MICROPHONE) != microphone)

        await eventually(exchanged, "another microphone is heard", every=LOOK)
        await goes_on(A_SECOND)

        await firefox.evaluate(GIVE_FILE, "notes.txt", "of Firefox")
        await other.page.get_by_role("button", name="Open chat, 1 unread").click()
        async with other.page.expect_download() as saving:
            await other.page.get_by_role("button", name="Save notes.txt").click()
        assert (await (await saving.value).path()).read_text() == "of Firefox"
        await page.press("chat")
        await says("file-state", "Received by Daniel, unchanged")
        file: Any = {"name": "answer.txt", "mimeType": "text/plain", "buffer": b"of Chromium"}
        await other.hook("file-picker").set_input_files(file)
        await page.press("file-accept")
        await expect(other.hook("file-state").last).to_contain_text("Received by Maya, unchanged", timeout=PATIENCE)
        saved = await eventually(lambda: firefox.evaluate("() => window.saved"), "Firefox has saved it", every=LOOK)
        assert saved == ["answer.txt", "of Chromium"]
        await page.press("chat")

        await page.press("more")
        await page.press("music")

        async def in_stereo() -> bool:
            return "stereo=1" in str(await other.page.evaluate(HEARS_STEREO))

        await eventually(in_stereo, "music comes in stereo", every=LOOK)
        energy = float(await other.page.evaluate(SOUND, 0))

        async def heard() -> bool:
            return float(await other.page.evaluate(SOUND, 0)) > energy

        await eventually(heard, "music is heard", every=LOOK)

        await firefox.goto(f"{relay.url}/?again")
        await goes_on(A_SECOND)
        await page.hang_up()
        await other.shows("ended-card")
        # It says so of each page with a WebSocket that is left for another one.
        assert not [one for one in firefox.problems if "interrupted while the page was loading" not in one]
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"], row["call_type"]) == ("ended", "hangup", "voice")

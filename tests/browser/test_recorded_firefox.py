"""A call of Firefox with Chromium in H.264 is recorded: what either sent is verified, and plays in both browsers."""

import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.pages import STUDENT, TUTOR
from tests.browser.test_recorded_media import FRAMES, PREFER
from tests.browser.test_recorded_sound import SERVICE_TOKEN, Platform
from tests.kit.browsers import LOOK
from tests.kit.recorded import NOTE_FRAMES, missing_frames
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually
from tests.lab.firefox import FirefoxBrowser, ThisMachine
from tests.lab.firefox_h264 import firefox_with_h264
from tests.lab.pages import CONVERSATION, ChromiumPage, FirefoxPage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("H.264 of Firefox"),
]

CODECS: Final = """async () => {
  const report = await relayCall.peerConnection.getStats();
  const streams = [...report.values()].filter(({ type, kind }) => /^(in|out)bound-rtp$/.test(type) && kind === "video");
  return Object.fromEntries(streams.map(({ type, codecId }) => [type, report.get(codecId).mimeType]));
}"""
"""Of the video that the page receives and sends."""


PLAYED: Final = """async (url) => {
  // To its end, faster than it was: its size then, and how many frames were decoded.
  const video = Object.assign(document.createElement("video"), { src: url, muted: true });
  document.body.append(video);
  const ended = new Promise((resolve, reject) => {
    video.addEventListener("ended", resolve);
    video.addEventListener("error", () => reject(new Error(video.error.message)));
  });
  video.playbackRate = 4;
  await Promise.all([video.play(), ended]);
  return [[video.videoWidth, video.videoHeight], video.getVideoPlaybackQuality().totalVideoFrames];
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def firefox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FirefoxBrowser]:
    async with firefox_with_h264(ThisMachine(), tmp_path_factory.mktemp("x264")) as running:
        yield running


@contextlib.asynccontextmanager
async def firefox_page(firefox: FirefoxBrowser, url: str, key: str) -> AsyncIterator[FirefoxPage]:
    async with firefox.tab() as tab:
        yield await FirefoxPage.signed_in(tab, url, key)
        assert tab.problems == []


@pytest.mark.settings(recording="always", service_token=SERVICE_TOKEN)
@pytest.mark.parametrize("first", ["Firefox", "Chromium"], ids="{} calls".format)
async def test_a_recorded_call_of_firefox_with_chromium_in_h264_passes_verification_and_plays_in_both(
    relay: RunningRelay, browser: Browser, firefox: FirefoxBrowser, tmp_path: Path, first: Literal["Firefox", "Chromium"]
) -> None:
    of_firefox, of_chromium = (STUDENT, TUTOR) if first == "Firefox" else (TUTOR, STUDENT)
    async with (
        firefox_page(firefox, relay.url, of_firefox) as mozilla,
        ChromiumPage.used_by(browser, relay.url, of_chromium, of_firefox, CONVERSATION) as chromium,
    ):
        pages: tuple[FirefoxPage | ChromiumPage, ...] = (mozilla, chromium)
        caller, callee = pages if first == "Firefox" else pages[::-1]
        await caller.run(PREFER, "video/H264")
        await caller.call("video")
        await callee.ringing()
        await callee.accept()
        await chromium.talking()
        await chromium.run(NOTE_FRAMES)

        async def seen() -> bool:
            shown = int(await chromium.run("() => shownFrames.length"))
            return shown > FRAMES and (await mozilla.talking()).frames_decoded > FRAMES

        await eventually(seen, f"each has seen {FRAMES} frames of the other", within=60, every=LOOK)
        for page in pages:
            assert await page.run(CODECS) == {"inbound-rtp": "video/H264", "outbound-rtp": "video/H264"}
        shown = await chromium.run("() => shownFrames")
        await caller.hang_up()

        async with Platform.of(relay) as platform:
            [recording] = await platform.ready()
            urls = [await platform.url_of(recording["recording_id"], f"{party}.mkv") for party in "AB"]
        capture = tmp_path / "recordings" / f"{recording['recording_id']}.pcapng"
        folder = capture.with_suffix("")
        report = json.loads((folder / "report.json").read_text())
        assert recording["verdict"] == "passed", report["reasons"]
        tracks = [one for one in json.loads((folder / "sidecar.json").read_text())["tracks"] if one["kind"] == "video"]
        assert [(one["party"], one["codec"], one["broken"]) for one in tracks] == [("A", "h264", 0), ("B", "h264", 0)]
        sent_by_firefox = folder / ("A.mkv" if first == "Firefox" else "B.mkv")
        assert missing_frames(shown, sent_by_firefox, capture) == []

        for page, url in itertools.product(pages, urls):
            size, frames = await page.run(PLAYED, url)
            assert (size, frames > FRAMES / 2) == ([320, 240], True)

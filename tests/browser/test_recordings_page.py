"""The page of recordings: it finds, plays, verifies and deletes them."""

import contextlib
import functools
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Locator, expect

from relay.ids import Profile
from relay.recording.assemble import assemble
from relay.records.recordings import RecordingState, RecordingVerdict
from tests.browser.conftest import StartFirefox
from tests.browser.pages import PATIENCE
from tests.http.recordings.recorded import NODE, Recorded, recordings_of
from tests.http.records import DANIEL, ELENA, MAYA
from tests.kit.axe import violations_at_both_ends
from tests.kit.browsers import BrowserPage
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually
from tests.lab.firefox import Firefox
from tests.recording.kit import captured

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

quiet = pytest.mark.settings(node=NODE, assemblers=0)
"""No job touches what a test has written."""

SERVICE_TOKEN = "the platform's own token, which is long"

SECONDS = 8
"""That the recorded files last."""

SIDECAR = {
    "version": 1,
    "events": [{"time": 0.0, "event": "started"}, {"time": 5.0, "event": "hold", "on": True}],
    "tracks": [{"party": "B", "kind": "audio", "inserted": [[2.0, 1.5]]}],
}
REPORT = "<!doctype html><title>Report</title><p>Two limits were exceeded.</p>"

VIDEOS = """() => ["A", "B"].map((party) => {
  const { currentTime, duration, paused, videoWidth } = document.querySelector(`[data-testid=video-${party}]`);
  return { at: currentTime, duration, paused, width: videoWidth };
})"""
CLICK = "(name) => document.querySelector(`[data-testid=${name}]`).click()"
TEXT = "(name) => document.querySelector(`[data-testid=${name}]`)?.innerText ?? ''"
SKEW = "(seconds) => { document.querySelector('[data-testid=video-B]').currentTime += seconds; }"
PRESS = """(key) => document.querySelector("[data-testid=title]")
  .dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }))"""


class Driven(Protocol):
    """What these tests need of a page, in any browser."""

    async def goto(self, url: str) -> None: ...

    async def run(self, function: str, *arguments: object) -> Any:
        """Call a JavaScript function in the page."""
        ...


class RecordingsPage(BrowserPage):
    """The page in Chromium."""

    def _note(self, message: ConsoleMessage) -> None:
        # A sandboxed frame does not run the instruments of these tests either.
        if "frame is sandboxed" not in message.text:
            super()._note(message)

    def hook(self, name: str) -> Locator:
        return self.page.get_by_test_id(name)

    async def goto(self, url: str) -> None:
        await self.page.goto(url)

    async def run(self, function: str, *arguments: object) -> Any:
        return await self.page.evaluate(f"(all) => ({function})(...all)", arguments)

    async def signed_in(self, url: str, key: str) -> None:
        """Open it as a profile of the demo."""
        login = await self.page.request.post(f"{url}/api/dev/login", data=Profile.parse(key)._asdict())
        assert login.ok
        await self.goto(f"{url}/recordings")


class FirefoxPage:
    """The page in Firefox."""

    def __init__(self, firefox: Firefox) -> None:
        self._firefox = firefox

    async def goto(self, url: str) -> None:
        await self._firefox.goto(url)

    async def run(self, function: str, *arguments: object) -> Any:
        return await self._firefox.evaluate(function, *arguments)


@contextlib.asynccontextmanager
async def opened(name: str, browser: Browser, firefox: StartFirefox) -> AsyncIterator[Driven]:
    if name == "chromium":
        async with RecordingsPage.opened(browser) as page:
            yield page
    else:
        async with (await firefox()).tab() as tab:
            yield FirefoxPage(tab)
            assert tab.problems == []


@pytest_asyncio.fixture(loop_scope="session")
async def recorded(relay: RunningRelay, tmp_path: Path) -> AsyncIterator[Recorded]:
    async with recordings_of(relay, tmp_path) as recorded:
        yield recorded


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[RecordingsPage]:
    async with RecordingsPage.opened(browser) as opened:
        yield opened


@functools.cache
def products() -> dict[str, bytes]:
    """What is assembled of a call whose microphones started after a second, with a sidecar and a report of more events."""
    with tempfile.TemporaryDirectory() as folder:
        capture, out = Path(folder) / "call.pcapng", Path(folder) / "out"
        captured(capture, SECONDS, 160, 90, late=1.0)
        assemble(capture, out)
        files = {name: (out / name).read_bytes() for name in ("A.webm", "B.webm")}
    sidecar = json.dumps(SIDECAR).encode()
    report = {"report.json": b'{"verdict": "failed", "reasons": ["B froze for 900 ms"]}', "report.html": REPORT.encode()}
    return {**files, "sidecar.json": sidecar, **report}


async def until(page: Driven, holds: Callable[[list[dict[str, Any]]], bool], what: str) -> None:
    """Wait until that is true of the two videos."""

    async def looked() -> bool:
        return holds(await page.run(VIDEOS))

    await eventually(looked, what, every=0.1)


@quiet
@pytest.mark.parametrize("name", ["chromium", "firefox"])
async def test_both_videos_of_a_recording_play_in_step(
    name: str, browser: Browser, firefox: StartFirefox, relay: RunningRelay, recorded: Recorded
) -> None:
    recording = await recorded.add(products=products())
    async with opened(name, browser, firefox) as page:
        await page.goto(f"{relay.url}/")
        await page.run(
            "(profile) => fetch('api/dev/login', { method: 'POST', body: JSON.stringify(profile), headers: "
            "{ 'Content-Type': 'application/json' } })",
            {"profile_type": "student", "profile_id": 456},
        )
        await page.goto(f"{relay.url}/recordings#{recording}")
        await until(page, lambda both: all(one["width"] == 160 for one in both), "both videos have a frame")
        assert [round(one["duration"]) for one in await page.run(VIDEOS)] == [SECONDS, SECONDS]

        await page.run(PRESS, "k")
        await until(page, lambda both: all(one["at"] > 0.5 and not one["paused"] for one in both), "both play")
        await page.run(SKEW, 2)
        await until(page, lambda both: abs(both[1]["at"] - both[0]["at"]) < 0.15, "the second one is beside the first again")
        await page.run(PRESS, " ")
        await until(page, lambda both: all(one["paused"] for one in both), "both are paused")

        await page.run(PRESS, "j")
        await page.run(PRESS, "ArrowRight")
        await until(page, lambda both: all(round(one["at"], 2) == 5 for one in both), "both are 5 s from the beginning")

        async def caption() -> bool:
            return str(await page.run(TEXT, "caption")) == "On hold"

        await eventually(caption, "the caption says what happened there")


@quiet
async def test_a_failed_verification_is_shown_with_its_reasons_and_its_report(
    relay: RunningRelay, recorded: Recorded, page: RecordingsPage
) -> None:
    files = products()
    recording = await recorded.add(products=files)
    await recorded.store.set_verdict(recording, RecordingVerdict.FAILED)
    await page.signed_in(relay.url, MAYA)
    await page.page.get_by_role("link", name="Daniel Okafor → Maya Lindgren").click()
    await expect(page.hook("verdict-card")).to_contain_text("Verification failed", timeout=PATIENCE)
    await expect(page.hook("reasons")).to_have_text("B froze for 900 ms", timeout=PATIENCE)
    await expect(page.page.frame_locator("[data-testid=report]").get_by_text("Two limits were exceeded.")).to_be_visible(
        timeout=PATIENCE
    )
    assert await violations_at_both_ends(page.page) == []
    async with page.page.expect_download() as download:
        await page.hook("file-B.webm").click()
    assert (await (await download.value).path()).read_bytes() == files["B.webm"]
    await expect(page.hook("file-sidecar.json")).to_be_visible()
    await expect(page.hook("hold")).to_be_hidden()


@quiet
async def test_recordings_are_found_by_what_they_are_and_deleted_after_a_question(
    relay: RunningRelay, recorded: Recorded, page: RecordingsPage
) -> None:
    broken = await recorded.add(0, state=RecordingState.FAILED)
    ready = await recorded.add(5)
    await page.signed_in(relay.url, MAYA)
    rows = page.hook("recording")
    await expect(rows).to_have_count(2, timeout=PATIENCE)
    await page.page.get_by_label("State").select_option("failed")
    await expect(rows).to_have_count(1, timeout=PATIENCE)
    await expect(rows).to_have_attribute("data-id", broken)
    await page.page.get_by_label("From").fill("2031-01-01")
    await page.hook("search").click()
    await expect(page.hook("message")).to_contain_text("No recording fits this search.", timeout=PATIENCE)
    await page.hook("clear").click()
    await expect(rows).to_have_count(2, timeout=PATIENCE)

    await page.page.goto(f"{relay.url}/recordings#{ready}")
    await page.hook("delete").click()
    await page.page.keyboard.press("Escape")
    await expect(page.hook("delete-dialog")).to_be_hidden()
    await page.hook("delete").click()
    await page.hook("delete-confirm").click()
    await expect(rows).to_have_count(1, timeout=PATIENCE)
    await eventually(lambda: recorded.files(ready) == [], "its files are deleted, too")


@pytest.mark.settings(node=NODE, assemblers=0, service_token=SERVICE_TOKEN)
async def test_quality_assurance_plays_all_recordings_by_the_service_token(
    relay: RunningRelay, recorded: Recorded, page: RecordingsPage
) -> None:
    recording = await recorded.add(caller=ELENA, callee=DANIEL, products=products())
    await page.goto(f"{relay.url}/recordings")
    await page.hook("service-token").fill("wrong")
    await page.hook("service-signin").click()
    await expect(page.hook("signin-problem")).to_contain_text("not the service token", timeout=PATIENCE)
    await page.hook("service-token").fill(SERVICE_TOKEN)
    await page.hook("service-signin").click()
    await page.page.get_by_role("link", name="Elena").click()
    await until(page, lambda both: all(one["width"] == 160 for one in both), "both videos have a frame")
    await expect(page.hook(f"file-{recording}.pcapng")).to_be_visible(timeout=PATIENCE)
    sources = await page.run("() => [...document.querySelectorAll('video, iframe, a')].map((one) => one.src ?? one.href)")
    assert not [one for one in sources if "platform" in one], "the service token is in no URL"
    page.forgive("401")


@pytest.mark.settings(node=NODE, media_host="127.0.0.1", service_token=SERVICE_TOKEN)
async def test_quality_assurance_has_an_mp4_made_and_watches_it_and_sets_a_legal_hold(
    relay: RunningRelay, recorded: Recorded, page: RecordingsPage, tmp_path: Path
) -> None:
    capture = captured(tmp_path / "capture")
    recording = await recorded.add(state=RecordingState.CAPTURED, capture=capture, since=datetime.now(UTC))
    await page.goto(f"{relay.url}/recordings")
    await page.hook("service-token").fill(SERVICE_TOKEN)
    await page.hook("service-signin").click()
    await page.page.get_by_role("link", name="Daniel Okafor → Maya Lindgren").click()
    progress = page.hook("detail").get_by_test_id("progress")
    await page.hook("mp4").click()
    await expect(progress).to_contain_text(re.compile("Waiting for its turn|Assembling"), timeout=PATIENCE)
    for button in ("mp4", "assemble"):
        await expect(page.hook(button)).to_be_disabled(timeout=PATIENCE)
    await expect(page.hook("file-call.mp4")).to_be_visible(timeout=2 * PATIENCE)
    await expect(progress).to_be_hidden(timeout=2 * PATIENCE)
    await expect(page.hook("mp4")).to_be_hidden()

    await page.hook("hold").click()
    await expect(page.hook("hold")).to_have_text("Lift legal hold…", timeout=PATIENCE)
    await expect(page.hook("delete")).to_be_disabled()
    assert (await recorded.get(recording)).legal_hold
    await page.hook("hold").click()
    question = page.page.get_by_role("dialog", name="Lift the legal hold?")
    await question.get_by_role("button", name="Keep the hold").click()
    assert (await recorded.get(recording)).legal_hold
    await page.hook("hold").click()
    await question.get_by_role("button", name="Lift legal hold").click()
    await expect(page.hook("hold")).to_have_text("Set legal hold", timeout=PATIENCE)
    await expect(page.hook("delete")).to_be_enabled()
    page.forgive("401")


async def test_a_page_without_a_user_asks_who_it_is(relay: RunningRelay, page: RecordingsPage) -> None:
    await page.goto(f"{relay.url}/recordings")
    await expect(page.hook("signin")).to_be_visible(timeout=PATIENCE)
    await expect(page.hook("recordings")).to_be_hidden()
    page.forgive("401")

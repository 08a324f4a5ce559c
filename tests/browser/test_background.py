"""What is behind the user: a person before a real camera, seen by the other party."""

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

import pytest
import pytest_asyncio
from playwright.async_api import Browser, CDPSession, Locator, Playwright, Route, expect

from tests.browser.calls import A_SECOND, PagesInCall
from tests.browser.conftest import CONVERSATIONS, StartFirefox
from tests.browser.pages import PATIENCE, STUDENT, TUTOR, RelayPage
from tests.kit.browsers import LOOK, chromium
from tests.kit.portrait import PORTRAIT, write_portrait
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

READ = """
(video) => {
  if (!video.videoWidth) return null;
  const canvas = document.createElement("canvas");
  const [width, height] = [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0);
  const part = ([left, top, right, bottom]) => {
    const size = [Math.round((right - left) * width), Math.round((bottom - top) * height)];
    const { data } = context.getImageData(Math.round(left * width), Math.round(top * height), ...size);
    const sums = [0, 0, 0];
    let [count, steps] = [0, 0];
    for (let at = 0; at < data.length; at += 4) {
      for (let channel = 0; channel < 3; channel++) sums[channel] += data[at + channel];
      if ((at / 4) % size[0]) steps += Math.abs(data[at + 1] - data[at - 3]);
      count += 1;
    }
    return { colour: sums.map((sum) => Math.round(sum / count)), detail: steps / count };
  };
  // In parts of 320 × 240 pixels from the middle of the portrait: her face, and the model of a space shuttle behind her.
  return { face: part([0.36, 0.25, 0.5, 0.5]), room: part([0.82, 0.15, 0.98, 0.7]) };
}
"""

WATCH = f"""
(video) => {{
  const read = {READ};
  window.worst = window.frames = 0;
  const look = () => {{
    const picture = read(video);
    if (picture) window.worst = Math.max(window.worst, picture.room.detail);
    window.frames += 1;
    video.requestVideoFrameCallback(look);
  }};
  video.requestVideoFrameCallback(look);
}}
"""
"""The most detail that was seen of the room in any frame."""

OPENED = """
// Every track that a camera has given.
(() => {
  if (!window.MediaDevices) return;
  const open = MediaDevices.prototype.getUserMedia;
  window.cameras = [];
  MediaDevices.prototype.getUserMedia = async function (...wanted) {
    const stream = await open.apply(this, wanted);
    window.cameras.push(...stream.getVideoTracks());
    return stream;
  };
})();
"""


@dataclass(frozen=True)
class Part:
    colour: list[int]
    detail: float
    """The mean step from a pixel to its neighbour."""

    def differs(self, other: "Part") -> int:
        return max(abs(one - two) for one, two in zip(self.colour, other.colour, strict=True))


@dataclass(frozen=True)
class Picture:
    face: Part
    room: Part

    @classmethod
    async def of(cls, video: Locator) -> "Picture | None":
        read = await video.evaluate(READ)
        return read and cls(Part(**read["face"]), Part(**read["room"]))


async def until(video: Locator, true: Callable[[Picture], bool], what: str) -> Picture:
    async def seen() -> Picture | None:
        picture = await Picture.of(video)
        return picture if picture and true(picture) else None

    return await eventually(seen, what, within=2 * PATIENCE / 1000, every=LOOK)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def portrait(driver: Playwright, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """A browser before whose camera a person sits."""
    file = write_portrait(tmp_path_factory.mktemp("portrait") / "portrait.y4m")
    async with chromium(f"--use-file-for-fake-video-capture={file}", driver=driver) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningRelay]:
    async with running_relay(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def call(portrait: Browser, relay: RunningRelay) -> AsyncIterator[PagesInCall]:
    async with (
        RelayPage.used_by(portrait, relay.url, STUDENT, *CONVERSATIONS[STUDENT]) as caller,
        RelayPage.used_by(portrait, relay.url, TUTOR, *CONVERSATIONS[TUTOR]) as callee,
    ):
        await caller.page.add_init_script(OPENED)
        await caller.page.reload()
        yield await PagesInCall.connected(relay, "video", caller, callee)


def is_face_of(plain: Picture, picture: Picture) -> bool:
    """Whether the face is as the camera saw it."""
    return picture.face.differs(plain.face) < 16 and picture.face.detail > plain.face.detail / 2


async def expect_cameras_off(page: RelayPage) -> None:
    """Wait until no camera's light is on."""
    await page.page.wait_for_function("() => cameras.length && cameras.every(({ readyState }) => readyState === 'ended')")


async def choose(page: RelayPage, background: str) -> None:
    await page.press_more("background")
    await page.hook("backgrounds").locator(f"[data-background={background}]").click()
    await expect(page.hook(f"background-{background}")).to_be_checked()
    await page.hook("devices-done").click()


async def test_the_other_party_sees_the_person_and_not_the_room(
    relay: RunningRelay, call: PagesInCall, caller: RelayPage, callee: RelayPage
) -> None:
    asked: list[str] = []
    caller.page.context.on("request", lambda request: asked.append(request.url))
    seen = callee.hook("remote-video")
    plain = await until(seen, lambda picture: picture.room.detail > 2, "the callee sees caller and room")

    async def cannot_be_loaded(route: Route) -> None:
        await route.abort()

    # Never as it is while its user believes otherwise: it is dark, and says so.
    await caller.page.context.route("**/vendor/**", cannot_be_loaded)
    await choose(caller, "sea")
    await expect(caller.hook("background-problem")).to_contain_text("Your background can’t be hidden", timeout=PATIENCE)
    await until(seen, lambda picture: max(picture.face.colour + picture.room.colour) < 50, "the video is dark")
    await caller.hook("background-problem-action").click()
    await until(seen, lambda picture: picture.room.differs(plain.room) < 12, "the room, as the user wants it")
    await expect(caller.hook("background-problem")).to_be_hidden()
    await caller.page.context.unroute("**/vendor/**")
    caller.forgive("net::ERR_FAILED")

    await choose(caller, "sea")
    # Until the first frame of it comes, the other party sees what was sent before.
    at_sea = "the person is there, and another room"
    sea = await until(seen, lambda picture: is_face_of(plain, picture) and picture.room.differs(plain.room) > 40, at_sea)
    assert sea.room.detail < plain.room.detail / 3

    await choose(caller, "strong")
    blurred = await until(seen, lambda picture: picture.room.differs(plain.room) < 30, "it is the room again, blurred")
    assert blurred.room.detail < plain.room.detail / 3
    assert is_face_of(plain, blurred)

    # Another camera, and one that was off: no frame of it is seen as it is.
    await seen.evaluate(WATCH)
    await caller.page.evaluate("relayCall.leg?.media?.use('camera', '')")
    await caller.press("camera")
    await expect(callee.hook("call-screen")).not_to_have_attribute("data-face", "", timeout=PATIENCE)
    await expect_cameras_off(caller)
    await caller.press("camera")
    await until(seen, lambda picture: is_face_of(plain, picture), "the person is there again")

    async def looked_at() -> bool:
        return bool(await callee.page.evaluate("frames > 10"))

    await eventually(looked_at, "more than ten frames were looked at")
    assert await callee.page.evaluate("worst") < plain.room.detail / 2

    await choose(caller, "none")
    await until(seen, lambda picture: picture.room.detail > plain.room.detail * 0.7, "the room is there again")
    await choose(caller, "strong")
    await caller.hang_up()
    await caller.put_away_the_ended_call()
    await expect_cameras_off(caller)

    # It holds from now on, and the dialog shows so before a call.
    await caller.hook("tab-settings").click()
    await caller.hook("open-devices").click()
    shown = await until(caller.hook("camera-preview"), lambda picture: is_face_of(plain, picture), "the caller sees herself")
    assert shown.room.detail < plain.room.detail / 2
    await caller.hook("devices-done").click()
    await expect_cameras_off(caller)
    assert any("/vendor/" in one for one in asked)
    assert {one.startswith(f"{relay.url}/") for one in asked if one.startswith("http")} == {True}


FILTERED = """
async (portrait) => {
  const { createFilter } = await import("/app/background/filter.js");
  const bytes = Uint8Array.from(atob(portrait), (character) => character.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
  // A camera of 4:3, as Chromium's is, that shows the portrait.
  const camera = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
  const context = camera.getContext("2d");
  const paint = () => context.drawImage(image, 64, 0, 384, 288, 0, 0, 320, 240);
  paint();
  setInterval(paint, 40);
  const [track] = camera.captureStream().getVideoTracks();
  window.filter = createFilter(track, "sea", () => {});
  const play = async (shown) => {
    const video = Object.assign(document.createElement("video"), { muted: true, srcObject: new MediaStream([shown]) });
    await video.play();
    return video;
  };
  const videos = await Promise.all([track, filter.output].map(play));
  while (filter.state !== "working") await new Promise((resolve) => setTimeout(resolve, 50));
  const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
  near.onicecandidate = ({ candidate }) => far.addIceCandidate(candidate);
  far.onicecandidate = ({ candidate }) => near.addIceCandidate(candidate);
  near.addTrack(filter.output);
  await near.setLocalDescription();
  await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription();
  await near.setRemoteDescription(far.localDescription);
  window.framesSent = async () => {
    return [...(await near.getStats()).values()].find(({ type }) => type === "outbound-rtp")?.framesSent ?? 0;
  };
  const read = READ;
  for (let shown; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    shown = videos.map(read);
    // The first frame in which the person has been found may be on its way.
    if (shown[1]?.face.detail > shown[0]?.face.detail / 2) return shown;
  }
}
"""


SHOWN = """
async () => {
  // What is sent: a video in a page out of sight shows none of it.
  const frame = await new ImageCapture(filter.output).grabFrame();
  const canvas = Object.assign(document.createElement("canvas"), { width: frame.width, height: frame.height });
  canvas.getContext("2d").drawImage(frame, 0, 0);
  return (READ)(Object.assign(canvas, { videoWidth: frame.width, videoHeight: frame.height }));
}
"""


class Tab(Protocol):
    """What the test needs of a page, in any browser."""

    async def evaluate(self, function: str, *arguments: object) -> Any: ...


class UnwatchedTab:
    """A page of Chromium that Playwright does not know: its own are in sight to themselves, whatever lies before them."""

    def __init__(self, browser: CDPSession, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session
        self._ids = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        browser.on("Target.receivedMessageFromTarget", self._received)

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, browser: Browser, url: str) -> AsyncIterator[Self]:
        devtools = await browser.new_browser_cdp_session()
        target = (await devtools.send("Target.createTarget", {"url": url, "newWindow": True}))["targetId"]
        attached = await devtools.send("Target.attachToTarget", {"targetId": target, "flatten": False})
        tab = cls(devtools, target, attached["sessionId"])

        async def loaded() -> bool:
            return bool(await tab.evaluate("() => location.protocol === 'http:' && document.readyState === 'complete'"))

        try:
            await eventually(loaded, "the page is loaded", every=LOOK)
            yield tab
        finally:
            await devtools.send("Target.closeTarget", {"targetId": target})
            await devtools.detach()

    def _received(self, event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        if reply := self._replies.pop(message.get("id"), None):
            reply.set_result(message)

    async def evaluate(self, function: str, *arguments: object) -> Any:
        number = next(self._ids)
        reply = self._replies[number] = asyncio.get_running_loop().create_future()
        expression = f"({function})(...{json.dumps(arguments)})"
        parameters = {"expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        message = json.dumps({"id": number, "method": "Runtime.evaluate", "params": parameters})
        await self._browser.send("Target.sendMessageToTarget", {"sessionId": self._session, "message": message})
        answer = await asyncio.wait_for(reply, 2 * PATIENCE / 1000)
        assert "exceptionDetails" not in answer["result"], answer
        return answer["result"]["result"].get("value")

    @contextlib.asynccontextmanager
    async def covered(self) -> AsyncIterator[None]:
        """Its window is minimized."""
        window = (await self._browser.send("Browser.getWindowForTarget", {"targetId": self._target}))["windowId"]
        for state in ("minimized", "normal"):
            await self._browser.send("Browser.setWindowBounds", {"windowId": window, "bounds": {"windowState": state}})
            if state == "minimized":
                yield


async def sees_the_person(tab: Tab) -> Picture:
    """Wait until the person is found, and another background is behind her; what the camera sees."""
    read = await tab.evaluate(FILTERED.replace("READ", READ), base64.b64encode(PORTRAIT.read_bytes()).decode())
    plain, changed = (Picture(Part(**one["face"]), Part(**one["room"])) for one in read)
    assert is_face_of(plain, changed)
    assert hides_room_of(plain, changed)
    return plain


def hides_room_of(plain: Picture, picture: Picture) -> bool:
    return picture.room.differs(plain.room) > 40 and picture.room.detail < plain.room.detail / 3


async def goes_on_out_of_sight(tab: Tab) -> None:
    """Wait until frames are sent for a while, though no one sees the page."""

    async def out_of_sight() -> bool:
        return bool(await tab.evaluate("() => document.hidden"))

    await eventually(out_of_sight, "the tab is hidden", every=LOOK)
    before = await tab.evaluate("() => framesSent()")

    async def goes_on() -> bool:
        return bool(await tab.evaluate("() => framesSent()") > before + 2 * A_SECOND)

    await eventually(goes_on, "frames are sent", every=LOOK)
    assert await tab.evaluate("() => filter.state") == "working"


async def test_firefox_finds_the_person_too_and_goes_on_out_of_sight(relay: RunningRelay, firefox: StartFirefox) -> None:
    browser = await firefox()
    async with browser.tab() as tab:
        await tab.goto(relay.url)
        await sees_the_person(tab)
        async with browser.tab():  # in front of it
            await goes_on_out_of_sight(tab)
        assert tab.problems == []


async def test_chromium_goes_on_to_hide_the_room_while_its_window_is_minimized(browser: Browser, relay: RunningRelay) -> None:
    async with UnwatchedTab.opened(browser, relay.url) as tab:
        plain = await sees_the_person(tab)
        async with tab.covered():
            await goes_on_out_of_sight(tab)
            read = await tab.evaluate(SHOWN.replace("READ", READ))
            picture = Picture(Part(**read["face"]), Part(**read["room"]))
        assert is_face_of(plain, picture)
        assert hides_room_of(plain, picture)

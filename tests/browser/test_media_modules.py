"""What the page's modules decide about microphones and cameras, and what they say of them: in a page that imports them."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.kit.server import RunningRelay, running_relay

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("media modules"),
]

OPENED: Final = """
async ([kind, states, fails]) => {
  const { openMedia } = await import("/client/media/media.js");
  const asked = [];
  // A browser in which these devices are allowed, and these fail.
  navigator.permissions.query = async ({ name }) => ({ state: states[name] });
  navigator.mediaDevices.getUserMedia = async ({ audio, video }) => {
    const inputs = [audio && "microphone", video && "camera"].filter(Boolean);
    asked.push(inputs.join("+"));
    const failing = inputs.find((input) => fails[input]);
    if (failing) throw new DOMException("", fails[failing]);
    return { getTracks: () => inputs.map((input) => ({ input, stop() {} })) };
  };
  const { tracks, problems } = await openMedia(kind, {});
  return { asked, had: tracks.map(({ input }) => input), problems };
}
"""
ALLOWED: Final = {"microphone": "granted", "camera": "granted"}
UNASKED: Final = {"microphone": "prompt", "camera": "prompt"}
NOT_ALLOWED, NOT_FOUND, NOT_READABLE = "NotAllowedError", "NotFoundError", "NotReadableError"

CASES: Final[dict[str, tuple[str, dict[str, str], dict[str, str], list[str], dict[str, str | None]]]] = {
    "both work": ("video", ALLOWED, {}, ["microphone+camera"], {}),
    "a voice call opens no camera": ("voice", ALLOWED, {}, ["microphone"], {}),
    "the camera is blocked": (
        *("video", {**ALLOWED, "camera": "denied"}, {"camera": NOT_ALLOWED}),
        ["microphone+camera", "microphone"],
        {"camera": "denied"},
    ),
    "the microphone is blocked": (
        *("video", {**ALLOWED, "microphone": "denied"}, {"microphone": NOT_ALLOWED}),
        ["microphone+camera", "camera"],
        {"microphone": "denied"},
    ),
    "the user says no, and is not asked again": (
        *("video", UNASKED, {"microphone": NOT_ALLOWED, "camera": NOT_ALLOWED}),
        ["microphone+camera"],
        {"microphone": "denied", "camera": "denied"},
    ),
    "there is no camera": (
        *("video", ALLOWED, {"camera": NOT_FOUND}),
        ["microphone+camera", "microphone", "camera"],
        {"camera": "missing"},
    ),
    "another program has the microphone": (
        *("video", ALLOWED, {"microphone": NOT_READABLE}),
        ["microphone+camera", "microphone", "camera"],
        {"microphone": "busy"},
    ),
    "nothing is there": (
        *("video", ALLOWED, {"microphone": NOT_FOUND, "camera": NOT_FOUND}),
        ["microphone+camera", "microphone", "camera"],
        {"microphone": "missing", "camera": "missing"},
    ),
    "a voice call without a microphone": ("voice", ALLOWED, {"microphone": NOT_FOUND}, ["microphone"], {"microphone": "missing"}),
}

TEXTS: Final = """
async () => {
  const { browserName, problemText } = await import("/app/devices/words.js");
  const [webkit, mac] = ["AppleWebKit/537.36 (KHTML, like Gecko)", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"];
  const agents = {
    chrome: [`Mozilla/5.0 (X11; Linux x86_64) ${webkit} Chrome/140.0.0.0 Safari/537.36`, 0],
    "chrome-android": [`Mozilla/5.0 (Linux; Android 14) ${webkit} Chrome/140.0 Mobile Safari/537.36`, 5],
    firefox: ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", 0],
    "firefox-android": ["Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", 5],
    safari: [`${mac} ${webkit} Version/18.0 Safari/605.1.15`, 0],
    ios: [`${mac} ${webkit} Version/18.0 Safari/605.1.15`, 5],
  };
  const names = Object.entries(agents).map(([name, agent]) => [name, browserName(...agent)]);
  const texts = {};
  for (const source of ["microphone", "camera", "screen"]) {
    for (const problem of ["denied", "missing", "busy", "insecure", "silenced"]) {
      texts[`${source} ${problem}`] = problemText(source, problem, "chrome");
    }
  }
  const places = Object.keys(agents).map((name) => problemText("microphone", "denied", name).help);
  return { names, texts, places };
}
"""

FOLLOWED: Final = """
async () => {
  const { LocalMedia } = await import("/client/media/localmedia.js");
  const done = [];
  const media = new LocalMedia();
  media.addEventListener("lost", ({ detail }) => done.push([detail.input, detail.now !== null]));
  await media.open("video");
  const open = MediaDevices.prototype.getUserMedia;
  const devices = navigator.mediaDevices;
  const pullOut = async (track) => {
    track.stop();
    track.dispatchEvent(new Event("ended"));
    await new Promise((resolve) => media.addEventListener("lost", resolve, { once: true }));
  };
  const state = () => [media.microphone?.readyState, media.camera?.readyState, { ...media.problems }, media.cameraOn];

  await pullOut(media.microphone); // the system's own takes over
  done.push(state());
  devices.getUserMedia = () => Promise.reject(new DOMException("", "NotFoundError"));
  await pullOut(media.microphone);
  await pullOut(media.camera);
  done.push(state());
  delete devices.getUserMedia;
  devices.dispatchEvent(new Event("devicechange"));
  while (!media.microphone) await new Promise((resolve) => setTimeout(resolve, 20));
  await media.restore("camera");
  done.push(state());

  // A telephone: the second camera opens only when the first is closed.
  const [front] = media.stream.getVideoTracks();
  devices.getUserMedia = async (wanted) => {
    if (wanted.video && front.readyState === "live") throw new DOMException("", "NotReadableError");
    return open.call(devices, { video: true });
  };
  await media.use("camera", "the other");
  delete devices.getUserMedia;
  done.push([front.readyState, media.camera !== front, media.camera.readyState]);

  // Two choices in one moment: the later one counts, and no camera is left open.
  const tracks = [];
  devices.getUserMedia = async (wanted) => {
    const stream = await open.call(devices, wanted);
    tracks.push(...stream.getTracks());
    return stream;
  };
  await Promise.all([media.use("camera", ""), media.use("camera", ""), media.use("microphone", "")]);
  delete devices.getUserMedia;
  done.push(tracks.filter(({ kind, readyState }) => kind === "video" && readyState === "live").length);
  let facing;
  devices.getUserMedia = ({ video }) => {
    facing = video.facingMode.exact;
    return open.call(devices, { video: true });
  };
  await media.flipCamera();
  delete devices.getUserMedia;
  done.push(facing);
  const muted = media.muted;
  media.toggleMute();
  await media.use("microphone", "");
  done.push([muted, media.microphone.enabled]); // another microphone is muted too
  media.close();
  done.push(media.stream.getTracks().every(({ readyState }) => readyState === "ended"));
  return done;
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningRelay]:
    async with running_relay(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def modules(browser: Browser, relay: RunningRelay) -> AsyncIterator[Page]:
    """A page of the relay's origin that imports its modules."""
    context = await browser.new_context(permissions=["camera", "microphone"])
    page = await context.new_page()
    await page.goto(f"{relay.url}/connectivity")
    yield page
    await context.close()


async def test_a_call_takes_what_can_be_had_and_asks_for_each_no_more_often_than_it_helps(
    browser: Browser, relay: RunningRelay, modules: Page
) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{relay.url}/connectivity")
    for name, (kind, states, fails, asked, lacking) in CASES.items():
        found = await page.evaluate(OPENED, [kind, states, fails])
        problems = {"microphone": None, "camera": None, **lacking}
        wanted = ["microphone", "camera"] if kind == "video" else ["microphone"]
        assert found["asked"] == asked, name
        assert found["problems"] == problems, name
        assert {*found["had"]} == {one for one in wanted if problems[one] is None}, name
    await context.close()


REFUSALS: Final[dict[tuple[str, str], str | None]] = {
    (NOT_ALLOWED, "Permission denied"): None,
    (NOT_ALLOWED, "The request is not allowed by the user agent or the platform in the current context."): None,
    (NOT_ALLOWED, "Permission denied by system"): "denied",
    (NOT_ALLOWED, 'Access to the feature "display-capture" is disallowed by permissions policy.'): "denied",
    (NOT_FOUND, ""): "missing",
    (NOT_READABLE, "Could not start video source"): "busy",
}


async def test_one_who_closes_the_choice_of_a_screen_is_told_nothing_and_one_whose_system_forbids_it_is(modules: Page) -> None:
    script = """
    async (refusals) => {
      const { openScreen } = await import("/client/media/media.js");
      const found = [];
      for (const [name, message] of refusals) {
        navigator.mediaDevices.getDisplayMedia = () => Promise.reject(new DOMException(message, name));
        found.push(await openScreen().catch(({ device, problem }) => `${device}: ${problem}`));
      }
      delete navigator.mediaDevices.getDisplayMedia;
      return found;
    }
    """
    told = [problem and f"screen: {problem}" for problem in REFUSALS.values()]
    assert await modules.evaluate(script, list(REFUSALS)) == told


async def test_each_device_has_words_of_its_own_that_fit_the_browser(modules: Page) -> None:
    found = await modules.evaluate(TEXTS)
    assert all(name == recognised for name, recognised in found["names"])
    for name, text in found["texts"].items():
        source = name.split()[0]
        others = {"microphone", "camera"} - {source}
        said = f"{text['title']} {text['help']}".lower()
        assert not any(other in said for other in others), name
        assert text["title"] and text["help"], name
    assert len({text["title"] for text in found["texts"].values()}) >= 13
    assert len({*found["places"]}) == len(found["places"])


async def test_a_device_that_goes_is_replaced_and_one_that_comes_is_used(modules: Page) -> None:
    live = ["live", "live", {"microphone": None, "camera": None}, True]
    gone = [None, None, {"microphone": "missing", "camera": "missing"}, False]
    assert await modules.evaluate(FOLLOWED) == [
        ["microphone", True],
        live,
        ["microphone", False],
        ["camera", False],
        gone,
        live,
        ["ended", True, "live"],
        1,
        "environment",
        [False, False],
        True,
    ]

"""What the modules that change the background decide, without calls."""

import pytest
from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


PACE = """
async (given) => {
  const { Pace } = await import("/app/background/pace.js");
  const pace = new Pace();
  let now = 0;
  return given.map(([spent, seconds]) => {
    for (const end = now + 1_000 * seconds; now < end; now += Math.max(spent, 33)) pace.took(spent, now);
    return [pace.height, pace.isSlow, Math.round(spent + pace.rest)];
  });
}
"""


async def test_a_slow_device_gets_smaller_frames_first_and_then_is_said_to_be_slow(bare_page: Page) -> None:
    fast, busy, slow = 10, 60, 200
    seen = await bare_page.evaluate(
        PACE, [[fast, 5], [slow, 0.3], [fast, 5], [busy, 3], [busy, 5], [slow, 20], [fast, 20], [fast, 200]]
    )
    assert seen == [
        [720, False, 33],
        # What lasts for less than a second is a busy device, not a slow one.
        [720, False, 230],
        [720, False, 33],
        [540, False, 69],
        [360, False, 69],
        [360, True, 230],
        [360, False, 33],
        [720, False, 33],
    ]


BLURRED = """
async () => {
  const { createBlur } = await import("/app/background/pixels.js");
  const [width, height] = [64, 144];
  // A red person in the middle of a blue room, with a white line through the room.
  const picture = () => {
    const pixels = new Uint8ClampedArray(4 * width * height);
    for (let at = 0; at < width * height; at++) {
      const x = at % width;
      pixels.set(x >= 24 && x < 40 ? [255, 0, 0, 255] : x === 8 ? [255, 255, 255, 255] : [0, 0, 255, 255], 4 * at);
    }
    return pixels;
  };
  const mask = Float32Array.from({ length: width * height }, (_, at) => (at % width >= 24 && at % width < 40 ? 1 : 0));
  const blur = createBlur(width * height);
  const [room, all] = [picture(), picture()];
  blur(room, mask, width, 4);
  blur(all, null, width, 4);
  const at = (pixels, x) => [...pixels.slice(4 * (width * 70 + x), 4 * (width * 70 + x) + 4)];
  return { beside: at(room, 22), line: at(room, 8), all: at(all, 22), edge: at(room, 0) };
}
"""


async def test_a_blurred_room_has_no_halo_of_the_person_before_it(bare_page: Page) -> None:
    seen = await bare_page.evaluate(BLURRED)
    red, _, blue, opaque = seen["beside"]
    assert red < 16 and blue > 240 and opaque == 255
    assert seen["all"][0] > 60, "all of it is blurred as long as the person is not known"
    assert 20 < seen["line"][0] < 80, "the line is spread"
    assert seen["edge"][2] > 240


MASKED = """
async () => {
  const { fillInput, takeMask, writeAlpha } = await import("/app/background/pixels.js");
  const [WIDTH, HEIGHT] = [256, 144];
  const width = 144; // of a portrait: in the middle of what the model sees
  const input = new Float32Array(WIDTH * HEIGHT * 3);
  fillInput(input, new Uint8ClampedArray(4 * width * HEIGHT).fill(255), width);
  const inputs = [input[0], input[3 * 55], input[3 * 56], input[3 * 199], input[3 * 200]];
  const mask = new Float32Array(width * HEIGHT);
  const output = new Float32Array(WIDTH * HEIGHT);
  const history = [];
  for (const likely of [1, 0.5, 0.5, 0, Number.NaN, 2]) {
    output.fill(0).fill(likely, 56, 200);
    takeMask(mask, output, width);
    history.push([mask[0], mask[143], mask[144]].map((value) => Math.round(100 * value) / 100));
  }
  const alphas = new Uint8ClampedArray(4 * 5);
  writeAlpha(alphas, Float32Array.of(0, 0.3, 0.6, 0.75, 1));
  return { inputs, history, alphas: [...alphas].filter((_, index) => index % 4 === 3) };
}
"""


async def test_a_mask_is_steady_where_the_model_is_not_sure_and_follows_at_once_where_it_is(bare_page: Page) -> None:
    seen = await bare_page.evaluate(MASKED)
    assert seen["inputs"] == [0.5, 0.5, 1, 1, 0.5]
    first, unsure, still, gone, broken, beyond = (values[0] for values in seen["history"])
    assert (first, gone, beyond) == (1, 0, 1)
    assert unsure == 0.8 and 0.5 < still < unsure
    assert broken == 0, "what is no number is background"
    assert all(left == right and below == 0 for left, right, below in seen["history"])
    room, edge_of_room, between, edge_of_person, person = seen["alphas"]
    assert (room, edge_of_room, edge_of_person, person) == (0, 0, 255, 255)
    assert 128 < between < 255


IMAGES = """
async () => {
  const { forgetImage, ImageRefused, keepImage, ownImage } = await import("/app/background/ownimage.js");
  const refused = async (file) => {
    try {
      await keepImage(file);
      return null;
    } catch (error) {
      if (!(error instanceof ImageRefused)) throw error;
      return error.problem;
    }
  };
  const refusals = [];
  for (const file of [
    new File(["<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"], "a.svg", { type: "image/svg+xml" }),
    new File(["not an image"], "a.jpg", { type: "image/jpeg" }),
    new File([], "a.png", { type: "image/png" }),
    new File([new Uint8Array(26 * 1024 * 1024)], "a.png", { type: "image/png" }),
  ]) refusals.push(await refused(file));
  const none = await ownImage();
  const canvas = new OffscreenCanvas(4_000, 1_000);
  canvas.getContext("2d").fillRect(0, 0, 10, 10);
  await keepImage(await canvas.convertToBlob());
  const kept = await ownImage();
  const { width, height } = await createImageBitmap(kept);
  await forgetImage();
  return { refusals, none, kept: [kept.type, width, height, kept.size < 200_000], gone: await ownImage() };
}
"""


async def test_an_image_of_ones_own_is_made_as_large_as_it_is_needed_and_kept(bare_page: Page) -> None:
    seen = await bare_page.evaluate(IMAGES)
    assert seen["refusals"] == ["unreadable", "unreadable", "unreadable", "too_large"]
    assert (seen["none"], seen["gone"]) == (None, None)
    assert seen["kept"] == ["image/jpeg", 1_600, 400, True]


MEDIA = """
async () => {
  const { cameraOf, chooseBackground, provideFilter } = await import("/client/media/background.js");
  const { LocalMedia } = await import("/client/media/localmedia.js");
  const { createFilter } = await import("/app/background/filter.js");
  provideFilter(createFilter);
  const shown = [];
  const sees = (media) => {
    const { camera } = media;
    if (camera) shown.push(camera === cameraOf(camera) ? "camera" : "changed");
  };
  const until = async (what) => {
    for (let tries = 0; !what(); tries++) {
      if (tries > 400) throw new Error(`never: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  chooseBackground("strong");
  const media = new LocalMedia();
  media.addEventListener("change", () => sees(media));
  await media.open("video");
  const states = [media.backgroundState];
  await until(() => media.backgroundState === "working");
  const [first, firstCamera] = [media.camera, cameraOf(media.camera)];
  const device = typeof firstCamera.getSettings().deviceId;
  media.hold(true);
  const held = [first.enabled, firstCamera.enabled];
  media.hold(false);
  // Another camera has a filter of its own, and the one before is released.
  await media.use("camera", firstCamera.getSettings().deviceId);
  const exchanged = [first.readyState, firstCamera.readyState, media.camera !== first];
  chooseBackground("dawn");
  media.backgroundChosen();
  const [second, secondCamera] = [media.camera, cameraOf(media.camera)];
  const onlyChanged = new Set(shown).size === 1 && shown[0];
  chooseBackground("none");
  media.backgroundChosen();
  const plain = [media.camera === secondCamera, second.readyState, secondCamera.readyState, media.backgroundState];
  chooseBackground("slight");
  media.backgroundChosen();
  const again = [media.camera !== secondCamera, secondCamera.readyState];
  media.turnCameraOff();
  await until(() => secondCamera.readyState === "ended");
  await media.turnCameraOn();
  const third = cameraOf(media.camera);
  media.close();
  chooseBackground("none");
  return { states, device, held, exchanged, onlyChanged, plain, again, off: third.readyState, last: media.camera?.readyState };
}
"""


async def test_what_is_sent_of_a_camera_is_never_its_own_video_while_a_background_is_chosen(bare_page: Page) -> None:
    await bare_page.context.grant_permissions(["camera", "microphone"])
    seen = await bare_page.evaluate(MEDIA)
    assert seen["states"] == ["starting"]
    assert seen["device"] == "string"
    assert seen["held"] == [False, False]
    assert seen["exchanged"] == ["ended", "ended", True]
    assert seen["onlyChanged"] == "changed"
    assert seen["plain"] == [True, "ended", "live", None]
    assert seen["again"] == [True, "live"]
    assert (seen["off"], seen["last"]) == ("ended", "ended")


UNAVAILABLE = """
async () => {
  const { chooseBackground } = await import("/client/media/background.js");
  const { createFilter } = await import("/app/background/filter.js");
  const camera = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
  const context = camera.getContext("2d");
  const paint = setInterval(() => { context.fillStyle = "#ffffff"; context.fillRect(0, 0, 64, 64); }, 50);
  const [track] = camera.captureStream().getVideoTracks();
  const own = Worker;
  window.Worker = class { constructor() { throw new DOMException("not allowed", "SecurityError"); } };
  const states = [];
  const filter = createFilter(track, "strong", () => states.push(filter.state));
  const video = Object.assign(document.createElement("video"), { muted: true, srcObject: new MediaStream([filter.output]) });
  await video.play();
  while (!states.includes("failed")) await new Promise((resolve) => setTimeout(resolve, 50));
  const shown = new OffscreenCanvas(64, 64).getContext("2d");
  shown.drawImage(video, 0, 0, 64, 64);
  const brightest = Math.max(...[...shown.getImageData(0, 0, 64, 64).data].filter((_, index) => index % 4 !== 3));
  // It works again when the user asks for it again.
  window.Worker = own;
  filter.choose("strong");
  while (filter.state !== "working") await new Promise((resolve) => setTimeout(resolve, 50));
  filter.close();
  clearInterval(paint);
  return { states: states.filter((state, index) => state !== states[index - 1]), brightest, camera: track.readyState };
}
"""


async def test_a_browser_in_which_it_does_not_work_shows_nothing_rather_than_the_room(bare_page: Page) -> None:
    seen = await bare_page.evaluate(UNAVAILABLE)
    assert seen["brightest"] < 60
    assert seen["states"] == ["failed", "starting", "working"]
    assert seen["camera"] == "live", "a camera outlives what is made of its video"

/**
 * Puts another background behind the user: frames of the camera go to a worker, and what it draws is the track that is shown and sent.
 * The camera's own video is never in that track: before the person is found all of it is blurred, and after a failure it is dark, until
 * the user says otherwise.
 *
 * @typedef {import("../../client/media/background.js").Background} Background
 * @typedef {import("../../client/media/background.js").CameraFilter} CameraFilter
 * @typedef {import("../../client/media/background.js").FilterState} FilterState
 * @typedef {import("./segmenter.worker.js").FromWorker} FromWorker
 * @typedef {import("./segmenter.worker.js").ToWorker} ToWorker
 */
import { ownImage } from "./ownimage.js";
import { drawScene } from "./scenes.js";

/** Radius of the blur, in 256ths of the width. */
const RADII = { slight: 3, strong: 8 };
const SCENE_SIZE = /** @type {const} */ ([1_280, 720]);
/** The colour of a video that cannot be shown. */
const DARK = "#12151e";
/** Milliseconds between two looks at the worker. */
const LOOK = 1_000;
/** Looks without a sign of it until it counts as dead. Counted, as the time that a device sleeps is no sign of anything. */
const SILENT_LOOKS = 15;
/** How often it is started, unless it has worked for so many looks, and milliseconds before it is started again. */
const ATTEMPTS = 2;
const STEADY_LOOKS = 30;
const RETRY = 2_000;

/** @type {import("../../client/media/background.js").FilterFactory} */
export function createFilter(camera, background, changed) {
  return new Filter(camera, background, changed);
}

/** @implements {CameraFilter} */
class Filter {
  output;
  /** @type {FilterState} */
  state = "starting";
  #background;
  #changed;
  #video = document.createElement("video");
  #canvas = document.createElement("canvas");
  #context;
  /** @type {Worker | null} */
  #worker = null;
  #attempts = 0;
  #silentLooks = 0;
  #steadyLooks = 0;
  /** Whether anything was drawn since it was started. */
  #drawn = false;
  #looking;
  #retry = 0;
  #closed = false;

  /** @param {MediaStreamTrack} camera @param {Background} background @param {() => void} changed */
  constructor(camera, background, changed) {
    this.#background = background;
    this.#changed = changed;
    const { width = SCENE_SIZE[0], height = SCENE_SIZE[1] } = camera.getSettings();
    Object.assign(this.#canvas, { width, height });
    this.#context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d", { alpha: false }));
    this.#darken();
    this.output = this.#canvas.captureStream().getVideoTracks()[0];
    this.#video.muted = this.#video.playsInline = true;
    this.#video.srcObject = new MediaStream([camera]);
    void this.#video.play().catch(() => {}); // closed meanwhile
    this.#looking = setInterval(() => this.#look(), LOOK);
    this.#start();
  }

  /** @param {Background} background */
  choose(background) {
    this.#background = background;
    if (this.state !== "failed") return void this.#setScene();
    this.#attempts = 0;
    this.#become("starting");
    this.#start();
  }

  close() {
    this.#closed = true;
    clearInterval(this.#looking);
    clearTimeout(this.#retry);
    this.#worker?.terminate();
    this.#worker = null;
    this.#video.srcObject = null;
    this.output.stop();
  }

  #start() {
    this.#attempts += 1;
    this.#silentLooks = this.#steadyLooks = 0;
    this.#drawn = false;
    try {
      const worker = new Worker(new URL("./segmenter.worker.js", import.meta.url), { type: "module" });
      this.#worker = worker;
      worker.onmessage = ({ data }) => {
        if (this.#worker === worker) this.#received(data);
      };
      worker.onerror = (event) => {
        event.preventDefault();
        if (this.#worker === worker) this.#fail(event.message || "the worker cannot be loaded");
      };
      void this.#setScene();
    } catch (error) {
      this.#fail(String(error)); // this browser has no such workers
    }
  }

  async #setScene() {
    const [worker, background] = [this.#worker, this.#background];
    const image = await imageOf(background).catch(() => null);
    if (!worker || worker !== this.#worker || background !== this.#background) return image?.close();
    // An image that is gone is no reason to show the room.
    const radius = background === "slight" ? RADII.slight : RADII.strong;
    this.#post({ type: "scene", radius, image }, image ? [image] : []);
  }

  /** @param {FromWorker} message */
  #received(message) {
    this.#silentLooks = 0;
    if (message.type === "wanted") return void this.#sendFrame();
    if (message.type === "failed") return this.#fail(message.reason);
    const { picture, masked, slow } = message;
    const { width, height } = picture;
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    this.#context.drawImage(picture, 0, 0);
    picture.close();
    this.#drawn = true;
    this.#become(masked ? (slow ? "slow" : "working") : "starting");
  }

  async #sendFrame() {
    const worker = this.#worker;
    const hasFrame = this.output.enabled && this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
    const frame = hasFrame ? await createImageBitmap(this.#video).catch(() => null) : null;
    if (worker !== this.#worker) return frame?.close();
    this.#post(frame ? { type: "frame", frame } : { type: "later" }, frame ? [frame] : []);
  }

  /** @param {ToWorker} message @param {Transferable[]} transferred */
  #post(message, transferred) {
    this.#worker?.postMessage(message, transferred);
  }

  #look() {
    // The other party is to have frames, or it misses the video.
    if (!this.#worker || !this.#drawn) this.#darken();
    if (!this.#worker) return;
    if (++this.#steadyLooks === STEADY_LOOKS) this.#attempts = 0;
    if (++this.#silentLooks >= SILENT_LOOKS) this.#fail("the worker does not answer");
  }

  /** @param {string} reason */
  #fail(reason) {
    this.#worker?.terminate();
    this.#worker = null;
    this.#darken();
    if (this.#closed) return;
    if (this.#attempts < ATTEMPTS) {
      this.#become("starting");
      this.#retry = setTimeout(() => this.#start(), RETRY);
      return;
    }
    console.warn(`The background cannot be changed: ${reason}`);
    this.#become("failed");
  }

  /** @param {FilterState} state */
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#changed();
  }

  #darken() {
    this.#context.fillStyle = DARK;
    this.#context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
  }
}

/** @param {Background} background @returns {Promise<ImageBitmap | null>} null: it is blurred */
async function imageOf(background) {
  if (background === "image") {
    const image = await ownImage();
    return image && createImageBitmap(image);
  }
  if (background !== "dawn" && background !== "sea" && background !== "forest") return null;
  const canvas = new OffscreenCanvas(...SCENE_SIZE);
  drawScene(/** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d")), ...SCENE_SIZE, background);
  return canvas.transferToImageBitmap();
}

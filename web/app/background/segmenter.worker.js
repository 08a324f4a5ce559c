/**
 * Draws frames of a camera with another background: it asks for a frame, finds the person in it, and answers with what is to be shown.
 * A worker's timers run in a page that is out of sight, too. Its script has a Content-Security-Policy of its own (relay/http/pages.py).
 *
 * @typedef {{type: "scene", radius: number, image: ImageBitmap | null} | {type: "frame", frame: ImageBitmap} | {type: "later"}} ToWorker
 *   `scene`: what is to be behind the person; `radius`: of the blur, if it is no image. `later`: there is no frame now.
 *
 * @typedef {{type: "wanted"} | {type: "picture", picture: ImageBitmap, masked: boolean, slow: boolean} | {type: "failed", reason: string}}
 *   FromWorker `masked`: the person is seen; otherwise all is blurred.
 *
 * @typedef {{onmessage: ((event: MessageEvent<ToWorker>) => void) | null,
 *   postMessage: (message: FromWorker, transfer?: Transferable[]) => void}} Scope
 */
import { createBlur, fillInput, takeMask, writeAlpha } from "./pixels.js";
import { Pace } from "./pace.js";
import { HEIGHT, loadSegmenter, WIDTH } from "./runtime.js";

const scope = /** @type {Scope} */ (/** @type {unknown} */ (self));

/** Milliseconds until a camera that has no frame is asked again. */
const LATER = 100;
/** Of the blur as long as it is not known who is a person: no one is to be recognised. */
const VEIL = 14;

/** @type {import("./runtime.js").Segmenter | null} */
let segmenter = null;
/** @type {{radius: number, image: ImageBitmap | null}} */
let scene = { radius: VEIL, image: null };
/** @type {ReturnType<typeof createTable> | null} */
let table = null;
const canvas = new OffscreenCanvas(2, 2);
const context = contextOf(canvas);
const pace = new Pace();
let askedAt = 0;

scope.onmessage = (/** @type {MessageEvent<ToWorker>} */ { data }) => {
  try {
    if (data.type === "scene") {
      scene.image?.close();
      scene = data;
    } else if (data.type === "later") {
      setTimeout(ask, LATER);
    } else {
      show(data.frame);
    }
  } catch (error) {
    fail(error);
  }
};

loadSegmenter().then((loaded) => (segmenter = loaded), fail);
ask();

function ask() {
  askedAt = performance.now();
  scope.postMessage({ type: "wanted" });
}

/** @param {unknown} error */
function fail(error) {
  scope.postMessage({ type: "failed", reason: String(error) });
}

/** @param {ImageBitmap} frame */
function show(frame) {
  const masked = draw(frame);
  frame.close();
  const picture = canvas.transferToImageBitmap();
  const now = performance.now();
  if (masked) pace.took(now - askedAt, now);
  scope.postMessage({ type: "picture", picture, masked, slow: pace.isSlow }, [picture]);
  setTimeout(ask, pace.rest);
}

/** @param {ImageBitmap} frame @returns {boolean} whether the person is seen */
function draw(frame) {
  const scale = Math.min(1, pace.height / Math.min(frame.width, frame.height));
  // Even: encoders halve the colours.
  const [width, height] = [2 * Math.round((frame.width * scale) / 2), 2 * Math.round((frame.height * scale) / 2)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const { small, mask } = (table = tableFor(frame));
  small.context.drawImage(frame, 0, 0, small.width, HEIGHT);
  const pixels = small.context.getImageData(0, 0, small.width, HEIGHT);
  const found = segmenter;
  if (found) {
    fillInput(found.input(), pixels.data, small.width);
    takeMask(mask.values, found.run(), small.width);
    writeAlpha(mask.pixels.data, mask.values);
    mask.context.putImageData(mask.pixels, 0, 0);
    context.globalCompositeOperation = "copy";
    context.drawImage(mask.canvas, 0, 0, width, height);
    context.globalCompositeOperation = "source-in";
    context.drawImage(frame, 0, 0, width, height);
    context.globalCompositeOperation = "destination-over";
  } else {
    context.globalCompositeOperation = "copy";
  }
  if (found && scene.image) {
    cover(scene.image, width, height);
  } else {
    table.blur(pixels.data, found && mask.values, small.width, found ? scene.radius : VEIL);
    small.context.putImageData(pixels, 0, 0);
    context.drawImage(small.canvas, 0, 0, width, height);
  }
  return found !== null;
}

/** @param {ImageBitmap} image @param {number} width @param {number} height */
function cover(image, width, height) {
  const scale = Math.max(width / image.width, height / image.height);
  const [shownWidth, shownHeight] = [width / scale, height / scale];
  const [left, top] = [(image.width - shownWidth) / 2, (image.height - shownHeight) / 2];
  context.drawImage(image, left, top, shownWidth, shownHeight, 0, 0, width, height);
}

/** @param {ImageBitmap} frame */
function tableFor(frame) {
  // The model looks at a landscape: in a portrait that fills it, no face is one. Half as wide still is, and has enough pixels.
  const width = frame.width >= frame.height ? WIDTH : HEIGHT;
  return table?.small.width === width ? table : createTable(width);
}

/** What a frame is looked at and masked with. @param {number} width */
function createTable(width) {
  const small = new OffscreenCanvas(width, HEIGHT);
  const mask = new OffscreenCanvas(width, HEIGHT);
  const maskContext = contextOf(mask);
  return {
    small: { width, canvas: small, context: contextOf(small, { willReadFrequently: true }) },
    mask: {
      canvas: mask,
      context: maskContext,
      pixels: maskContext.createImageData(width, HEIGHT),
      values: new Float32Array(width * HEIGHT),
    },
    blur: createBlur(width * HEIGHT),
  };
}

/** @param {OffscreenCanvas} of @param {CanvasRenderingContext2DSettings} [settings] */
function contextOf(of, settings) {
  const made = of.getContext("2d", settings);
  if (!made) throw new Error("no canvas to draw on");
  return made;
}

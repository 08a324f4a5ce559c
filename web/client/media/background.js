/**
 * What others see behind the user. Remembered in this browser. No DOM: the page that shows the camera brings what changes its video
 * (`provideFilter`); without that, video is sent as it is.
 *
 * @typedef {"none" | "slight" | "strong" | "dawn" | "sea" | "forest" | "image"} Background `slight` and `strong`: blurred. `image`: the
 *   user's own. The others are drawn.
 *
 * @typedef {"starting" | "working" | "slow" | "failed"} FilterState `starting`: the whole video is blurred. `slow`: it works, and the
 *   device cannot keep up. `failed`: the video is dark. In no state is it shown as it is: that takes the user's word.
 *
 * @typedef {object} CameraFilter
 * @property {MediaStreamTrack} output what is shown and sent in place of the camera
 * @property {FilterState} state
 * @property {(background: Background) => void} choose another one, or the same again after a failure
 * @property {() => void} close ends the output, and leaves the camera as it is
 *
 * @typedef {(camera: MediaStreamTrack, background: Background, changed: () => void) => CameraFilter} FilterFactory `changed` is called when
 *   the state is another.
 */

const KEY = "call-relay.background";
/** @type {Background[]} */
export const BACKGROUNDS = ["none", "slight", "strong", "dawn", "sea", "forest", "image"];

/** @type {Background | null} of this page: what another one chooses is for the next */
let chosen = null;
/** @type {FilterFactory | null} */
let factory = null;
/** Which camera a filter's output shows. @type {WeakMap<MediaStreamTrack, MediaStreamTrack>} */
const cameras = new WeakMap();

/** @returns {Background} */
export function chosenBackground() {
  return (chosen ??= remembered());
}

/** @returns {Background} */
function remembered() {
  try {
    const kept = /** @type {Background} */ (localStorage.getItem(KEY));
    return BACKGROUNDS.includes(kept) ? kept : "none";
  } catch {
    return "none"; // storage is forbidden
  }
}

/** @param {Background} background */
export function chooseBackground(background) {
  chosen = background;
  try {
    localStorage.setItem(KEY, background);
  } catch {
    // It holds until the page goes.
  }
}

/** @param {FilterFactory} create makes what changes the background, of each camera that is opened from now on */
export function provideFilter(create) {
  factory = create;
}

/**
 * @param {MediaStreamTrack} camera
 * @param {() => void} changed
 * @returns {CameraFilter | null} null: the video is to be shown as it is
 */
export function filterOf(camera, changed) {
  const background = chosenBackground();
  if (background === "none" || !factory) return null;
  const filter = factory(camera, background, changed);
  cameras.set(filter.output, camera);
  return filter;
}

/**
 * The camera whose video a track shows: only that one has the settings of a device.
 *
 * @template {MediaStreamTrack | null | undefined} Track
 * @param {Track} track
 * @returns {Track}
 */
export function cameraOf(track) {
  return /** @type {Track} */ ((track && cameras.get(track)) ?? track);
}

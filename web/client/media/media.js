/**
 * Asking the browser for microphone, camera and screen. No DOM, no protocol.
 *
 * @typedef {"microphone" | "camera"} InputKind
 * @typedef {"denied" | "missing" | "busy" | "insecure" | "silenced"} MediaProblem `denied`: by the user, the browser or the system.
 *   `missing`: there is none. `busy`: another program has it, or it is broken. `insecure`: the page came over plain HTTP.
 *   `silenced`: it is there, and the system or a switch on it keeps it silent.
 *
 * @typedef {object} InputWish Which device it should be; without any: the one that the system prefers.
 * @property {string} [id]
 * @property {boolean} [exactly] that one or none
 * @property {"user" | "environment"} [facing] of a telephone's cameras
 *
 * @typedef {Record<InputKind, MediaProblem | null>} InputProblems
 */
import { audioConstraints } from "./audiomode.js";

/** There is no such microphone, camera or screen. */
export class MediaUnavailable extends Error {
  /**
   * @param {InputKind | "screen"} device
   * @param {MediaProblem} problem
   */
  constructor(device, problem) {
    super(`${device}: ${problem}`);
    this.device = device;
    this.problem = problem;
  }
}

/** @type {MediaTrackConstraints} Ideals, never demands: a camera that cannot do it gives what it has. */
const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };

/** @type {Record<string, MediaProblem>} by the name of the DOMException (Media Capture and Streams, section 10.2) */
const PROBLEMS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
  AbortError: "busy",
};

/**
 * What a call of this kind sends, as far as it can be had. If one of the two devices stands in the way of both, the other is
 * opened alone; the user is not asked again about what was just refused.
 *
 * @param {import("../model.js").CallKind} kind
 * @param {Partial<Record<InputKind, string>>} chosen ids of the devices that the user prefers
 * @returns {Promise<{tracks: MediaStreamTrack[], problems: InputProblems}>}
 */
export async function openMedia(kind, chosen) {
  /** @type {InputKind[]} */
  const inputs = kind === "voice" ? ["microphone"] : ["microphone", "camera"];
  /** @type {InputProblems} */
  const problems = { microphone: null, camera: null };
  const audio = audioOf({ id: chosen.microphone });
  const video = inputs.includes("camera") && videoOf({ id: chosen.camera });
  try {
    const stream = await capture("microphone", video ? { audio, video } : { audio });
    return { tracks: stream.getTracks(), problems };
  } catch (error) {
    if (!(error instanceof MediaUnavailable)) throw error;
    for (const input of inputs) problems[input] = error.problem;
    if (inputs.length === 1 || error.problem === "insecure") return { tracks: [], problems };
  }
  const tracks = [];
  const states = problems.microphone === "denied" ? await Promise.all(inputs.map(permission)) : [];
  // Neither is forbidden for good: the answer to the browser's question was no.
  const refused = states.length > 0 && states.every((state) => state === "prompt");
  for (const [index, input] of inputs.entries()) {
    if (refused || states[index] === "denied") continue;
    try {
      tracks.push(await openInput(input, { id: chosen[input] }));
      problems[input] = null;
    } catch (error) {
      if (!(error instanceof MediaUnavailable)) throw error;
      problems[input] = error.problem;
    }
  }
  return { tracks, problems };
}

/**
 * One device.
 *
 * @param {InputKind} input
 * @param {InputWish} [wish]
 * @returns {Promise<MediaStreamTrack>}
 * @throws {MediaUnavailable}
 */
export async function openInput(input, wish = {}) {
  const constraints = input === "microphone" ? { audio: audioOf(wish) } : { video: videoOf(wish) };
  return (await capture(input, constraints)).getTracks()[0];
}

/** Whether this browser can share its screen at all: telephones cannot. */
export function canShareScreen() {
  return typeof navigator.mediaDevices?.getDisplayMedia === "function";
}

/**
 * What a screen plays: music and speech of a film, as they are. The own page's sound is left out, or the other party would hear itself.
 */
const SCREEN_AUDIO = {
  echoCancellation: false,
  noiseSuppression: false,
  autoGainControl: false,
  suppressLocalAudioPlayback: false,
  restrictOwnAudio: true,
};

/**
 * The screen, a window or a tab, with its sound where the browser gives that: the user picks.
 *
 * @returns {Promise<{video: MediaStreamTrack, audio: MediaStreamTrack | null} | null>} null: the user thought better of it
 * @throws {MediaUnavailable}
 */
export async function openScreen() {
  let stream;
  try {
    const video = { frameRate: { ideal: 15, max: 30 } };
    /** @type {any} newer than what TypeScript knows (Screen Capture, section 5.4) */
    const wanted = { video, audio: SCREEN_AUDIO, systemAudio: "include", windowAudio: "system", selfBrowserSurface: "exclude" };
    stream = await navigator.mediaDevices.getDisplayMedia(wanted);
  } catch (error) {
    if (wasCancelled(error)) return null;
    throw new MediaUnavailable("screen", problemOf(error));
  }
  const [[video], [audio = null]] = [stream.getVideoTracks(), stream.getAudioTracks()];
  video.contentHint = "detail"; // letters are to be read: sharp before smooth
  if (audio) audio.contentHint = "music";
  return { video, audio };
}

/**
 * Browsers use one name for a user who closes the question and for a system or a surrounding page that forbids sharing; Chromium
 * and WebKit tell the latter in words ("Permission denied by system", "… disallowed by permissions policy").
 *
 * @param {unknown} error
 */
function wasCancelled(error) {
  return error instanceof DOMException && error.name === "NotAllowedError" && !/system|policy/i.test(error.message);
}

/** @param {MediaStream | null} stream */
export function stop(stream) {
  stream?.getTracks().forEach((track) => track.stop());
}

/**
 * @param {InputWish} wish
 * @returns {MediaTrackConstraints}
 */
function audioOf(wish) {
  return { ...audioConstraints(), ...deviceOf(wish) };
}

/**
 * @param {InputWish} wish
 * @returns {MediaTrackConstraints}
 */
function videoOf(wish) {
  if (wish.facing) return { ...VIDEO, facingMode: { exact: wish.facing } };
  return wish.id ? { ...VIDEO, ...deviceOf(wish) } : { ...VIDEO, facingMode: "user" };
}

/**
 * @param {InputWish} wish
 * @returns {MediaTrackConstraints}
 */
function deviceOf({ id, exactly }) {
  if (!id) return {};
  return { deviceId: exactly ? { exact: id } : { ideal: id } };
}

/**
 * @param {InputKind} input
 * @returns {Promise<PermissionState | null>} null: the browser does not tell
 */
async function permission(input) {
  try {
    return (await navigator.permissions.query({ name: /** @type {any} */ (input) })).state;
  } catch {
    return null;
  }
}

/**
 * @param {InputKind} input
 * @param {MediaStreamConstraints} constraints
 * @returns {Promise<MediaStream>}
 */
async function capture(input, constraints) {
  // Browsers hide the interface from pages that came over plain HTTP, except from this very machine.
  if (!navigator.mediaDevices?.getUserMedia) throw new MediaUnavailable(input, "insecure");
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (error) {
    throw new MediaUnavailable(input, problemOf(error));
  }
}

/**
 * @param {unknown} error
 * @returns {MediaProblem}
 */
function problemOf(error) {
  return PROBLEMS[error instanceof DOMException ? error.name : ""] ?? "busy";
}

/** Asking the browser for microphone, camera and screen. No DOM, no protocol. */

/**
 * @typedef {"denied" | "missing" | "busy" | "insecure"} MediaProblem
 */

/** There is no microphone for this call (or, from `openCamera` and `openScreen`, no camera or screen). */
export class MediaUnavailable extends Error {
  /** @param {MediaProblem} problem */
  constructor(problem) {
    super(`media: ${problem}`);
    this.problem = problem;
  }
}

/** @type {MediaTrackConstraints} */
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
/** @type {MediaTrackConstraints} Ideals, never demands: a camera that cannot do it gives what it has. */
const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 }, facingMode: "user" };

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
 * What a call of this kind sends. A video call without a usable camera is still worth having, so it gets the microphone alone;
 * a refusal by the user is respected as it is.
 *
 * @param {import("../model.js").CallKind} kind
 * @returns {Promise<MediaStream>}
 * @throws {MediaUnavailable}
 */
export async function openMedia(kind) {
  if (kind === "voice") return capture({ audio: AUDIO });
  try {
    return await capture({ audio: AUDIO, video: VIDEO });
  } catch (error) {
    const hopeless = error instanceof MediaUnavailable && ["denied", "insecure"].includes(error.problem);
    if (hopeless) throw error;
    return capture({ audio: AUDIO });
  }
}

/**
 * The camera alone: it was off, and is wanted again.
 *
 * @returns {Promise<MediaStreamTrack>}
 * @throws {MediaUnavailable}
 */
export async function openCamera() {
  const stream = await capture({ video: VIDEO });
  return stream.getVideoTracks()[0];
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
    stream = await ask(() => navigator.mediaDevices.getDisplayMedia(wanted));
  } catch (error) {
    if (error instanceof MediaUnavailable && error.problem === "denied") return null;
    throw error;
  }
  const [[video], [audio = null]] = [stream.getVideoTracks(), stream.getAudioTracks()];
  video.contentHint = "detail"; // letters are to be read: sharp before smooth
  if (audio) audio.contentHint = "music";
  return { video, audio };
}

/** @param {MediaStream | null} stream */
export function stop(stream) {
  stream?.getTracks().forEach((track) => track.stop());
}

/**
 * @param {MediaStreamConstraints} constraints
 * @returns {Promise<MediaStream>}
 */
async function capture(constraints) {
  // Browsers hide the interface from pages that came over plain HTTP, except from this very machine.
  if (!navigator.mediaDevices?.getUserMedia) throw new MediaUnavailable("insecure");
  return ask(() => navigator.mediaDevices.getUserMedia(constraints));
}

/**
 * @param {() => Promise<MediaStream>} open
 * @returns {Promise<MediaStream>}
 */
async function ask(open) {
  try {
    return await open();
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    throw new MediaUnavailable(PROBLEMS[name] ?? "busy");
  }
}

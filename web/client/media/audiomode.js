/**
 * How the microphone is heard: with the browser's noise suppression or without, or as music. Remembered in this browser. No DOM.
 *
 * @typedef {"speech" | "plain" | "music"} AudioMode `speech`: noise is suppressed. `plain`: it is not, as it takes quiet voices, claps and
 *   instruments with it. `music`: 48 kHz in stereo, with no processing at all, for those who wear headphones.
 */

const KEY = "call-relay.audio-mode";
/** @type {AudioMode[]} */
const MODES = ["speech", "plain", "music"];

/** @type {Record<AudioMode, MediaTrackConstraints>} Ideals, never demands: a microphone that cannot do it gives what it has. */
const CONSTRAINTS = {
  speech: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  plain: { echoCancellation: true, noiseSuppression: false, autoGainControl: true },
  music: {
    echoCancellation: false,
    noiseSuppression: false,
    autoGainControl: false,
    channelCount: { ideal: 2 },
    sampleRate: { ideal: 48_000 },
  },
};

/** @type {AudioMode | null} what was chosen where storage is forbidden */
let chosen = null;

/** @returns {AudioMode} */
export function audioMode() {
  try {
    const kept = /** @type {AudioMode} */ (localStorage.getItem(KEY));
    if (MODES.includes(kept)) return kept;
  } catch {
    // It holds until the page goes.
  }
  return chosen ?? "speech";
}

/** @param {AudioMode} mode */
export function chooseAudioMode(mode) {
  chosen = mode;
  try {
    localStorage.setItem(KEY, mode);
  } catch {
    // as above
  }
}

/** @returns {MediaTrackConstraints} of the microphone, in the mode that is chosen */
export function audioConstraints() {
  return CONSTRAINTS[audioMode()];
}

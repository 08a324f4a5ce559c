/**
 * Notices what becomes of the microphone by itself: the system silences it, or one that could not be had can be had now. No DOM.
 *
 * @typedef {import("./media.js").MediaProblem} MediaProblem
 *
 * @typedef {object} Watched
 * @property {() => MediaProblem | null} problem why there is no microphone now; null: there is one
 * @property {(track: MediaStreamTrack) => void} silenced the system has silenced it, or lets it be heard again
 * @property {() => Promise<void>} restore tries again to have it
 */

/** Milliseconds of a microphone that the system keeps silent, until that counts. */
const SILENCE = 1_500;

export class MicrophoneWatch {
  #watched;
  #silence = 0;
  #devicesChanged = () => this.#changed();

  /** @param {Watched} watched */
  constructor(watched) {
    this.#watched = watched;
  }

  /** The browser was asked for a microphone: from now on it may come and go. */
  async begin() {
    navigator.mediaDevices?.addEventListener?.("devicechange", this.#devicesChanged);
    // The user may allow in the browser's own settings what was blocked.
    const status = await navigator.permissions?.query({ name: /** @type {any} */ ("microphone") }).catch(() => null);
    status?.addEventListener("change", () => {
      if (status.state === "granted" && this.#watched.problem() === "denied") this.#retry();
    });
  }

  /** @param {MediaStreamTrack} track the microphone from now on */
  listen(track) {
    track.onmute = track.onunmute = () => {
      clearTimeout(this.#silence);
      this.#silence = setTimeout(() => this.#watched.silenced(track), track.muted ? SILENCE : 0);
    };
  }

  close() {
    clearTimeout(this.#silence);
    navigator.mediaDevices?.removeEventListener?.("devicechange", this.#devicesChanged);
  }

  /** Something was plugged in or out, perhaps the microphone that is wanted. */
  #changed() {
    const problem = this.#watched.problem();
    if (problem === "missing" || problem === "busy") this.#retry();
  }

  #retry() {
    void this.#watched.restore().catch(() => {}); // `problem` says so
  }
}

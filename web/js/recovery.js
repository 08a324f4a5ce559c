/**
 * Watches the path to the relay, and says when it should be looked for anew (an ICE restart). No DOM.
 */

/** Milliseconds that a disturbed path may take to recover by itself: most do. */
const PATIENCE = 2_500;
/** Milliseconds until one restart counts as failed, and the next may try. */
const PERIOD = 6_000;

export class Recovery {
  #restart;
  #timer = 0;
  /** @type {RTCPeerConnection | null} */
  #peerConnection = null;
  #lastRestart = -Infinity;

  /** @param {() => boolean} restart asks for a restart; whether that was possible */
  constructor(restart) {
    this.#restart = restart;
  }

  /** @param {RTCPeerConnection | null} peerConnection call it whenever its `connectionState` changed; null: none any more */
  watch(peerConnection) {
    this.#peerConnection = peerConnection;
    clearTimeout(this.#timer);
    const state = peerConnection?.connectionState;
    if (state === "failed") this.#now();
    else if (state === "disconnected") this.#timer = setTimeout(() => this.#now(), PATIENCE);
  }

  /** The device has changed its network, or is back on one: the old path is likely dead, and waiting will not wake it. */
  networkChanged() {
    const state = this.#peerConnection?.connectionState;
    if (state && state !== "new" && state !== "closed") this.#now();
  }

  /** We can reach the server again. */
  serverIsBack() {
    const state = this.#peerConnection?.connectionState;
    if (state === "failed" || state === "disconnected") this.#now();
  }

  #now() {
    clearTimeout(this.#timer);
    const since = performance.now() - this.#lastRestart;
    if (since < PERIOD) {
      this.#timer = setTimeout(() => this.#again(), PERIOD - since);
      return;
    }
    if (this.#restart()) this.#lastRestart = performance.now();
    this.#timer = setTimeout(() => this.#again(), PERIOD);
  }

  #again() {
    const state = this.#peerConnection?.connectionState;
    if (state === "failed" || state === "disconnected") this.#now();
  }
}

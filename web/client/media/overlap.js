/**
 * Two peer connections of one call for a moment: the call goes on at another server, and media flows on the older one until it does
 * on the newer one. No DOM.
 */

/** Milliseconds between two looks at the newer one. */
const PERIOD = 100;
/** Milliseconds that the newer one may be connected and bring nothing: the other party may have nothing to send. */
const PATIENCE = 8_000;

export class Overlap {
  #older;
  #newer;
  #sees;
  #onOver;
  /** @type {number | null} when the newer one was connected */
  #connectedAt = null;
  #timer;

  /**
   * @param {RTCPeerConnection} older by which media comes
   * @param {RTCPeerConnection} newer
   * @param {boolean} sees whether video is coming, so that it should on the newer one, too
   * @param {(seamless: boolean) => void} onOver called once, when the older one is closed: whether all has come on the newer one
   */
  constructor(older, newer, sees, onOver) {
    this.#older = older;
    this.#newer = newer;
    this.#sees = sees;
    this.#onOver = onOver;
    this.#timer = setInterval(() => void this.#look(), PERIOD);
  }

  get older() {
    return this.#older;
  }

  /** The older one stays: the newer one makes way for the next. */
  release() {
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  /** Media comes by the newer one from now on, if by any. @param {boolean} [seamless] all of it does already */
  end(seamless = false) {
    if (this.#timer === 0) return;
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#older.close();
    this.#onOver(seamless);
  }

  async #look() {
    const [older, newer] = [this.#older.connectionState, this.#newer.connectionState];
    if (older !== "connected" || newer === "failed" || newer === "closed") return this.end();
    if (newer !== "connected") return;
    this.#connectedAt ??= performance.now();
    if (performance.now() - this.#connectedAt > PATIENCE) return this.end();
    const report = await this.#newer.getStats().catch(() => null); // closed meanwhile
    if (report && this.#hasAll(report)) this.end(true);
  }

  /** @param {RTCStatsReport} report */
  #hasAll(report) {
    let [heard, seen] = [false, !this.#sees];
    report.forEach((entry) => {
      if (entry.type !== "inbound-rtp") return;
      if (entry.kind === "audio" && entry.packetsReceived > 0) heard = true;
      if (entry.kind === "video" && entry.framesDecoded > 0) seen = true;
    });
    return heard && seen;
  }
}

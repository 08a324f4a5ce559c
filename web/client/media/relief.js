/**
 * Says when a line is too poor for video, so that the audio has all of it: first it offers to keep the video back, then it does so,
 * and lets it go again when the line has been good for a while. Sees no call and no clock. No DOM.
 *
 * Each step takes longer than the one before it, so that a line on the edge does not make the video come and go.
 *
 * @typedef {"sending" | "offered" | "paused" | "good"} VideoState `offered`: it would help to keep the video back. `paused`: it
 *   is kept back. `good`: it is, because the user wanted that, and the line is good enough for it now.
 *
 * @typedef {object} LineView
 * @property {0 | 1 | 2 | 3 | 4 | null} bars of our own line; 0: it is dead; null: unknown, so that nothing is decided
 * @property {boolean} sends whether the user has the camera on
 */

/** Bars up to which a line is poor, very poor, and from which it is good. */
const POOR = 2;
const VERY_POOR = 1;
const GOOD = 3;

/** Milliseconds of a poor line until the user is told: two reports of the relay in a row. */
const TELL_AFTER = 3_000;
/** Milliseconds of a line that is not poor until that is withdrawn. */
const FORGET_AFTER = 5_000;
/** Milliseconds of a poor line until it is offered to keep the video back. */
const OFFER_AFTER = 6_000;
/** Milliseconds of a very poor line until the video is kept back. */
const PAUSE_AFTER = 7_000;
/** Milliseconds of a good line until the video comes back; each time it did not last, twice as long. */
const FIRST_RETURN = 12_000;
const LONGEST_RETURN = 120_000;
/** Milliseconds for which the video has to last so that its return counts as a success. */
const LASTING = 60_000;
/** Milliseconds for which an offer is not made again. */
const DECLINED_FOR = 180_000;

export class Relief {
  /** @type {VideoState} */
  video = "sending";
  /** Whether our line has been poor for long enough to say so. */
  isPoor = false;
  /** Whether the video was kept back by itself, not by the user. */
  byItself = false;
  /** When the video came back by itself; the user should hear of it. */
  returnedAt = -Infinity;

  /** Since when the line has been so, without a break; null: it is not. @type {Record<"poor" | "veryPoor" | "fair" | "good", number | null>} */
  #since = { poor: null, veryPoor: null, fair: null, good: null };
  #returnAfter = FIRST_RETURN;
  #declinedAt = -Infinity;
  /** Whether the user wants to send video whatever the line is like. */
  #insists = false;

  /** Whether video is to be kept back. */
  get isPaused() {
    return this.video === "paused" || this.video === "good";
  }

  /**
   * @param {LineView} line
   * @param {number} now milliseconds, as all times here
   */
  look({ bars, sends }, now) {
    if (bars === null) {
      // After a break, the first report of the relay is 2 s away: until then the line is not what it was before.
      if (!sends) this.video = "sending";
      return;
    }
    this.#measure(bars, now);
    if (this.#lasts("poor", TELL_AFTER, now)) this.isPoor = true;
    if (this.#lasts("fair", FORGET_AFTER, now)) this.isPoor = false;
    this.video = sends ? this.#videoNow(bars, now) : "sending";
  }

  /** The user wants the video kept back. */
  pause() {
    if (this.isPaused) return;
    this.video = "paused";
    this.byItself = false;
  }

  /** The user wants the video to be sent, whatever the line is like. @param {number} now */
  send(now) {
    this.#insists = true;
    this.#declinedAt = now;
    this.video = "sending";
  }

  /** The user has read the offer. @param {number} now */
  decline(now) {
    this.#declinedAt = now;
    if (this.video === "offered") this.video = "sending";
  }

  /** @param {number} bars @param {number} now @returns {VideoState} */
  #videoNow(bars, now) {
    if (this.isPaused) return this.#pausedNow(now);
    if (bars !== 0 && !this.#insists && this.#lasts("veryPoor", PAUSE_AFTER, now)) {
      const lasted = now - this.returnedAt >= LASTING;
      this.#returnAfter = lasted ? FIRST_RETURN : Math.min(LONGEST_RETURN, 2 * this.#returnAfter);
      this.byItself = true;
      return "paused";
    }
    const offers = this.#lasts("poor", OFFER_AFTER, now) && now - this.#declinedAt >= DECLINED_FOR;
    return offers || (this.video === "offered" && this.isPoor) ? "offered" : "sending";
  }

  /** @param {number} now @returns {VideoState} */
  #pausedNow(now) {
    if (!this.#lasts("good", this.#returnAfter, now)) return this.video === "good" && this.isPoor ? "paused" : this.video;
    if (!this.byItself) return "good"; // a camera that the user has turned off does not come back by itself
    this.returnedAt = now;
    return "sending";
  }

  /** @param {number} bars @param {number} now */
  #measure(bars, now) {
    const is = { poor: bars <= POOR, veryPoor: bars <= VERY_POOR, fair: bars > POOR, good: bars >= GOOD };
    for (const name of /** @type {(keyof typeof is)[]} */ (Object.keys(is))) {
      this.#since[name] = is[name] ? (this.#since[name] ?? now) : null;
    }
  }

  /** @param {"poor" | "veryPoor" | "fair" | "good"} name @param {number} time @param {number} now */
  #lasts(name, time, now) {
    const since = this.#since[name];
    return since !== null && now - since >= time;
  }
}

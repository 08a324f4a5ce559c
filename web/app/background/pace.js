/**
 * How often a frame is drawn and how large, by how long that takes, so that a slow device still has a smooth call: first smaller frames,
 * then fewer. Sees no clock.
 */

/** Milliseconds from one frame to the next at best. */
const PERIOD = 1_000 / 30;
/** The part of the time for a frame that is left to the call. */
const LEFT = 0.15;
/** Lines of a frame, at most. */
const HEIGHTS = [720, 540, 360];
/** Milliseconds for a frame from which it is to be smaller, and up to which it may be larger again. */
const LONG = 48;
const SHORT = 16;
/** Milliseconds for a frame from which the device cannot keep up, and up to which it can: 7 and 12 frames per second. */
const TOO_LONG = 140;
const FINE = 80;
/** Milliseconds for which that has to last. */
const SMALLER_AFTER = 1_500;
const LARGER_AFTER = 20_000;
const SLOW_AFTER = 8_000;
/** The weight of a frame in the mean. */
const WEIGHT = 0.1;

export class Pace {
  /** Whether the device cannot keep up. */
  isSlow = false;
  #step = 0;
  /** @type {number | null} milliseconds for a frame */
  #mean = null;
  #spent = 0;
  /** Since when the mean has been so, without a break; null: it is not. @type {Record<"long" | "short" | "tooLong" | "fine", number | null>} */
  #since = { long: null, short: null, tooLong: null, fine: null };
  /** How often frames have become smaller: each time it takes longer until larger ones are tried. */
  #lowered = 0;

  /** Lines of the next frame, at most. */
  get height() {
    return HEIGHTS[this.#step];
  }

  /** Milliseconds until the next frame is asked for. */
  get rest() {
    return Math.max(PERIOD - this.#spent, LEFT * this.#spent);
  }

  /**
   * @param {number} spent milliseconds from asking for a frame until it was drawn
   * @param {number} now milliseconds
   */
  took(spent, now) {
    this.#spent = spent;
    // One frame says little: a second of a busy device is not the device.
    const mean = (this.#mean = this.#mean === null ? spent : this.#mean + WEIGHT * (spent - this.#mean));
    const is = { long: mean > LONG, short: mean < SHORT, tooLong: mean > TOO_LONG, fine: mean < FINE };
    for (const name of /** @type {(keyof typeof is)[]} */ (Object.keys(is))) {
      this.#since[name] = is[name] ? (this.#since[name] ?? now) : null;
    }
    if (this.#lasts("long", SMALLER_AFTER, now) && this.#step < HEIGHTS.length - 1) this.#resize(1);
    else if (this.#lasts("short", LARGER_AFTER * 2 ** this.#lowered, now) && this.#step > 0) this.#resize(-1);
    if (this.#lasts("tooLong", SLOW_AFTER, now)) this.isSlow = true;
    if (this.#lasts("fine", SLOW_AFTER, now)) this.isSlow = false;
  }

  /** @param {1 | -1} by */
  #resize(by) {
    this.#step += by;
    if (by > 0) this.#lowered += 1;
    this.#mean = null;
    this.#since.long = this.#since.short = null;
  }

  /** @param {"long" | "short" | "tooLong" | "fine"} name @param {number} time @param {number} now */
  #lasts(name, time, now) {
    const since = this.#since[name];
    return since !== null && now - since >= time;
  }
}

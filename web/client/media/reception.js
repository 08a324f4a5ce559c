/**
 * Says what arrives from the other party: whether the line is dead, and whether there is a picture. Sees no peer connection and
 * no clock: `pathwatch.js` gives it what it observes. No DOM.
 *
 * A line is dead when nothing at all arrives: neither media, nor reports about ours, nor answers to connectivity checks. A party
 * without microphone and camera sends no media either, so silence alone proves nothing; but as long as we send, its browser
 * reports on that many times a second.
 *
 * @typedef {"unknown" | "live" | "silent" | "dead"} Line `silent`: it works, and no media comes.
 * @typedef {"none" | "flowing" | "stalled" | "paused"} Picture `stalled`: for a moment, while audio goes on; the last frame is
 *   worth keeping. `paused`: for longer.
 *
 * @typedef {object} Arrivals All are counters, of which only the changes count.
 * @property {number} packets of audio and video received
 * @property {number} audio packets of audio alone
 * @property {number} anything whatever has been received on the path, media or not
 * @property {number} frames of the other party's camera
 * @property {number} sent packets of audio and video sent
 *
 * @typedef {Arrivals & {showsChecks: boolean}} Seen `showsChecks`: whether this browser counts connectivity checks
 */

/** Looks in a row that must find new packets, before it means something that none come. */
const STEADY = 4;
/** Milliseconds of silence on the whole path until it is dead, while reports about our media should come. */
const DEAD_AFTER = 2_000;
/** The same when only connectivity checks can show it: browsers make them every 2.5 to 6 s (RFC 7675 section 5.1). */
const DEAD_AFTER_CHECKS = 9_000;
/** Milliseconds by which something must be younger than the last media to show that only media has stopped. */
const YOUNGER = 500;
/** Milliseconds without a frame, while audio comes, until the picture counts as stalled. */
const STALLED_AFTER = 1_000;
/** Milliseconds until it counts as paused. */
const PAUSED_AFTER = 3_000;
/** Frames after which a picture that had stalled is there again: one alone would only flash up. */
const RECOVERED = 3;

export class Reception {
  /** @type {Line} */
  line = "unknown";
  /** @type {Picture} `none` before the first frame */
  picture = "none";

  /** @type {Seen | null} */
  #last = null;
  #steadyLooks = 0;
  /** Whether media has come steadily, so that it should go on to. */
  #flowing = false;
  #held = false;
  /** When each was last seen to grow. */
  #at = { packets: -Infinity, audio: -Infinity, anything: -Infinity, frames: -Infinity, sent: -Infinity };
  /** The count of frames when the picture stalled. */
  #stalledWith = 0;

  /**
   * @param {Seen} seen
   * @param {number} now milliseconds, as all times here
   * @returns {boolean} whether `line` or `picture` has changed
   */
  look(seen, now) {
    const before = [this.line, this.picture];
    const last = this.#last;
    this.#last = seen;
    for (const name of /** @type {(keyof Arrivals)[]} */ (Object.keys(this.#at))) {
      if (last ? last[name] !== seen[name] : seen[name] > 0) this.#at[name] = now;
    }
    if (this.#at.packets === now && !this.#held) {
      if (++this.#steadyLooks >= STEADY) this.#flowing = true;
    } else {
      this.#steadyLooks = 0;
    }
    this.line = this.#lineNow(now);
    this.picture = this.#pictureNow(seen.frames, now);
    return before[0] !== this.line || before[1] !== this.picture;
  }

  /** Watch another peer connection instead. The picture is the old one until that has one of its own. */
  reset() {
    this.#last = null;
    this.#stalledWith = 0;
    this.line = "unknown";
    this.#rest();
  }

  /** The other party's camera comes by another track, which counts its frames anew. */
  newPicture() {
    if (this.#last) this.#last = { ...this.#last, frames: 0 };
    this.picture = "none";
    this.#stalledWith = 0;
  }

  /** @param {boolean} held nothing is to be expected */
  hold(held) {
    if (this.#held === held) return;
    this.#held = held;
    this.#rest();
  }

  #rest() {
    this.#flowing = false;
    this.#steadyLooks = 0;
  }

  /** @param {number} now @returns {Line} */
  #lineNow(now) {
    const { packets, anything, sent } = this.#at;
    if (packets === now) return "live";
    if (!this.#flowing) return anything === now ? "live" : this.line;
    const worksWithout = anything - packets >= YOUNGER;
    const reported = now - sent < YOUNGER && !worksWithout;
    const patience = reported ? DEAD_AFTER : this.#last?.showsChecks ? DEAD_AFTER_CHECKS : Infinity;
    if (now - anything >= patience) return "dead";
    return now - packets >= DEAD_AFTER && worksWithout ? "silent" : this.line;
  }

  /** @param {number} frames @param {number} now @returns {Picture} */
  #pictureNow(frames, now) {
    if (frames === 0) return this.picture;
    const missing = now - this.#at.frames;
    if (this.#at.frames === now) {
      const isThere = this.picture === "none" || this.picture === "flowing" || frames >= this.#stalledWith + RECOVERED;
      return isThere ? "flowing" : this.picture;
    }
    if (missing >= PAUSED_AFTER) return this.#stall(frames, "paused");
    if (missing >= STALLED_AFTER && now - this.#at.audio < STALLED_AFTER) return this.#stall(frames, "stalled");
    return this.picture;
  }

  /** @param {number} frames @param {"stalled" | "paused"} picture @returns {Picture} */
  #stall(frames, picture) {
    this.#stalledWith = frames;
    return this.picture === "paused" ? "paused" : picture;
  }
}

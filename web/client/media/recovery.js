/**
 * Says when the path to the relay should be renewed (an ICE restart): because it is dead, or because there may be a better
 * one. Sees no peer connection and no clock: `web/js/pathwatch.js` gives it what it observes. No DOM.
 *
 * Browsers are slow to notice: Chromium says `disconnected` after 5 s, and when an interface is replaced by another, none of
 * its events tells the page. But audio comes fifty times a second, so half a second without any is suspicious.
 *
 * @typedef {object} Sight
 * @property {RTCPeerConnectionState} state
 * @property {number} packets of audio and video received so far
 * @property {boolean} roundabout whether media takes another path than plain UDP: TCP or TURN
 * @property {string} credentials the relay's, for ICE: a restart has changed them
 *
 * @typedef {object} RecoverySetup
 * @property {() => boolean} restart asks the server for a restart; whether that could be sent
 * @property {() => void} probe sees whether the server can be reached at all; `serverIsBack` follows if it had to reconnect
 */

/** Milliseconds between two looks. */
export const PERIOD = 250;

/** Looks in a row that must find new packets, before it means something that none come. */
const STEADY = 4;
/** Milliseconds of silence after which we see whether the server still hears us. */
const SUSPICION = 500;
/** Milliseconds until that is done again in the same silence. */
const PROBE_PERIOD = 5_000;
/** Milliseconds of silence, or of a disturbed path, after which we look for another although the server hears us. */
const PATIENCE = 2_000;
/** Milliseconds until a restart that did not help is followed by another; each further pause is twice the one before. */
const FIRST_PAUSE = 6_000;
const LONGEST_PAUSE = 60_000;
/** Milliseconds until the server is asked again: it refuses while another offer is in progress. */
const ASKING_PERIOD = 1_000;
/** The same three for a path that works and might be better. */
const FIRST_ATTEMPT = 30_000;
const RAREST_ATTEMPT = 600_000;

export class Recovery {
  #setup;
  /** @type {Sight | null} */
  #sight = null;
  /** When the last packets came. */
  #heardAt = 0;
  #steadyLooks = 0;
  /** Whether packets have come steadily, so that they should go on to. */
  #flowing = false;
  #held = false;
  /** Since when the state has not been `connected`. */
  #disturbedAt = 0;
  #probedAt = -Infinity;
  /** @type {"lost" | "changed" | null} why a restart is due that has not happened: the path is dead, or there may be a better one */
  #wanted = null;
  #askedAt = -Infinity;
  /** When there was a restart after which media has not flowed yet. */
  #restartedAt = -Infinity;
  #pause = FIRST_PAUSE;
  /** @type {number | null} when to try for a better path; null: this is the best kind */
  #betterAt = null;
  #betterPause = FIRST_ATTEMPT;

  /** @param {RecoverySetup} setup */
  constructor(setup) {
    this.#setup = setup;
  }

  /**
   * @param {Sight} sight
   * @param {number} now milliseconds, as all times here
   */
  look(sight, now) {
    const before = this.#sight;
    this.#sight = sight;
    if (sight.state === "connected" || before?.state === "connected") this.#disturbedAt = now;
    if (before && before.credentials !== sight.credentials) this.#restarted(now);
    this.#listen(before?.packets ?? 0, now);
    if (this.#isLost(now) && now - this.#restartedAt >= this.#pause) this.#wanted ??= "lost";
    this.#lookForBetter(now);
    this.#act(now);
  }

  /** Watch another peer connection instead. */
  reset() {
    this.#sight = null;
    this.#wanted = null;
    this.#flowing = false;
    this.#steadyLooks = 0;
  }

  /** @param {boolean} held nothing is to be expected */
  hold(held) {
    if (this.#held === held) return;
    this.#held = held;
    this.#flowing = false;
    this.#steadyLooks = 0;
  }

  /**
   * The device has changed its network, or is back on one: the old path is likely dead, or there is a better one.
   *
   * @param {number} now
   */
  networkChanged(now) {
    if (!this.#sight) return;
    this.#wanted = "changed";
    this.#betterPause = FIRST_ATTEMPT;
    this.#askedAt = -Infinity;
    this.#act(now);
  }

  /**
   * We can reach the server again.
   *
   * @param {number} now
   */
  serverIsBack(now) {
    const state = this.#sight?.state;
    if (state === "failed" || state === "disconnected" || this.#silence(now) >= SUSPICION) this.#wanted ??= "lost";
    this.#askedAt = -Infinity; // what was sent before may be lost
    this.#act(now);
  }

  /** @param {number} now */
  #silence(now) {
    return this.#flowing ? now - this.#heardAt : 0;
  }

  /**
   * @param {number} before packets
   * @param {number} now
   */
  #listen(before, now) {
    if (this.#sight?.packets === before || this.#held) {
      this.#steadyLooks = 0;
      return;
    }
    this.#heardAt = now;
    if (this.#wanted === "lost" && this.#sight?.state === "connected") this.#wanted = null;
    if (++this.#steadyLooks < STEADY) return;
    this.#flowing = true;
    this.#restartedAt = -Infinity; // whatever there was before, it helped
  }

  /** @param {number} now */
  #isLost(now) {
    const state = this.#sight?.state;
    if (state === "failed" || this.#silence(now) >= PATIENCE) return true;
    return state === "disconnected" && now - this.#disturbedAt >= PATIENCE;
  }

  /** @param {number} now */
  #restarted(now) {
    this.#pause = this.#restartedAt === -Infinity ? FIRST_PAUSE : Math.min(LONGEST_PAUSE, 2 * this.#pause);
    this.#restartedAt = now;
    this.#wanted = null;
  }

  /** @param {number} now */
  #lookForBetter(now) {
    if (!this.#sight?.roundabout) {
      this.#betterAt = null;
      this.#betterPause = FIRST_ATTEMPT;
    } else if (this.#betterAt === null) {
      this.#betterAt = now + this.#betterPause;
    } else if (now >= this.#betterAt) {
      this.#wanted = "changed";
      this.#betterPause = Math.min(RAREST_ATTEMPT, 2 * this.#betterPause);
      this.#betterAt = now + this.#betterPause;
    }
  }

  /** @param {number} now */
  #act(now) {
    // Each silence is its own: a machine that was busy for half a second says nothing of the network that goes away a second later.
    const isNew = this.#probedAt < this.#heardAt;
    if (this.#silence(now) >= SUSPICION && (isNew || now - this.#probedAt >= PROBE_PERIOD)) {
      this.#probedAt = now;
      this.#setup.probe();
    }
    if (this.#wanted && now - this.#askedAt >= ASKING_PERIOD && this.#setup.restart()) this.#askedAt = now;
  }
}

/**
 * Says whether a person talks, from how loud their microphone is: for those who talk and are muted. Sees no microphone and no
 * clock. No DOM.
 *
 * A room is never silent, and a fan may be as loud as a quiet voice. But a voice comes and goes, so the quietest moments of late
 * are the room.
 */

/** Loudness (root mean square, 0 to 1) below which nothing counts as a voice. */
const QUIET = 0.012;
/** How many times louder than the room a voice is. */
const VOICE = 3.5;
/** How fast the idea of the room follows what is heard, of the difference per second: down at once, up over seconds. */
const FALL = 6;
const RISE = 0.15;
/** Milliseconds of a voice, without those of breaks, that make it speech; a cough is shorter. */
const SPEECH = 400;
/** Milliseconds without a voice after which speech is over. */
const OVER_AFTER = 3_000;

export class MutedSpeech {
  /** Whether the user talks, or did a moment ago. */
  isSpeaking = false;
  #room = QUIET / VOICE;
  /** Milliseconds of voice of late. */
  #voiced = 0;
  #voicedAt = -Infinity;
  /** @type {number | null} */
  #lookedAt = null;

  /**
   * @param {number} level root mean square of the last moment, 0 to 1
   * @param {number} now milliseconds
   * @returns {boolean} whether `isSpeaking` has changed
   */
  look(level, now) {
    const before = this.isSpeaking;
    const time = this.#lookedAt === null ? 0 : Math.min(500, now - this.#lookedAt);
    this.#lookedAt = now;
    const isVoice = level >= Math.max(QUIET, VOICE * this.#room);
    const share = Math.min(1, ((level < this.#room ? FALL : RISE) * time) / 1000);
    this.#room += (level - this.#room) * share;
    this.#voiced = Math.max(0, Math.min(SPEECH, this.#voiced + (isVoice ? time : -time / 2)));
    if (isVoice) this.#voicedAt = now;
    if (this.#voiced >= SPEECH) this.isSpeaking = true;
    else if (now - this.#voicedAt >= OVER_AFTER) this.isSpeaking = false;
    return this.isSpeaking !== before;
  }

  /** Begin anew: the microphone is heard by the other party again, or is another one. */
  reset() {
    this.isSpeaking = false;
    this.#voiced = 0;
    this.#lookedAt = null;
  }
}

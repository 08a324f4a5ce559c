/**
 * How we answer an invitation, and do so again if the server that was to have the answer has died. No DOM.
 *
 * @typedef {import("../protocol.js").AboutCall} AboutCall
 * @typedef {import("../protocol.js").Answer} Answer
 * @typedef {import("../protocol.js").CallInvitation} CallInvitation
 */

/** Milliseconds in which a server that has our answer says so, after it has rung again. */
const CONFIRMATION_TIMEOUT = 1_000;

export class Answering {
  /** @type {AboutCall | null} our answer, as long as nothing shows that it has arrived */
  unconfirmed = null;
  #invitation;
  #join;
  #announce;
  #timer = 0;

  /**
   * @param {() => CallInvitation | null} invitation the latest one; null: the call is over
   * @param {(invitation: CallInvitation) => Promise<Answer>} join
   * @param {(message: AboutCall) => void} announce
   */
  constructor(invitation, join, announce) {
    this.#invitation = invitation;
    this.#join = join;
    this.#announce = announce;
  }

  /** @returns {Promise<boolean>} whether the call goes on */
  async answer() {
    for (;;) {
      const invitation = this.#invitation();
      if (!invitation) return false;
      const answer = await this.#join(invitation);
      const latest = this.#invitation();
      if (latest && latest !== invitation) continue; // it has rung again meanwhile
      if (!latest) return false;
      this.unconfirmed = { type: "call_answer", answer, can_show_recording: true };
      this.#announce(this.unconfirmed);
      return true;
    }
  }

  /**
   * It has rung again. If we had answered, that may have crossed our answer, and the server confirms it. Otherwise the answer was for a
   * server that has died, and the next one is to have another one for its own offer.
   *
   * @param {() => void} again
   */
  rang(again) {
    const { unconfirmed } = this;
    if (!unconfirmed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.unconfirmed === unconfirmed) again();
    }, CONFIRMATION_TIMEOUT);
  }

  close() {
    clearTimeout(this.#timer);
  }
}

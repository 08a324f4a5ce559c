/**
 * How a page comes into a call that goes on already: its own, after it was loaded anew, or one that another device of the user is in
 * and has to give away. The server makes the offer, and the answer comes from a new peer connection. No DOM.
 *
 * @typedef {import("../model.js").Outcome} Outcome
 * @typedef {import("../protocol.js").CallUpdate} CallUpdate
 * @typedef {import("../protocol.js").Offer} Offer
 */

/** @type {Record<string, Outcome>} what became of asking another device, by the reason of `call_rejoin_answer` */
const KEPT = { refused: "kept_elsewhere", expired: "unanswered_elsewhere" };

export class Rejoin {
  #send;
  #open;
  #join;
  /** Whether the next offer is for a new peer connection. */
  #awaited = false;
  /** @type {string | undefined} the offer that was for it */
  #offer;

  /**
   * @param {(message: import("../protocol.js").AboutCall) => boolean} send
   * @param {() => Promise<void>} open microphone and camera, as they were
   * @param {(offer: Offer, id: string | undefined) => Promise<void>} join answers an offer
   */
  constructor(send, open, join) {
    this.#send = send;
    this.#open = open;
    this.#join = join;
  }

  /**
   * Ask for the call.
   *
   * @param {boolean} [move] of another device, which is asked in turn
   * @returns {boolean} whether it was asked for now
   */
  ask(move = false) {
    if (this.#awaited) return false;
    this.#awaited = this.#send({ type: "call_rejoin", can_show_recording: true, ...(move ? { move } : {}) });
    return this.#awaited;
  }

  /** What was asked on a connection that is lost is not answered on the next one. */
  forget() {
    this.#awaited = false;
  }

  /** Whether this is the offer that was asked for. @param {CallUpdate} message */
  awaits({ offer }) {
    return this.#awaited && offer !== undefined;
  }

  /** Whether the offer that was asked for has expired: a camera took too long to open, say. @param {CallUpdate} message */
  wasMissed({ expired, update_id: id }) {
    return expired === true && id !== undefined && id === this.#offer;
  }

  /** @param {CallUpdate} message with the offer that was asked for */
  async answer({ offer, update_id: id }) {
    this.#offer = id;
    await this.#open();
    if (!offer || !this.#awaited || this.#offer !== id) return; // another one has come meanwhile
    this.#awaited = false;
    await this.#join(offer, id);
  }
}

/**
 * What became of asking another device for its call.
 *
 * @param {string} reason of the server; one that is not known here is a later addition
 * @returns {Outcome}
 */
export function keptOutcome(reason) {
  return KEPT[reason] ?? "kept_elsewhere";
}

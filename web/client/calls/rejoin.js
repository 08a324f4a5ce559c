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
  /** Whether there is nothing to ask for: the server was asked, on the connection of now, or its offer is being answered. */
  #asked = false;
  /** @type {CallUpdate | null} the latest offer of a new peer connection */
  #latest = null;
  /** Whether the call can only be had by a new peer connection: no answer was sent since it was asked for, or offered. */
  isWanted = false;

  /**
   * @param {(message: import("../protocol.js").AboutCall) => boolean} send
   * @param {() => Promise<void>} open microphone and camera, as they were
   * @param {(offer: Offer, id: string | undefined) => Promise<boolean>} join answers an offer by a new peer connection; whether the
   *   answer could be sent
   */
  constructor(send, open, join) {
    this.#send = send;
    this.#open = open;
    this.#join = join;
  }

  /**
   * Ask for the call, unless an answer is awaited.
   *
   * @param {{move?: boolean, again?: boolean}} [how] `move`: of another device, which is asked in turn. `again`: in any case, since the
   *   server that was asked may not have the call any more.
   * @returns {boolean} whether it was asked for now
   */
  ask({ move = false, again = false } = {}) {
    if (this.#asked && !again) return false;
    this.isWanted = true;
    this.#asked = this.#send({ type: "call_rejoin", can_show_recording: true, ...(move ? { move } : {}) });
    return this.#asked;
  }

  /** What was asked on a connection that is lost may not be answered on the next one. */
  forget() {
    this.#asked = false;
  }

  /** The server refuses the question. @returns {boolean} whether that is the end of it: no offer has been answered since */
  refused() {
    return this.#asked;
  }

  /**
   * Whether an offer is for a new peer connection. It need not be awaited: a server that was asked twice offers twice, and its later offer
   * counts. A server from before `rejoin` does not say so.
   *
   * @param {CallUpdate} message
   */
  concerns({ offer, rejoin }) {
    return offer !== undefined && (rejoin ?? this.#asked);
  }

  /** Whether the offer that was asked for has expired: a camera took too long to open, say. @param {CallUpdate} message */
  wasMissed({ expired, update_id: id }) {
    return expired === true && id !== undefined && id === this.#latest?.update_id;
  }

  /** @param {CallUpdate} message with an offer of a new peer connection */
  async answer(message) {
    const { offer, update_id: id } = message;
    this.#latest = message;
    this.#asked = this.isWanted = true;
    await this.#open();
    if (!offer || this.#latest !== message) return; // another one has come meanwhile
    const isSent = await this.#join(offer, id);
    if (this.#latest !== message) return;
    this.#asked = false;
    this.isWanted = !isSent;
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

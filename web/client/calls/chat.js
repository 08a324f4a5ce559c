/**
 * The chat messages of one call. An own message is pending until the server has sent it back; what a lost connection swallowed
 * is sent again, with the same id, and arrives once. Pure but for its random ids.
 *
 * @typedef {object} ChatEntry
 * @property {string} id
 * @property {string} text
 * @property {boolean} own
 * @property {number} at Milliseconds since 1970.
 * @property {"pending" | "sent" | "failed"} state
 */
import { newId } from "../model.js";

/** Characters of one chat message, as the server counts. */
export const LONGEST_TEXT = 4000;
/** Entries that are kept. */
const MOST = 500;

export class Chat {
  /** @type {ChatEntry[]} in the order in which they were read here */
  entries = [];
  /** Unread chat messages of the other party. */
  unread = 0;

  /** @param {ChatEntry[]} [entries] of the page's former life */
  constructor(entries = []) {
    this.entries = entries;
  }

  /**
   * @param {string} text
   * @param {number} at
   * @returns {ChatEntry | null} null: the message is empty
   */
  write(text, at) {
    const trimmed = text.trim().slice(0, LONGEST_TEXT);
    return trimmed ? this.#add({ id: newId(), text: trimmed, own: true, at, state: "pending" }) : null;
  }

  /**
   * From the server: a message of the other party, or one of ours as the confirmation that it was accepted.
   *
   * @param {{id: string, text: string, own: boolean, at: number}} entry
   */
  receive({ id, text, own, at }) {
    const known = this.entries.find((entry) => entry.id === id && entry.own === own);
    if (known) {
      known.state = "sent";
      known.at = at;
    } else {
      this.#add({ id, text, own, at, state: "sent" });
      if (!own) this.unread += 1;
    }
  }

  /** @param {string} id of a chat message that the server refused */
  refuse(id) {
    const entry = this.entries.find((one) => one.id === id && one.state === "pending");
    if (entry) entry.state = "failed";
  }

  /** @returns {ChatEntry[]} what the server has not taken yet */
  get pending() {
    return this.entries.filter(({ state }) => state === "pending");
  }

  /** @param {ChatEntry} entry */
  #add(entry) {
    this.entries.push(entry);
    if (this.entries.length > MOST) this.entries.shift();
    return entry;
  }
}

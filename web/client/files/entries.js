/**
 * The files that a call has seen, of both parties. Pure.
 *
 * @typedef {"asking" | "moving" | "checking" | "done" | "declined" | "cancelled" | "failed"} FileState `asking`: the receiver is
 *   asked. `moving`: bytes flow. `cancelled`: by either side.
 * @typedef {"too_large" | "too_many" | "damaged" | "unreadable" | "interrupted" | "unsupported"} FileProblem
 *
 * @typedef {object} FileEntry
 * @property {string} key names it within this page
 * @property {number} id that its sender gave it
 * @property {boolean} own it is sent from here
 * @property {string} name safe to save under
 * @property {number} size bytes
 * @property {number} at milliseconds since 1970
 * @property {number} done bytes that were sent, or have come
 * @property {FileState} state
 * @property {FileProblem | null} problem why it failed
 * @property {Blob | null} blob that has arrived whole
 */
import { safeName } from "./names.js";

/** @type {FileState[]} of a file that may still come */
const OPEN = ["asking", "moving", "checking"];

export class FileEntries {
  /** @type {FileEntry[]} in the order in which they came */
  all = [];

  /**
   * @param {number} id
   * @param {boolean} own
   * @param {unknown} name
   * @param {number} size
   * @param {number} at
   */
  add(id, own, name, size, at) {
    const key = `${own ? "own" : "their"} ${this.all.length}`;
    /** @type {FileEntry} */
    const entry = { key, id, own, name: safeName(name), size, at, done: 0, state: "asking", problem: null, blob: null };
    this.all.push(entry);
    return entry;
  }

  /** @param {boolean} own */
  open(own) {
    return this.all.filter((one) => one.own === own && OPEN.includes(one.state));
  }

  /** @param {string} key @param {...FileState} states */
  find(key, ...states) {
    return this.all.find((one) => one.key === key && states.includes(one.state)) ?? null;
  }

  /** The latest of that id: a page that was loaded anew counts from the beginning. @param {number} id @param {boolean} own */
  named(id, own) {
    return this.open(own).find((one) => one.id === id) ?? null;
  }
}

/**
 * Files that the two parties of a call send each other, from browser to browser: the relay forwards them and keeps nothing. The
 * receiver is asked first, and whole files are compared by SHA-256. What the other page says is checked as a stranger's. No DOM, and
 * no data channel: bytes go out by a function, and come in by `receive`.
 *
 * @typedef {import("./entries.js").FileEntry} FileEntry
 * @typedef {import("./entries.js").FileState} FileState
 * @typedef {import("./entries.js").FileProblem} FileProblem
 *
 * @typedef {object} FileSetup
 * @property {() => number} now milliseconds since 1970
 * @property {(bytes: ArrayBuffer) => Promise<string>} [digest] SHA-256 in hexadecimal digits
 *
 * @typedef {object} FileChannel
 * @property {(data: string | Uint8Array<ArrayBuffer>) => void} send
 * @property {() => number} buffered bytes that were handed to `send` and have not left
 */
import { newId } from "../model.js";
import { FileEntries } from "./entries.js";
import { PART, messageOf, partFrame, partIn } from "./wire.js";

/** Bytes of a file that are sent and taken: it is in the receiver's memory as a whole when it is checked. */
export const MOST_BYTES = 100 * 1024 * 1024;
/** Files of one direction that wait for an answer or are on their way. */
export const MOST_OPEN = 5;
/** Files that a call shows; a sender that offers more is not shown. */
const MOST_SHOWN = 200;
/** Bytes that wait in the channel before the next are read. */
const HIGH_WATER = 1024 * 1024;
/** Bytes that are read from a file at once. */
const BLOCK = 8 * PART;
/** Parts that arrived before they become one: browsers move large ones to the disk. */
const MOST_PARTS = 128;
/** Milliseconds after the channel has opened in which the other page says that it knows files. */
const HELLO_TIMEOUT = 10_000;
/** Milliseconds between two words about how far a file is. */
const PROGRESS = 100;

/** Events: `change` when any entry changed; `offered` when the other party would like to send a file. */
export class FileExchange extends EventTarget {
  /** Files that were offered and not looked at. */
  unread = 0;

  #list = new FileEntries();
  #setup;
  #digest;
  /** @type {FileChannel | null} */
  #channel = null;
  #session = newId();
  /** @type {string | null} the other page's; another one later: it was loaded anew, or is another device's */
  #theirs = null;
  #theirMost = MOST_BYTES;
  #lastId = 0;
  #helloTimer = 0;
  #progressAt = 0;
  /** @type {Map<string, Blob>} own files, by key */
  #files = new Map();
  /** @type {Map<string, BlobPart[]>} what has come of others, by key */
  #parts = new Map();
  /** @type {(() => void)[]} those that wait for room in the channel */
  #waiting = [];

  /** @param {FileSetup} setup */
  constructor(setup) {
    super();
    this.#setup = setup;
    this.#digest = setup.digest ?? sha256;
  }

  /** @returns {FileEntry[]} in the order in which they came */
  get entries() {
    return this.#list.all;
  }

  /** Whether the other page is known to take files. */
  get isReady() {
    return this.#channel !== null && this.#theirs !== null;
  }

  // -- what the user does ----------------------------------------------------------------------------------------------

  /**
   * Offer a file, as soon as there is a channel.
   *
   * @param {Blob & {name?: string}} file
   */
  offer(file) {
    const entry = this.#list.add(++this.#lastId, true, file.name, file.size, this.#setup.now());
    if (file.size > this.#theirMost) return this.#fail(entry, "too_large");
    if (this.#list.open(true).length > MOST_OPEN) return this.#fail(entry, "too_many");
    this.#files.set(entry.key, file);
    if (this.isReady) this.#say(offerOf(entry));
    this.#changed();
  }

  /** @param {string} key of a file that the user wants */
  accept(key) {
    const entry = this.#list.find(key, "asking");
    if (!entry || entry.own) return;
    this.#parts.set(key, []);
    entry.state = "moving";
    this.#say({ type: "accept", id: entry.id });
    this.#changed();
  }

  /** @param {string} key of a file that the user does not want */
  decline(key) {
    const entry = this.#list.find(key, "asking");
    if (!entry || entry.own) return;
    this.#say({ type: "decline", id: entry.id, reason: "declined" });
    this.#end(entry, "declined");
  }

  /** @param {string} key of a file that is not to go on */
  cancel(key) {
    const entry = this.#list.find(key, "asking", "moving", "checking");
    if (!entry) return;
    this.#say({ type: entry.own ? "cancel" : "stop", id: entry.id });
    this.#end(entry, "cancelled");
  }

  read() {
    if (!this.unread) return;
    this.unread = 0;
    this.#changed();
  }

  // -- the channel -----------------------------------------------------------------------------------------------------

  /** @param {FileChannel} channel that is open now */
  opened(channel) {
    this.#interrupted();
    this.#channel = channel;
    this.#hello();
    this.#helloTimer = setTimeout(() => this.unsupported(), HELLO_TIMEOUT);
  }

  /**
   * The channel is gone. What was on its way does not come any more.
   *
   * @param {FileChannel | null} [channel] the one that is; of one before it, nothing is awaited
   */
  closed(channel = this.#channel) {
    if (channel !== this.#channel) return;
    this.#interrupted();
    this.#channel = null;
  }

  /** The other party's page knows no files. */
  unsupported() {
    if (this.isReady) return;
    for (const entry of this.#list.open(true)) this.#fail(entry, "unsupported");
  }

  /** There is room in the channel again. */
  drained() {
    this.#waiting.splice(0).forEach((resume) => resume());
  }

  /** @param {unknown} data a message of the other page */
  receive(data) {
    if (data instanceof ArrayBuffer) return this.#part(data);
    const message = messageOf(data);
    if (!message) return;
    switch (message.type) {
      case "hello":
        return this.#greeted(message);
      case "offer":
        return this.#offered(message);
      case "end":
        return void this.#complete(message);
      case "cancel":
        return this.#end(this.#list.named(message.id, false), "cancelled");
      case "accept":
        return void this.#send(this.#list.named(message.id, true));
      case "decline":
        return this.#declined(message);
      case "stop":
        return this.#end(this.#list.named(message.id, true), "cancelled");
      case "received":
        return this.#received(message);
    }
  }

  close() {
    clearTimeout(this.#helloTimer);
    this.closed();
  }

  // -- sending ---------------------------------------------------------------------------------------------------------

  /** @param {FileEntry | null} entry that the receiver wants */
  async #send(entry) {
    const file = entry && this.#files.get(entry.key);
    if (!entry || !file || entry.state !== "asking") return;
    entry.state = "moving";
    this.#changed();
    try {
      while (entry.done < entry.size) {
        const block = await file.slice(entry.done, entry.done + BLOCK).arrayBuffer();
        if (block.byteLength === 0) throw new Error("the file is shorter than it was");
        for (let at = 0; at < block.byteLength; at += PART) {
          await this.#room();
          if (entry.state !== "moving") return;
          const part = block.slice(at, at + PART);
          this.#channel?.send(partFrame(entry.id, part));
          entry.done += part.byteLength;
          this.#progressed();
        }
      }
      const digest = await this.#digest(await file.arrayBuffer());
      if (entry.state !== "moving") return;
      entry.state = "checking";
      this.#say({ type: "end", id: entry.id, sha256: digest });
      this.#changed();
    } catch (error) {
      // It was changed or removed while it was read, or the channel is gone under our hands.
      console.info("a file could not be sent:", error);
      if (!["moving", "checking"].includes(entry.state)) return;
      this.#say({ type: "cancel", id: entry.id });
      this.#fail(entry, "unreadable");
    }
  }

  /** Resolves when more may be sent. */
  async #room() {
    while (this.#channel && this.#channel.buffered() > HIGH_WATER) await new Promise((resume) => this.#waiting.push(() => resume(null)));
  }

  /** @param {import("./wire.js").Decline} message */
  #declined({ id, reason }) {
    const entry = this.#list.named(id, true);
    if (entry?.state !== "asking") return;
    if (reason === "too_large" || reason === "too_many") this.#fail(entry, reason);
    else this.#end(entry, "declined");
  }

  /** @param {import("./wire.js").Received} message */
  #received({ id, ok }) {
    const entry = this.#list.named(id, true);
    if (entry?.state !== "checking") return;
    if (ok) this.#end(entry, "done");
    else this.#fail(entry, "damaged");
  }

  // -- receiving -------------------------------------------------------------------------------------------------------

  /** @param {import("./wire.js").Offer} message */
  #offered({ id, name, size }) {
    if (this.#list.named(id, false)) return; // said twice
    const shown = this.entries.filter(({ own }) => !own).length;
    if (this.#list.open(false).length >= MOST_OPEN || shown >= MOST_SHOWN) {
      return this.#say({ type: "decline", id, reason: "too_many" });
    }
    const entry = this.#list.add(id, false, name, size, this.#setup.now());
    if (size > MOST_BYTES) {
      this.#say({ type: "decline", id, reason: "too_large" });
      return this.#fail(entry, "too_large");
    }
    this.unread += 1;
    this.dispatchEvent(new Event("offered"));
    this.#changed();
  }

  /** @param {ArrayBuffer} frame */
  #part(frame) {
    const part = partIn(frame);
    const entry = part && this.#list.named(part.id, false);
    const parts = entry && this.#parts.get(entry.key);
    if (!entry || !parts || entry.state !== "moving") return; // on its way when it was cancelled, or never wanted
    entry.done += part.bytes.byteLength;
    if (entry.done > entry.size) {
      this.#say({ type: "stop", id: entry.id });
      return this.#fail(entry, "damaged");
    }
    parts.push(part.bytes);
    if (parts.length >= MOST_PARTS) parts.splice(0, parts.length, new Blob(parts));
    this.#progressed();
  }

  /** @param {import("./wire.js").End} message */
  async #complete({ id, sha256: digest }) {
    const entry = this.#list.named(id, false);
    if (entry?.state !== "moving") return;
    // Whatever it is, a browser must save it and never show it as a page of ours.
    const blob = new Blob(this.#parts.get(entry.key), { type: "application/octet-stream" });
    this.#parts.delete(entry.key);
    entry.state = "checking";
    this.#changed();
    const ok = entry.done === entry.size && (await this.#digest(await blob.arrayBuffer()).catch(() => "")) === digest;
    if (entry.state !== "checking") return;
    this.#say({ type: "received", id, ok });
    if (!ok) return this.#fail(entry, "damaged");
    entry.blob = blob;
    this.#end(entry, "done");
  }

  // -- inside ----------------------------------------------------------------------------------------------------------

  #hello() {
    this.#say({ type: "hello", session: this.#session, most_bytes: MOST_BYTES });
  }

  /** @param {import("./wire.js").Hello} message */
  #greeted({ session, most_bytes: most }) {
    if (this.#theirs === session) return;
    clearTimeout(this.#helloTimer);
    if (this.#theirs !== null) this.#interrupted(); // another page has taken its place, and knows of none of them
    this.#theirs = session;
    this.#theirMost = Math.min(most, MOST_BYTES);
    this.#hello(); // ours may have been sent before it was there
    for (const entry of this.#list.open(true)) {
      if (entry.size > this.#theirMost) this.#fail(entry, "too_large");
      else this.#say(offerOf(entry));
    }
  }

  /** What is on its way, or was asked for, is lost; our own that were never offered wait for the next channel. */
  #interrupted() {
    clearTimeout(this.#helloTimer);
    const offered = this.isReady;
    this.#theirs = null;
    this.drained();
    for (const entry of [...(offered ? this.#list.open(true) : []), ...this.#list.open(false)]) this.#fail(entry, "interrupted");
  }

  /** @param {FileEntry | null} entry @param {FileState} state */
  #end(entry, state) {
    if (!entry) return;
    entry.state = state;
    this.#files.delete(entry.key);
    this.#parts.delete(entry.key);
    this.#changed();
  }

  /** @param {FileEntry} entry @param {FileProblem} problem */
  #fail(entry, problem) {
    entry.problem = problem;
    this.#end(entry, "failed");
  }

  /** @param {import("./wire.js").FileMessage} message */
  #say(message) {
    this.#channel?.send(JSON.stringify(message));
  }

  #progressed() {
    if (performance.now() - this.#progressAt < PROGRESS) return;
    this.#progressAt = performance.now();
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {FileEntry} entry @returns {import("./wire.js").Offer} */
function offerOf({ id, name, size }) {
  return { type: "offer", id, name, size };
}

/** @param {ArrayBuffer} bytes */
async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

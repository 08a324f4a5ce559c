/**
 * The calls of the past, as the server has them: those of conversations and those of whiteboards, as one list. No DOM.
 *
 * @typedef {import("./model.js").Person} Person
 * @typedef {import("./model.js").Scope} Scope
 * @typedef {import("./model.js").CallKind} CallKind
 *
 * @typedef {object} PastCall
 * @property {string} id
 * @property {Scope | null} scope Null: it was deleted, so there is no call back.
 * @property {Person | null} other
 * @property {CallKind} kind
 * @property {boolean} incoming
 * @property {boolean} missed
 * @property {boolean} seen
 * @property {string | null} reason Why it ended.
 * @property {number} at When it began: milliseconds since 1970.
 * @property {number | null} duration Seconds; null: it was never answered.
 * @property {boolean} isBoard Whether it was in a whiteboard session.
 * @property {string | null} route The path of our own media to the relay: see `quality.js`.
 * @property {string | null} family `ipv4` or `ipv6`.
 * @property {number | null} roundTrip Milliseconds.
 * @property {number | null} score The mean opinion score of our own connection, 1 to 4.5.
 * @property {string | null} declineMessage What the callee said by declining.
 *
 * @typedef {Pick<PastCall, "id" | "isBoard">} CallName
 *
 * @typedef {"heard_nothing" | "not_heard" | "audio_interrupted" | "echo" | "no_video" | "video_interrupted" | "delay"
 *   | "dropped"} CallProblem
 *
 * @typedef {object} Rating What one party says of a call.
 * @property {number} score 1 (bad) to 5 (excellent).
 * @property {CallProblem[]} problems
 * @property {string} comment
 *
 * @typedef {object} PastMessage
 * @property {boolean} own
 * @property {string} text
 * @property {number} at Milliseconds since 1970.
 *
 * @typedef {object} CallDetail
 * @property {PastCall} call
 * @property {PastMessage[]} chat Oldest first; empty where chat is not kept.
 * @property {Rating | null} rating Ours.
 * @property {string[]} recordings Their ids, newest first.
 */
import { personOf, scopeOf } from "./protocol.js";

/** Calls that are asked for at a time. */
const PAGE = 20;
const RESOURCES = ["api/calls", "api/whiteboard/calls"];

export class History {
  #api;

  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.#api = api;
  }

  /**
   * @param {boolean} missed only those
   * @param {string} [name] of the other party, or a part of it; empty: any
   */
  list(missed, name = "") {
    return new CallList(RESOURCES.map((path) => new Source(this.#api, path, missed, name)));
  }

  /**
   * One call, with what was written.
   *
   * @param {CallName} call
   * @returns {Promise<CallDetail>}
   */
  async detail(call) {
    const wire = await this.#api.get(pathOf(call));
    const messages = /** @type {any[]} */ (wire.chat).map(({ own, text, sent_at: at }) => ({ own, text, at }));
    return { call: pastCall(wire.call), chat: messages, rating: wire.rating ?? null, recordings: wire.recordings ?? [] };
  }

  /**
   * Say how good a call was; in place of what was said before.
   *
   * @param {CallName} call
   * @param {Rating} rating
   */
  async rate(call, { score, problems, comment }) {
    await this.#api.send("PUT", `${pathOf(call)}/rating`, { score, problems, comment });
  }

  /** @returns {Promise<number>} unseen missed calls */
  async unseen() {
    const answers = await Promise.all(RESOURCES.map((path) => this.#api.get(`${path}/unseen`)));
    return answers.reduce((sum, { unseen_count: count }) => sum + count, 0);
  }
}

/** One list, newest first, out of several. */
class CallList {
  /** @type {PastCall[]} what was asked for so far */
  calls = [];
  #sources;

  /** @param {Source[]} sources */
  constructor(sources) {
    this.#sources = sources;
  }

  get hasMore() {
    return this.#sources.some((source) => source.hasMore);
  }

  /** Ask for some more. */
  async more() {
    for (let added = 0; added < PAGE && this.hasMore; added++) {
      await Promise.all(this.#sources.map((source) => source.fill()));
      const newest = this.#sources.filter(({ waiting }) => waiting.length).sort((a, b) => b.waiting[0].at - a.waiting[0].at);
      const call = newest[0]?.waiting.shift();
      if (call) this.calls.push(call);
    }
  }

  /** Mark all missed calls up to now as seen. */
  async markSeen() {
    await Promise.all(this.#sources.map((source) => source.markSeen()));
  }
}

/** The calls of one resource, page by page. */
class Source {
  /** @type {PastCall[]} asked for, and not in the list yet */
  waiting = [];
  #api;
  #path;
  #missed;
  #name;
  /** @type {string | null} */
  #newest = null;
  /** @type {string | null | undefined} where the next page begins; undefined: at the beginning; null: there is none */
  #next = undefined;

  /**
   * @param {import("./api.js").Api} api
   * @param {string} path
   * @param {boolean} missed
   * @param {string} name
   */
  constructor(api, path, missed, name) {
    this.#api = api;
    this.#path = path;
    this.#missed = missed;
    this.#name = name;
  }

  get hasMore() {
    return this.waiting.length > 0 || this.#next !== null;
  }

  /** Ask for the next page, if nothing waits. */
  async fill() {
    if (this.waiting.length || this.#next === null) return;
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (this.#missed) query.set("missed", "1");
    if (this.#name) query.set("name", this.#name);
    if (this.#next) query.set("cursor", this.#next);
    const { calls, next_cursor: next } = await this.#api.get(`${this.#path}?${query}`);
    this.waiting = calls.map(pastCall);
    this.#newest ??= this.waiting[0]?.id ?? null;
    this.#next = next ?? null;
  }

  async markSeen() {
    if (this.#newest) await this.#api.send("POST", `${this.#path}/seen`, { up_to: this.#newest });
  }
}

/**
 * @param {any} wire
 * @returns {PastCall}
 */
function pastCall(wire) {
  const scope = wire.conversation_id ?? wire.whiteboard_session_id;
  return {
    id: wire.call_id,
    scope: typeof scope === "number" ? scopeOf(wire) : null,
    other: wire.other && personOf(wire.other),
    kind: wire.call_type,
    incoming: wire.direction === "incoming",
    missed: wire.missed,
    seen: wire.seen,
    reason: wire.reason,
    at: wire.started_at,
    duration: wire.duration_seconds,
    isBoard: wire.whiteboard_session_id !== undefined,
    route: wire.route ?? null,
    family: wire.family ?? null,
    roundTrip: wire.rtt_ms ?? null,
    score: wire.score ?? null,
    declineMessage: wire.decline_message ?? null,
  };
}

/** @param {CallName} call */
function pathOf({ id, isBoard }) {
  return `${RESOURCES[isBoard ? 1 : 0]}/${encodeURIComponent(id)}`;
}

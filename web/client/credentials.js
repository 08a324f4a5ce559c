/**
 * The credential of a signed-in profile: how it is found, renewed and given back. No DOM.
 *
 * A credential is a token, or what the browser sends by itself: the cookie, or a session of the program that the relay is mounted
 * in. Tokens come from the platform; the program that uses this class gets them, when `tokenneeded` asks for one.
 *
 * @typedef {import("./model.js").Person} Person
 *
 * @typedef {"expired" | "not_yet_valid" | "revoked" | "wrong_service" | "invalid" | "other_profile"} CredentialProblem
 *
 * @typedef {object} SessionState What the server says of a credential, and of how to sign in.
 * @property {Person | null} person Null: not signed in.
 * @property {number | null} expiresIn Seconds; null: it does not end.
 * @property {CredentialProblem | null} problem
 * @property {RTCIceServer[]} iceServers
 * @property {string} signInUrl The platform's page for that; empty: there is none.
 * @property {boolean} development
 * @property {string[]} frameAncestors Origins of the pages that may show this one in a frame.
 * @property {import("./contacts.js").Contacts | null} contacts Who can be called; null: not signed in, or they are to be asked for.
 *
 * @typedef {"missing" | "expiring" | "refused"} Reason Why a token is needed.
 */
import { requestJson } from "./api.js";
import { conversationsOf, whiteboardsOf } from "./contacts.js";
import { keyOf } from "./model.js";
import { personOf } from "./protocol.js";

/** Seconds before its end at which a credential is renewed; half of its time, if that is less. */
const MARGIN = 60;
/** Milliseconds: a timer of a browser takes no more. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** A token is needed. A listener that can get one answers by `respondWith`, as in a `FetchEvent`; without one, the cookie has to do. */
export class TokenNeeded extends Event {
  /** @type {Promise<string | null> | null} */
  answer = null;

  /** @param {Reason} reason */
  constructor(reason) {
    super("tokenneeded");
    this.reason = reason;
  }

  /** @param {string | null | Promise<string | null>} token null: there is none */
  respondWith(token) {
    this.answer ??= Promise.resolve(token);
  }
}

/**
 * Events: `tokenneeded`, a `TokenNeeded`; `renewed`; `expiring`: it ends soon, and no other could be had.
 */
export class Credentials extends EventTarget {
  /** Empty: the browser sends the credential by itself. */
  token = "";
  /** @type {Person | null} */
  person = null;
  /** @type {CredentialProblem | null} why the last attempt to renew it failed, if the server said so */
  problem = null;
  #base;
  /** Milliseconds of `performance.now()`. The clock of the device may be wrong, and is not asked. */
  #endsAt = Infinity;
  #timer = 0;
  /** @type {Promise<boolean> | null} */
  #renewing = null;

  /** @param {string} base URL that everything of the server is relative to */
  constructor(base) {
    super();
    this.#base = base;
  }

  /**
   * What the server says of a credential, which stays what it was.
   *
   * @param {string} [token] none: the browser's own
   * @throws {import("./api.js").ApiError}
   */
  look(token = "") {
    return this.#ask("GET", token);
  }

  /**
   * Sign the browser in by a token, for all its tabs.
   *
   * @param {string} token
   * @throws {import("./api.js").ApiError}
   */
  async signIn(token) {
    const state = await this.#ask("POST", token);
    if (state.person) this.use(state, token);
    return state;
  }

  /**
   * Act with a credential that the server has found good.
   *
   * @param {SessionState} state
   * @param {string} [token]
   */
  use({ person, expiresIn }, token = "") {
    this.token = token;
    this.person = person;
    this.problem = null;
    this.#endsAt = expiresIn === null ? Infinity : performance.now() + expiresIn * 1000;
    this.#schedule();
  }

  /** Forget it here. */
  close() {
    clearTimeout(this.#timer);
    this.token = "";
    this.person = null;
  }

  /** Forget it in this browser. */
  async signOut() {
    this.close();
    await requestJson(this.#base, "api/session", { method: "DELETE" });
  }

  /**
   * Get a credential that is good.
   *
   * @param {Reason} reason
   * @returns {Promise<boolean>} whether there is one; `problem` says why not
   * @throws {import("./api.js").ApiError} also what `fetch` throws: the server is not there, or cannot say
   */
  renew(reason) {
    this.#renewing ??= this.#renewed(reason).finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  /** @param {Reason} reason */
  async #renewed(reason) {
    const owner = this.person;
    const event = new TokenNeeded(reason);
    this.dispatchEvent(event);
    const given = await event.answer;
    /** @type {CredentialProblem | null} */
    let problem = null;
    for (const token of given ? [given] : new Set(["", this.token])) {
      const state = await this.#ask(given ? "POST" : "GET", token);
      if (owner === null || this.person !== owner) return false; // signed out meanwhile
      if (state.person && keyOf(state.person) === keyOf(owner)) {
        this.use(state, token);
        this.dispatchEvent(new Event("renewed"));
        return true;
      }
      problem ??= state.person ? "other_profile" : state.problem;
    }
    this.problem = problem;
    return false;
  }

  #schedule() {
    clearTimeout(this.#timer);
    if (this.#endsAt === Infinity) return;
    const left = this.#endsAt - performance.now();
    const delay = Math.max(left - MARGIN * 1000, left / 2);
    this.#timer = setTimeout(() => (delay > LONGEST_TIMER ? this.#schedule() : void this.#expiring()), Math.min(delay, LONGEST_TIMER));
  }

  async #expiring() {
    const before = this.#endsAt;
    const renewed = await this.renew("expiring").catch(() => false);
    if (renewed && this.#endsAt > before + 1000) return;
    clearTimeout(this.#timer); // the same one, found good again: its end is when to ask for the next
    if (this.person) this.dispatchEvent(new Event("expiring"));
  }

  /**
   * @param {"GET" | "POST"} method
   * @param {string} token
   * @returns {Promise<SessionState>}
   */
  async #ask(method, token) {
    /** @type {Record<string, string>} */
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const wire = await requestJson(this.#base, "api/session", { method, headers });
    const person = wire.profile && personOf(wire.profile);
    return {
      person,
      expiresIn: wire.expires_in,
      problem: wire.problem,
      iceServers: wire.ice_servers ?? [],
      signInUrl: wire.sign_in_url ?? "",
      development: wire.development === true,
      frameAncestors: wire.frame_ancestors ?? [],
      contacts: person && wire.contacts && {
        conversations: conversationsOf(wire.contacts.conversations, person),
        whiteboards: whiteboardsOf(wire.contacts.whiteboard_sessions, person),
      },
    };
  }
}

/**
 * A token of development mode, for whichever profile.
 *
 * @param {string} base URL that everything of the server is relative to
 * @param {import("./model.js").ProfileName} profile
 * @returns {Promise<string>}
 * @throws {import("./api.js").ApiError} 404: the server is not in development mode
 */
export async function developmentToken(base, { type, id }) {
  const body = JSON.stringify({ profile_type: type, profile_id: id });
  const headers = { "Content-Type": "application/json" };
  return (await requestJson(base, "api/dev/login", { method: "POST", body, headers })).token;
}

/**
 * The relay's HTTP resources that this page needs. No DOM.
 *
 * @typedef {import("./model.js").Person} Person
 * @typedef {import("./model.js").ProfileName} ProfileName
 * @typedef {import("./model.js").Conversation} Conversation
 * @typedef {import("./protocol.js").WireProfile} WireProfile
 */
import { keyOf } from "./model.js";
import { personOf } from "./protocol.js";

/** The server said no. `code` is the server's, or `http_STATUS` where it gave none. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** One profile's access to the server. Logs in again by itself when its token has expired. */
export class Api {
  #base;
  #token = "";
  /** @type {ProfileName} */
  #profile;

  /**
   * @param {string} base URL that the resources are relative to
   * @param {ProfileName} profile
   */
  constructor(base, profile) {
    this.#base = base;
    this.#profile = profile;
  }

  /** For the WebSocket, which cannot send the header that the other requests carry. */
  get token() {
    return this.#token;
  }

  /** @returns {string} */
  get socketUrl() {
    const url = new URL(`ws/${this.#profile.id}/${this.#profile.type}`, this.#base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url.href;
  }

  /**
   * @returns {Promise<{person: Person, iceServers: RTCIceServer[]}>}
   * @throws {ApiError} 404: the server is not in development mode; there, logging in is the platform's business.
   */
  async logIn() {
    const { type, id } = this.#profile;
    const body = JSON.stringify({ profile_type: type, profile_id: id });
    const headers = { "Content-Type": "application/json" };
    const login = await this.#request("api/dev/login", { method: "POST", body, headers });
    this.#token = login.token;
    return { person: personOf(login.profile), iceServers: login.ice_servers ?? [] };
  }

  /**
   * A token that the server accepts: the one in use if it still does, else a new one.
   *
   * @returns {Promise<string | null>} null when no log-in is possible any more
   */
  async renew() {
    try {
      await this.conversations();
      return this.#token;
    } catch (error) {
      if (error instanceof ApiError && [401, 403, 404].includes(error.status)) return null;
      throw error;
    }
  }

  /** @returns {Promise<Conversation[]>} */
  async conversations() {
    /** @type {{conversations: {conversation_id: number, members: WireProfile[]}[]}} */
    const { conversations } = await this.#get("api/conversations");
    const mine = keyOf(this.#profile);
    return conversations.flatMap(({ conversation_id: id, members }) => {
      const other = members.map(personOf).find((member) => keyOf(member) !== mine);
      return other ? [{ id, other }] : [];
    });
  }

  /** @param {string} path */
  async #get(path) {
    const asMe = () => this.#request(path, { headers: { Authorization: `Bearer ${this.#token}` } });
    try {
      return await asMe();
    } catch (error) {
      if (!(error instanceof ApiError) || (error.status !== 401 && error.status !== 403)) throw error;
      await this.logIn();
      return asMe();
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @returns {Promise<any>} the JSON of the response
   */
  async #request(path, init) {
    const response = await fetch(new URL(path, this.#base), init);
    // A proxy in front of the relay answers in HTML: then the status is all there is to go by.
    const body = await response.json().catch(() => null);
    if (response.ok && body !== null) return body;
    const { code = `http_${response.status}`, message = response.statusText } = body?.error ?? {};
    throw new ApiError(response.status, code, message);
  }
}

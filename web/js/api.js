/**
 * Access to the relay's HTTP resources, and those that tell who can be called. No DOM.
 *
 * @typedef {import("./model.js").Person} Person
 * @typedef {import("./model.js").ProfileName} ProfileName
 * @typedef {import("./model.js").Contact} Contact
 * @typedef {import("./model.js").Scope} Scope
 * @typedef {import("./protocol.js").WireProfile} WireProfile
 */
import { keyOf } from "./model.js";
import { personOf } from "./protocol.js";

/** The server refused the request. `code` is the server's, or `http_STATUS` where it gave none. */
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

  /** @returns {Promise<Contact[]>} the conversations, each by its other member */
  async conversations() {
    /** @type {{conversations: {conversation_id: number, members: WireProfile[]}[]}} */
    const { conversations } = await this.get("api/conversations");
    return conversations.flatMap(({ conversation_id: id, members }) => this.#contacts({ kind: "conversation", id }, members));
  }

  /** @returns {Promise<Contact[]>} those that a whiteboard is shared with */
  async whiteboards() {
    /** @type {{sessions: {whiteboard_session_id: number, members: WireProfile[]}[]}} */
    const { sessions } = await this.get("api/whiteboard/sessions");
    return sessions.flatMap(({ whiteboard_session_id: id, members }) =>
      this.#contacts({ kind: "whiteboard_session", id }, members),
    );
  }

  /** @param {string} path */
  get(path) {
    return this.send("GET", path);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [content] goes as JSON
   * @returns {Promise<any>} the JSON of the answer
   * @throws {ApiError}
   */
  async send(method, path, content) {
    const asMe = () => {
      /** @type {Record<string, string>} */
      const headers = { Authorization: `Bearer ${this.#token}` };
      if (content !== undefined) headers["Content-Type"] = "application/json";
      return this.#request(path, { method, headers, body: content === undefined ? undefined : JSON.stringify(content) });
    };
    try {
      return await asMe();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      await this.logIn();
      return asMe();
    }
  }

  /**
   * @param {Scope} scope
   * @param {WireProfile[]} members
   * @returns {Contact[]}
   */
  #contacts(scope, members) {
    const mine = keyOf(this.#profile);
    const others = members.map(personOf).filter((member) => keyOf(member) !== mine);
    return scope.kind === "conversation"
      ? others.slice(0, 1).map((other) => ({ scope, other }))
      : others.map((other) => ({ scope, other }));
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @returns {Promise<any>} the JSON of the response
   */
  async #request(path, init) {
    const response = await fetch(new URL(path, this.#base), init);
    if (response.status === 204) return null;
    // A proxy in front of the relay answers in HTML: then the status is all there is to go by.
    const body = await response.json().catch(() => null);
    if (response.ok && body !== null) return body;
    const { code = `http_${response.status}`, message = response.statusText } = body?.error ?? {};
    throw new ApiError(response.status, code, message);
  }
}

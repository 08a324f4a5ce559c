/**
 * Access to the relay's HTTP resources, and those that tell who can be called. No DOM.
 *
 * @typedef {import("./model.js").Contact} Contact
 */
import { conversationsOf, whiteboardsOf } from "./contacts.js";

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

/**
 * @param {string} base URL that the resources are relative to
 * @param {string} path
 * @param {RequestInit} init A body that is not for `GET` has 64 KiB at most (Fetch Standard, "keepalive").
 * @returns {Promise<any>} the JSON of the response; null: it has none
 * @throws {ApiError}
 */
export async function requestJson(base, path, init) {
  // What the user has changed is changed, also if the page is closed at once: else a browser takes the request back.
  const keepalive = !["GET", undefined].includes(init.method);
  const response = await fetch(new URL(path, base), { keepalive, ...init });
  if (response.status === 204) return null;
  // A proxy in front of the relay answers in HTML: then the status is all there is to go by.
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const { code = `http_${response.status}`, message = response.statusText } = body?.error ?? {};
  throw new ApiError(response.status, code, message);
}

/** One profile's access to the server. Renews its credential when that is not good any more. */
export class Api {
  #base;
  #credentials;

  /**
   * @param {string} base URL that the resources are relative to
   * @param {import("./credentials.js").Credentials} credentials of a profile that is signed in
   */
  constructor(base, credentials) {
    this.#base = base;
    this.#credentials = credentials;
  }

  /** @returns {string} */
  get socketUrl() {
    const { type, id } = this.#me;
    const url = new URL(`ws/${id}/${type}`, this.#base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url.href;
  }

  /** @returns {import("./model.js").ProfileName} */
  get #me() {
    return this.#credentials.person ?? { type: "", id: 0 };
  }

  /** @returns {Promise<Contact[]>} the conversations, each by its other member */
  async conversations() {
    return conversationsOf((await this.get("api/conversations")).conversations, this.#me);
  }

  /** @returns {Promise<Contact[]>} those that a whiteboard is shared with */
  async whiteboards() {
    return whiteboardsOf((await this.get("api/whiteboard/sessions")).sessions, this.#me);
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
      const { token } = this.#credentials;
      /** @type {Record<string, string>} */
      const headers = token ? { Authorization: `Bearer ${token}` } : {};
      if (content !== undefined) headers["Content-Type"] = "application/json";
      return requestJson(this.#base, path, { method, headers, body: content === undefined ? undefined : JSON.stringify(content) });
    };
    try {
      return await asMe();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      if (!(await this.#credentials.renew("refused"))) throw error;
      return asMe();
    }
  }
}

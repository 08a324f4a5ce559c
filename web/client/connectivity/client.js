/** The client of the relay under test: HTTP, and the WebSocket of the connection test. No DOM. */

/** @typedef {import("./report.js").Target} Target */

/** Milliseconds for one answer. */
const TIMEOUT = 5_000;

/** A hop failed. `reason` and `detail` as of `Result`. */
export class HopFailed extends Error {
  /**
   * @param {string} reason
   * @param {string} [detail]
   */
  constructor(reason, detail = "") {
    super(`${reason} ${detail}`);
    this.reason = reason;
    this.detail = detail;
  }
}

/**
 * @typedef {object} Access what signing in gives
 * @property {string} token empty: the cookie is the credential
 * @property {RTCIceServer[]} iceServers
 */

/**
 * Ask whether the browser is signed in, which is no error if not, and log in where development mode allows it.
 *
 * @param {string} base URL that everything of the relay is relative to
 * @param {string} token empty: the cookie is the credential
 * @param {import("../model.js").ProfileName} profile to log in as, in development mode
 * @returns {Promise<Access>}
 * @throws {HopFailed} of the page
 */
export async function signIn(base, token, profile) {
  let session = await sessionOf(base, token);
  if (!session.profile && session.development && !token) {
    token = await logIn(base, profile);
    session = await sessionOf(base, token);
  }
  if (!session.profile) throw new HopFailed("unauthorized", "sign in on the page where you make calls, then test again");
  return { token, iceServers: session.ice_servers };
}

/**
 * @param {string} base
 * @param {string} token
 * @returns {Promise<any>} as of `GET /api/session`
 */
async function sessionOf(base, token) {
  const { status, body } = await request(base, "api/session", token);
  if (status !== 200) throw problemIn(status, body);
  if (!Array.isArray(body?.ice_servers)) throw notRelay(status);
  return body;
}

/** @param {string} url */
export function targetOf(url) {
  const { hostname, port, protocol } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || (protocol === "https:" ? 443 : 80) };
}

/**
 * @param {string} base
 * @param {import("../model.js").ProfileName} profile
 */
async function logIn(base, { type, id }) {
  const { status, body } = await request(base, "api/dev/login", "", { profile_type: type, profile_id: id });
  if (status !== 200) throw problemIn(status, body);
  return String(body?.token ?? "");
}

/**
 * @param {string} base
 * @param {string} path
 * @param {string} token
 * @param {unknown} [content] posted as JSON
 */
async function request(base, path, token, content) {
  /** @type {Record<string, string>} */
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (content) headers["Content-Type"] = "application/json";
  const signal = AbortSignal.timeout(TIMEOUT);
  try {
    const init = { headers, signal, ...(content ? { method: "POST", body: JSON.stringify(content) } : {}) };
    const response = await fetch(new URL(path, base), init);
    return { status: response.status, body: await response.json().catch(() => null) };
  } catch {
    throw new HopFailed("silent"); // a browser tells a page no more than that
  }
}

/**
 * The relay's error answer as a failed hop.
 *
 * @param {number} status
 * @param {any} body
 */
function problemIn(status, body) {
  const error = body?.error;
  if (!error?.code) return notRelay(status);
  return new HopFailed(status === 401 || status === 403 ? "unauthorized" : "broken", error.message || error.code);
}

/** @param {number} status */
function notRelay(status) {
  return new HopFailed("not_relay", `it answers with status ${status} and unknown content`);
}

/** The WebSocket of the test. */
export class ProbeSocket {
  /** The address of this browser as the relay sees it; empty if it does not say. */
  address = "";
  #socket;
  /** @type {any[]} received and not yet asked for; null: the end */
  #messages = [];
  #arrived = () => {};

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#take(data));
    socket.addEventListener("close", () => this.#put(null));
  }

  /**
   * @param {string} base
   * @param {string} token
   * @throws {HopFailed} of the WebSocket
   */
  static async open(base, token) {
    const url = new URL("ws/connectivity", base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, token ? ["bearer", token] : []);
    const opened = new Promise((resolve) => {
      socket.addEventListener("open", () => resolve("open"));
      socket.addEventListener("close", () => resolve("upgrade"));
    });
    const made = new ProbeSocket(socket);
    try {
      const outcome = await Promise.race([opened, after(TIMEOUT, "silent")]);
      if (outcome !== "open") throw new HopFailed(outcome);
      const first = await made.#receive().catch(() => null);
      if (!first) throw new HopFailed("silent");
      if (first.type !== "ready") throw new HopFailed("busy", String(first.message ?? ""));
      made.address = String(first.address ?? "");
      return made;
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /**
   * Send an offer or an answer; resolves with the relay's description of the same type.
   *
   * @param {RTCSessionDescription | null} description
   * @returns {Promise<RTCSessionDescriptionInit & {sdp: string}>}
   * @throws {HopFailed} `lost`: the WebSocket broke; `unavailable`: the relay refuses it
   */
  async exchange(description) {
    const { type, sdp } = /** @type {RTCSessionDescription} */ (description);
    if (this.#socket.readyState !== WebSocket.OPEN) throw new HopFailed("lost");
    this.#socket.send(JSON.stringify({ type, sdp }));
    const message = await this.#receive();
    if (message.type !== type || typeof message.sdp !== "string") throw new HopFailed("unavailable", String(message.message ?? ""));
    return message;
  }

  close() {
    this.#socket.close();
  }

  async #receive() {
    if (!this.#messages.length) {
      const arrived = new Promise((resolve) => (this.#arrived = () => resolve(true)));
      await Promise.race([arrived, after(TIMEOUT, false)]);
    }
    const message = this.#messages.shift();
    if (!message) throw new HopFailed("lost");
    return message;
  }

  /** @param {unknown} data */
  #take(data) {
    try {
      this.#put(JSON.parse(String(data)));
    } catch {
      this.#put(null);
    }
  }

  /** @param {any} message */
  #put(message) {
    this.#messages.push(message);
    this.#arrived();
  }
}

/**
 * @template T
 * @param {number} milliseconds
 * @param {T} value
 * @returns {Promise<T>}
 */
export function after(milliseconds, value) {
  return new Promise((resolve) => setTimeout(() => resolve(value), milliseconds));
}

/** The relay's door: its HTTP, and the WebSocket of the test. No DOM. */

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
 * @typedef {object} Entrance the relay has let us in
 * @property {string} token empty: the cookie says who we are
 * @property {RTCIceServer[]} iceServers
 */

/**
 * Ask for what a call needs; log in for it where that is possible without a password.
 *
 * @param {string} base URL that everything of the relay is relative to
 * @param {string} token empty: the cookie will do
 * @param {import("../model.js").ProfileName} profile to log in as, in development mode
 * @returns {Promise<Entrance>}
 * @throws {HopFailed} of the page
 */
export async function enter(base, token, profile) {
  let { status, body } = await ask(base, "api/ice-servers", token);
  if (status === 401 && !token) {
    token = await logIn(base, profile);
    ({ status, body } = await ask(base, "api/ice-servers", token));
  }
  if (status !== 200) throw refusal(status, body);
  if (!Array.isArray(body?.ice_servers)) throw stranger(status);
  return { token, iceServers: body.ice_servers };
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
  const { status, body } = await ask(base, "api/dev/login", "", { profile_type: type, profile_id: id });
  if (status === 404) throw new HopFailed("unauthorized", "sign in on the page where you make calls, then test again");
  if (status !== 200) throw refusal(status, body);
  return String(body?.token ?? "");
}

/**
 * @param {string} base
 * @param {string} path
 * @param {string} token
 * @param {unknown} [content] is posted as JSON
 */
async function ask(base, path, token, content) {
  /** @type {Record<string, string>} */
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (content) headers["Content-Type"] = "application/json";
  const signal = AbortSignal.timeout(TIMEOUT);
  try {
    const init = { headers, signal, ...(content ? { method: "POST", body: JSON.stringify(content) } : {}) };
    const response = await fetch(new URL(path, base), init);
    return { status: response.status, body: await response.json().catch(() => null) };
  } catch {
    throw new HopFailed("silent"); // a page is not told more
  }
}

/**
 * What a relay says when it does not do something.
 *
 * @param {number} status
 * @param {any} body
 */
function refusal(status, body) {
  const error = body?.error;
  if (!error?.code) return stranger(status);
  return new HopFailed(status === 401 || status === 403 ? "unauthorized" : "broken", error.message || error.code);
}

/** @param {number} status */
function stranger(status) {
  return new HopFailed("not_relay", `it answers with status ${status} and not what a relay says`);
}

/** The WebSocket of the test. */
export class ProbeSocket {
  /** Where the relay sees us; empty if it does not say. */
  address = "";
  #socket;
  /** @type {any[]} what came and nobody has asked for yet; null: the end */
  #frames = [];
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
   * Give the relay an offer or an answer; its own.
   *
   * @param {RTCSessionDescription | null} description
   * @returns {Promise<RTCSessionDescriptionInit & {sdp: string}>}
   * @throws {HopFailed} `lost`: the WebSocket has broken; `unavailable`: the relay does not take it
   */
  async exchange(description) {
    const { type, sdp } = /** @type {RTCSessionDescription} */ (description);
    if (this.#socket.readyState !== WebSocket.OPEN) throw new HopFailed("lost");
    this.#socket.send(JSON.stringify({ type, sdp }));
    const frame = await this.#receive();
    if (frame.type !== type || typeof frame.sdp !== "string") throw new HopFailed("unavailable", String(frame.message ?? ""));
    return frame;
  }

  close() {
    this.#socket.close();
  }

  async #receive() {
    if (!this.#frames.length) {
      const arrived = new Promise((resolve) => (this.#arrived = () => resolve(true)));
      await Promise.race([arrived, after(TIMEOUT, false)]);
    }
    const frame = this.#frames.shift();
    if (!frame) throw new HopFailed("lost");
    return frame;
  }

  /** @param {unknown} data */
  #take(data) {
    try {
      this.#put(JSON.parse(String(data)));
    } catch {
      this.#put(null);
    }
  }

  /** @param {any} frame */
  #put(frame) {
    this.#frames.push(frame);
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

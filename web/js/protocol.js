/**
 * The WebSocket: its messages as types, and a connection that comes back by itself. No DOM, no WebRTC.
 *
 * `docs/protocol.md` describes the messages; the names here are the names on the wire.
 *
 * @typedef {import("./model.js").Person} Person
 *
 * @typedef {{profile_type: string, profile_id: number, name: string, avatar: string}} WireProfile
 * @typedef {{candidate: string, sdpMid: string | null, sdpMLineIndex: number | null}} WireCandidate
 * @typedef {{conversation_id: number, to_profile_id: number, to_profile_type: string}} Addressed
 *
 * @typedef {Addressed & (
 *   | {type: "call_invitation", call_type: "voice" | "video", offer: {type: "offer", sdp: string}}
 *   | {type: "call_answer", answer: {type: "answer", sdp: string}}
 *   | {type: "ice_candidate", candidate: WireCandidate | null}
 *   | {type: "call_declined", reason: string}
 *   | {type: "call_ended"}
 * )} FromClient
 *
 * @typedef {object} CallFields Of every message about a call; `from_*` is the other party.
 * @property {number} conversation_id
 * @property {string} call_id
 * @property {number} from_profile_id
 * @property {string} from_profile_type
 * @property {string} from_name
 * @property {string} from_avatar
 *
 * @typedef {CallFields & {type: "call_invitation", call_type: "voice" | "video", offer: {type: "offer", sdp: string},
 *   expires_at: number, server_time: number}} CallInvitation
 * @typedef {CallFields & {type: "call_answer", answer: {type: "answer", sdp: string}}} CallAnswer
 * @typedef {CallFields & {type: "ice_candidate", candidate: WireCandidate | null}} IceCandidate
 * @typedef {CallFields & {type: "call_declined", reason: string}} CallDeclined
 * @typedef {CallFields & {type: "call_ended", reason: string, duration_seconds: number | null}} CallEnded
 * @typedef {CallFields & {type: "call_state", call_type: "voice" | "video", answered_at: number | null,
 *   server_time: number, state: "ringing" | "answered" | "connected" | "reconnecting" | "ended",
 *   reason?: string, duration_seconds?: number | null}} CallState
 * @typedef {CallInvitation | CallAnswer | IceCandidate | CallDeclined | CallEnded | CallState} CallMessage
 *
 * @typedef {WireProfile & {type: "welcome", device_id: string, server_time: number}} Welcome
 * @typedef {{type: "error", code: string, message: string, ref: string | null}} ErrorMessage
 * @typedef {CallMessage | Welcome | ErrorMessage} FromServer
 *
 * @typedef {"connecting" | "online" | "reconnecting" | "closed"} ConnectionState
 */

/** Milliseconds before the first attempt to come back; each further pause is twice the one before. */
const FIRST_DELAY = 500;
/** Milliseconds. A relay that restarts is back in seconds, and a phone that comes out of a tunnel should not wait long. */
const LONGEST_DELAY = 10_000;
/** Milliseconds until an attempt counts as failed: a network that drops packets would keep it open for minutes. */
const ATTEMPT_TIMEOUT = 10_000;

/**
 * A profile as the rest of the page knows it.
 *
 * @param {WireProfile} profile
 * @returns {Person}
 */
export function personOf(profile) {
  return { type: profile.profile_type, id: profile.profile_id, name: profile.name, avatar: profile.avatar };
}

/**
 * The other party of a call.
 *
 * @param {CallFields} message
 * @returns {Person}
 */
export function senderOf(message) {
  const { from_profile_type: type, from_profile_id: id, from_name: name, from_avatar: avatar } = message;
  return { type, id, name, avatar };
}

/**
 * The one message in a text frame, or null: a frame that is no message of ours is not worth a broken page. Types that this
 * page does not know pass, and find no reader.
 *
 * @param {unknown} data
 * @returns {FromServer | null}
 */
function messageIn(data) {
  try {
    const message = JSON.parse(String(data));
    return typeof message?.type === "string" ? message : null;
  } catch {
    return null;
  }
}

/**
 * A WebSocket that reconnects, with a growing and slightly random pause, until it is closed.
 *
 * Events: `state` when `state` changed; `message`, a `CustomEvent<FromServer>`; `refused` when the server will not have us
 * and no new token can be had: it is then closed.
 */
export class Connection extends EventTarget {
  /** @type {ConnectionState} */
  state = "closed";
  /** @type {WebSocket | null} */
  #socket = null;
  #url;
  #token;
  #renew;
  /** Attempts since the last welcome. */
  #attempts = 0;
  #timer = 0;

  /**
   * @param {string} url
   * @param {string} token
   * @param {() => Promise<string | null>} renew Called after a refused attempt, since a browser does not say why an upgrade
   *   was refused: resolves to a token that is good, or to null when there is none; rejects when the server is not there.
   */
  constructor(url, token, renew) {
    super();
    this.#url = url;
    this.#token = token;
    this.#renew = renew;
  }

  open() {
    this.#setState("connecting");
    this.#attempt();
  }

  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null; // before the close, so that its event finds nobody
    socket?.close(1000);
    this.#setState("closed");
  }

  /** Try again at once: the device says that it is back on a network, or the user came back to the tab. */
  retryNow() {
    if (this.state === "reconnecting" && !this.#socket) {
      clearTimeout(this.#timer);
      this.#attempts = 0;
      this.#retry(true);
    }
  }

  /**
   * @param {FromClient} message
   * @returns {boolean} whether it was sent. Nothing is kept for later: a call has moved on by then.
   */
  send(message) {
    if (this.state !== "online" || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #attempt() {
    // The token goes as a subprotocol: a page cannot set headers here, a URL ends up in logs, and the cookie belongs to
    // whichever tab logged in last.
    const socket = new WebSocket(this.#url, ["bearer", this.#token]);
    this.#socket = socket;
    let opened = false;
    const timeout = setTimeout(() => this.#lost(socket, opened), ATTEMPT_TIMEOUT);
    socket.addEventListener("open", () => (opened = true));
    socket.addEventListener("message", (event) => {
      const message = messageIn(event.data);
      if (this.#socket !== socket || !message) return;
      if (message.type === "welcome") {
        clearTimeout(timeout);
        this.#attempts = 0;
        this.#setState("online");
      }
      this.dispatchEvent(new CustomEvent("message", { detail: message }));
    });
    socket.addEventListener("close", () => {
      clearTimeout(timeout);
      this.#lost(socket, opened);
    });
  }

  /**
   * @param {WebSocket} socket
   * @param {boolean} opened whether the server had accepted us
   */
  #lost(socket, opened) {
    if (this.#socket !== socket) return;
    this.#socket = null;
    socket.close();
    this.#setState("reconnecting");
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#attempts++);
    // Random by a half, so that a thousand pages do not come back to a restarted relay in the same instant.
    this.#timer = setTimeout(() => this.#retry(opened), delay * (0.5 + Math.random() / 2));
  }

  /** @param {boolean} trusted whether the token was good the last time */
  async #retry(trusted) {
    if (!trusted) {
      try {
        const token = await this.#renew();
        if (this.state !== "reconnecting" || this.#socket) return;
        if (token === null) {
          this.close();
          this.dispatchEvent(new Event("refused"));
          return;
        }
        this.#token = token;
      } catch {
        // The server is not there; the attempt below finds out when it is back.
        if (this.state !== "reconnecting" || this.#socket) return;
      }
    }
    this.#attempt();
  }

  /** @param {ConnectionState} state */
  #setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

/**
 * A WebSocket that reconnects by itself, as the same device, without losing messages. No DOM, no WebRTC.
 *
 * @typedef {import("./protocol.js").FromClient} FromClient
 * @typedef {import("./protocol.js").FromServer} FromServer
 * @typedef {import("./protocol.js").Welcome} Welcome
 *
 * @typedef {"connecting" | "online" | "reconnecting" | "closed"} ConnectionState
 *
 * @typedef {object} ConnectionSetup
 * @property {string} url
 * @property {() => string} token The credential as it is now; empty: the browser sends it by itself.
 * @property {() => Promise<boolean>} renew Called after a refused attempt, since a browser does not say why an upgrade was
 *   refused: resolves to whether there is a credential that is good; rejects when the server is not there.
 * @property {{token: string, lastSeq: number} | null} device Which device this page was in its former life.
 * @property {(device: {token: string, lastSeq: number} | null) => void} remember Called whenever that changes.
 */
import { messageIn } from "./protocol.js";

/** Milliseconds before the first attempt to come back; each further pause is twice the one before. */
const FIRST_DELAY = 500;
/** Milliseconds. A relay that restarts is back in seconds, and a phone that comes out of a tunnel should not wait long. */
const LONGEST_DELAY = 10_000;
/** Milliseconds until an attempt counts as failed: a network that drops packets would keep it open for minutes. */
const ATTEMPT_TIMEOUT = 10_000;
/** Milliseconds from one ping to the next. */
const PING_PERIOD = 10_000;
/** Milliseconds after a ping in which something must come, whatever it is. */
const PONG_TIMEOUT = 5_000;
/** The same when the connection is suspect; also how long an attempt has before a new one replaces it when the network returns. */
const DOUBTFUL_TIMEOUT = 1_000;

/** Close codes of the server (docs/protocol.md). */
const EXPIRED = 4401;
const RESUMED_ELSEWHERE = 4409;
const TOO_MANY_MESSAGES = 4429;

/**
 * Events: `state` when `state` changed; `message`, a `CustomEvent<FromServer>`, each message once and in order; `slowed` when the
 * server found that we talk too much; `refused` when it will not have us and no new credential can be had: it is then closed.
 */
export class Connection extends EventTarget {
  /** @type {ConnectionState} */
  state = "closed";
  /** @type {WebSocket | null} */
  #socket = null;
  #setup;
  /** @type {{token: string, lastSeq: number} | null} */
  #device;
  /** @type {number | null} the first message that a reloaded page would need again */
  #wantedAgain = null;
  /** Attempts since the last welcome. */
  #attempts = 0;
  #attemptedAt = 0;
  #timer = 0;
  #pinging = 0;
  /** The timer of a ping that is not answered; 0: none is. */
  #deaf = 0;
  /** When it is due. */
  #deafAt = 0;

  /** @param {ConnectionSetup} setup */
  constructor(setup) {
    super();
    this.#setup = setup;
    this.#device = setup.device;
  }

  open() {
    this.#setState("connecting");
    this.#attempt();
  }

  /** Good-bye for good. */
  close() {
    this.#forgetDevice();
    this.#release(1000);
    this.#setState("closed");
  }

  /** Try again at once: the device says that it is back on a network, the user came back to the tab, or media has stopped. */
  retryNow() {
    if (this.state === "online") this.#ping(DOUBTFUL_TIMEOUT); // it may have died unnoticed
    if (this.state !== "reconnecting") return;
    // An attempt that began on a network that is gone would stay open for long.
    if (this.#socket && performance.now() - this.#attemptedAt < DOUBTFUL_TIMEOUT) return;
    this.#release(1000);
    this.#attempts = 0;
    void this.#retry(true);
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

  /**
   * Have that message, and what follows, sent again to a page that is reloaded.
   *
   * @param {number | null} seq null: nothing any more
   */
  wantAgain(seq) {
    if (this.#wantedAgain === seq) return;
    this.#wantedAgain = seq;
    this.#rememberDevice();
  }

  /** The last message that is acknowledged, and need not be sent again. */
  get #settledSeq() {
    const last = this.#device?.lastSeq ?? 0;
    return this.#wantedAgain === null ? last : Math.min(last, this.#wantedAgain - 1);
  }

  #attempt() {
    const url = new URL(this.#setup.url);
    url.searchParams.set("version", "2");
    url.searchParams.set("takes", "call_elsewhere,call_rejoin_request");
    if (this.#device) {
      url.searchParams.set("resume", this.#device.token);
      url.searchParams.set("last_seq", String(this.#device.lastSeq));
    }
    // The token goes as a subprotocol: a page cannot set headers here, a URL ends up in logs, and the cookie belongs to
    // whichever tab logged in last.
    const token = this.#setup.token();
    const socket = new WebSocket(url, token ? ["bearer", token] : []);
    this.#socket = socket;
    this.#attemptedAt = performance.now();
    let opened = false;
    this.#timer = setTimeout(() => this.#lost(socket, opened), ATTEMPT_TIMEOUT);
    socket.addEventListener("open", () => (opened = true));
    socket.addEventListener("message", (event) => {
      const message = messageIn(event.data);
      if (this.#socket === socket && message) this.#received(message);
    });
    socket.addEventListener("close", ({ code }) => this.#lost(socket, opened && code !== EXPIRED, code));
  }

  /** @param {FromServer} message */
  #received(message) {
    this.#isHeard();
    if (message.type === "welcome") this.#welcomed(message);
    if (message.seq !== undefined && this.#device) {
      if (message.seq <= this.#device.lastSeq) return;
      this.#device.lastSeq = message.seq;
    }
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
    if (message.seq !== undefined) this.#rememberDevice(); // after its readers: one that broke the page comes again
  }

  /** @param {Welcome} welcome */
  #welcomed({ resume, resumed }) {
    clearTimeout(this.#timer);
    this.#attempts = 0;
    this.#device = resume === undefined ? null : { token: resume, lastSeq: (resumed && this.#device?.lastSeq) || 0 };
    if (!resumed) this.#wantedAgain = null;
    this.#rememberDevice();
    clearInterval(this.#pinging);
    this.#pinging = setInterval(() => this.#ping(), PING_PERIOD);
    this.#setState("online");
  }

  /** @param {number} [timeout] milliseconds */
  #ping(timeout = PONG_TIMEOUT) {
    const socket = this.#socket;
    if (!socket || !this.send({ type: "ping", last_seq: this.#settledSeq })) return;
    const due = performance.now() + timeout;
    if (this.#deaf && this.#deafAt <= due) return; // what an earlier ping waits for may come sooner, and must
    clearTimeout(this.#deaf);
    this.#deafAt = due;
    this.#deaf = setTimeout(() => this.#lost(socket, true), timeout);
  }

  #isHeard() {
    clearTimeout(this.#deaf);
    this.#deaf = 0;
  }

  /**
   * @param {WebSocket} socket
   * @param {boolean} trusted whether the server had accepted our token
   * @param {number} [code] why it was closed; none: it was us who gave it up
   */
  #lost(socket, trusted, code) {
    if (this.#socket !== socket) return;
    this.#release(1000);
    // Another page has taken this device over: connecting again as the same device would only replace that page in turn.
    if (code === RESUMED_ELSEWHERE) this.#forgetDevice();
    this.#setState("reconnecting");
    if (code === TOO_MANY_MESSAGES) this.dispatchEvent(new Event("slowed"));
    const gaveUp = this.#attempts === 0 && code === undefined; // the server may be there all the same
    const growing = gaveUp ? 0 : Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#attempts);
    const delay = code === TOO_MANY_MESSAGES ? LONGEST_DELAY : growing;
    this.#attempts++;
    // Random by a half, so that a thousand pages do not come back to a restarted relay in the same instant.
    this.#timer = setTimeout(() => void this.#retry(trusted), delay * (0.5 + Math.random() / 2));
  }

  /** @param {boolean} trusted whether the token was good the last time */
  async #retry(trusted) {
    if (!trusted) {
      try {
        const renewed = await this.#setup.renew();
        if (this.state !== "reconnecting" || this.#socket) return;
        if (!renewed) {
          this.close();
          this.dispatchEvent(new Event("refused"));
          return;
        }
      } catch {
        // The server is not there; the attempt below finds out when it is back.
        if (this.state !== "reconnecting" || this.#socket) return;
      }
    }
    this.#attempt();
  }

  /** @param {number} code */
  #release(code) {
    clearTimeout(this.#timer);
    this.#isHeard();
    clearInterval(this.#pinging);
    const socket = this.#socket;
    this.#socket = null; // before the close, so that its event is ignored
    socket?.close(code);
  }

  #forgetDevice() {
    this.#device = null;
    this.#wantedAgain = null;
    this.#rememberDevice();
  }

  #rememberDevice() {
    this.#setup.remember(this.#device && { token: this.#device.token, lastSeq: this.#settledSeq });
  }

  /** @param {ConnectionState} state */
  #setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

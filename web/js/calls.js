/**
 * The calls of one signed-in profile: at most one at a time, and who gets which message. No DOM.
 *
 * @typedef {import("./model.js").Person} Person
 * @typedef {import("./model.js").CallKind} CallKind
 * @typedef {import("./protocol.js").FromServer} FromServer
 * @typedef {import("./protocol.js").CallMessage} CallMessage
 * @typedef {import("./protocol.js").CallInvitation} CallInvitation
 *
 * @typedef {"left_over_call_ended" | "not_connected"} Notice What the user should be told, and no call can tell.
 */
import { Call } from "./call.js";
import { senderOf } from "./protocol.js";

/** Milliseconds after a welcome in which the server mentions the call that we are in, if it knows one. */
const RESUME_WINDOW = 4_000;

/**
 * Events: `change` whenever the current call is another or changed in any way; `ended`, a `CustomEvent<Call>`, once per call;
 * `notice`, a `CustomEvent<Notice>`; `refusal`, a `CustomEvent<string>`: the server's words on something we sent.
 */
export class Calls extends EventTarget {
  /** @type {Call | null} the call that is going on; null when there is none */
  current = null;
  /** @type {Call | null} the one before: the server's count of its duration may still be on its way */
  #lastCall = null;
  #connection;
  #clock;
  #iceServers;
  /** Names of calls that this page has seen the end of: what still arrives about them is old news. */
  #finished = new Set();
  #welcomedAt = -Infinity;
  #resume = 0;

  /**
   * @param {import("./protocol.js").Connection} connection
   * @param {import("./clock.js").ServerClock} clock
   * @param {RTCIceServer[]} iceServers
   */
  constructor(connection, clock, iceServers) {
    super();
    this.#connection = connection;
    this.#clock = clock;
    this.#iceServers = iceServers;
    connection.addEventListener("message", (event) => {
      this.#receive(/** @type {CustomEvent<FromServer>} */ (event).detail);
    });
  }

  /**
   * Call somebody.
   *
   * @param {number} conversationId
   * @param {Person} other
   * @param {CallKind} kind
   */
  start(conversationId, other, kind) {
    if (this.current) return;
    if (this.#connection.state !== "online") {
      this.#tell("notice", "not_connected");
      return;
    }
    void this.#adopt(this.#newCall({ conversationId, other, kind })).start();
  }

  /** The page is about to go: end what goes on, so that nobody waits for us. A call that only rings, rings on elsewhere. */
  leave() {
    clearTimeout(this.#resume);
    if (this.current?.phase !== "incoming") this.current?.end();
  }

  /** @param {FromServer} message */
  #receive(message) {
    if ("server_time" in message) this.#learnTime(message);
    switch (message.type) {
      case "welcome":
        return this.#welcomed();
      case "error":
        return this.#refused(message);
      case "call_invitation":
        return this.#invited(message);
      case "call_answer":
      case "ice_candidate":
      case "call_declined":
      case "call_ended":
      case "call_state":
        return this.#about(message);
    }
  }

  /** @param {{type: string, server_time: number}} message */
  #learnTime({ type, server_time: serverTime }) {
    if (type === "welcome") this.#clock.reset();
    this.#clock.observe(serverTime);
  }

  /** We are (back) on line. The server says at once which call we are in; one that it does not name is over. */
  #welcomed() {
    this.#welcomedAt = performance.now();
    const call = this.current;
    clearTimeout(this.#resume);
    if (!call || call.phase === "preparing") return;
    this.#resume = setTimeout(() => {
      if (this.current === call) call.forgotten();
    }, RESUME_WINDOW);
  }

  /** @param {import("./protocol.js").ErrorMessage} error */
  #refused(error) {
    // A candidate that was not to the server's taste is no concern of the user's, nor is a hang-up that came too late.
    if (error.ref === "ice_candidate" || error.ref === "call_ended") return;
    const call = this.current;
    const fatal = call?.isIncoming ? error.ref === "call_answer" : error.ref === "call_invitation";
    if (fatal) call?.refused();
    this.#tell("refusal", error.message);
  }

  /** @param {CallInvitation} invitation */
  #invited(invitation) {
    const call = this.current;
    if (call?.id === invitation.call_id) {
      clearTimeout(this.#resume);
      return;
    }
    // Two people who call each other at the same moment: the server takes one call, and it was not ours.
    if (call && !call.isIncoming && call.id === null && call.conversationId === invitation.conversation_id) call.stepAside();
    if (this.current || this.#finished.has(invitation.call_id)) return;
    const { conversation_id: conversationId, call_type: kind } = invitation;
    this.#adopt(this.#newCall({ conversationId, other: senderOf(invitation), kind, invitation }));
  }

  /** @param {CallMessage} message */
  #about(message) {
    const call = this.current;
    if (call?.concerns(message) && !this.#finished.has(message.call_id)) {
      clearTimeout(this.#resume);
      call.receive(message);
    } else if (message.type === "call_state" && this.#isLeftOver(message)) {
      const { conversation_id, from_profile_id: to_profile_id, from_profile_type: to_profile_type } = message;
      this.#connection.send({ type: "call_ended", conversation_id, to_profile_id, to_profile_type });
      // A call that we hung up while off line ends now without a word; another was left by this page's former life.
      if (!this.#finished.has(message.call_id)) this.#tell("notice", "left_over_call_ended");
      this.#finished.add(message.call_id);
    } else {
      if (this.#lastCall?.concerns(message)) this.#lastCall.receive(message);
    }
  }

  /**
   * Whether this is a call that the server believes us to be in, while we cannot be: the page was loaded anew. Only right after
   * a welcome: later, it is the call of another tab.
   *
   * @param {import("./protocol.js").CallState} message
   */
  #isLeftOver(message) {
    const going = ["answered", "connected", "reconnecting"].includes(message.state);
    return going && performance.now() - this.#welcomedAt < RESUME_WINDOW;
  }

  /**
   * @param {Pick<import("./call.js").CallSetup, "conversationId" | "other" | "kind" | "invitation">} what
   * @returns {Call}
   */
  #newCall(what) {
    return new Call({
      ...what,
      send: (message) => this.#connection.send(message),
      iceServers: this.#iceServers,
      clock: this.#clock,
    });
  }

  /**
   * @param {Call} call
   * @returns {Call}
   */
  #adopt(call) {
    this.current = call;
    call.addEventListener("change", () => {
      if (call.isOver && this.current === call) {
        this.current = null;
        this.#lastCall = call;
        if (call.id) this.#finished.add(call.id);
        this.#tell("ended", call);
      }
      this.dispatchEvent(new Event("change"));
    });
    this.dispatchEvent(new Event("change"));
    return call;
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * The recording of one call, as the relay tells it: the request, the answer, the sign. No DOM.
 *
 * @typedef {import("./protocol.js").AboutCall} AboutCall
 * @typedef {import("./protocol.js").CallMessage} CallMessage
 * @typedef {import("./protocol.js").WireRecording} WireRecording
 *
 * @typedef {"idle" | "announced" | "asked" | "declined" | "recording" | "paused" | "stopped"} RecordingState
 *   `announced`: the call will be recorded once it is answered.
 *
 * @typedef {object} ConsentRequest What this party is asked to agree to.
 * @property {string} recordingId
 * @property {string} policyText What the operator wants to be read; empty: nothing.
 * @property {string} policyVersion Of that text; empty: none.
 * @property {number} expiresAt When no answer counts as a no: milliseconds since 1970, by the server's clock.
 */

/** Milliseconds for which the sign says that a recording was declined or has stopped: enough to read it twice. */
const NEWS_LIFETIME = 10_000;
/** Milliseconds that the relay may take beyond `expires_at` to say that the time is up. */
const ANSWER_MARGIN = 1_500;

/** @type {RecordingState[]} states that are news: the sign shows them, and goes */
const NEWS = ["declined", "stopped"];
/** @type {RecordingState[]} */
const ACTIVE = ["recording", "paused"];

/** Events: `change` when any field changed; `unsent` when something could not be sent to the relay. */
export class CallRecording extends EventTarget {
  /** @type {RecordingState} */
  state = "idle";
  /** @type {string | null} why, in the relay's word */
  reason = null;
  /** @type {"party" | "service"} who has asked for it */
  by = "party";
  /** Whether it was this party. */
  yours = false;
  /** @type {ConsentRequest | null} */
  request = null;

  #send;
  #clock;
  /** What the relay says about asking. */
  #canRecord = false;
  /** @type {number | null} when no answer of the other party counts as a no */
  #expiresAt = null;
  /** @type {string | null} an answer to the request for that recording is on its way */
  #answered = null;
  #requestTimer = 0;
  #newsTimer = 0;

  /**
   * @param {(message: AboutCall) => boolean} send
   * @param {import("./clock.js").ServerClock} clock
   */
  constructor(send, clock) {
    super();
    this.#send = send;
    this.#clock = clock;
  }

  /** Whether the call is recorded, or would be if it were not paused. */
  get isActive() {
    return ACTIVE.includes(this.state);
  }

  /** Whether the sign is up. The party that is asked sees the request instead. */
  get isShown() {
    return this.state !== "idle" && (this.state !== "asked" || this.yours);
  }

  /** Whether this party may ask for a recording. */
  get canStart() {
    return this.#canRecord && !this.isActive && this.state !== "asked";
  }

  /** Whether this party can end it. What the service records ends with the call. */
  get canStop() {
    return this.by === "party" && (this.isActive || (this.state === "asked" && this.yours));
  }

  /** @returns {number | null} whole seconds that are left for the answer; null: unknown */
  get secondsLeft() {
    const until = this.request?.expiresAt ?? this.#expiresAt;
    return until === null ? null : Math.max(0, Math.ceil((until - this.#clock.now()) / 1000));
  }

  // -- what the user does ----------------------------------------------------------------------------------------------

  /** Ask for a recording. */
  start() {
    if (this.canStart) this.#say({ type: "call_record", action: "start", ref: "call_record:start" });
  }

  /** End it, take the request back, or withdraw this party's consent. */
  stop() {
    if (!this.canStop) return;
    if (this.yours) this.#say({ type: "call_record", action: "stop", ref: "call_record:stop" });
    else this.#say({ type: "call_record_answer", accepted: false, ref: "call_record:answer" });
  }

  /**
   * @param {boolean} accepted
   * @param {string} shown the text that the user has read
   */
  async answer(accepted, shown) {
    const { request } = this;
    if (!request || this.#answered === request.recordingId) return;
    const { recordingId: recording_id } = request;
    this.#answered = recording_id;
    const text_hash = await hashOf(shown);
    const sent = this.#say({ type: "call_record_answer", accepted, recording_id, text_hash, ref: "call_record:answer" });
    this.#answered = null;
    if (sent && this.request === request) this.#dropRequest();
    this.#changed();
  }

  // -- what the relay says ---------------------------------------------------------------------------------------------

  /** The call will be recorded once it is answered. */
  announce() {
    if (this.state !== "idle") return;
    this.by = "service";
    this.#enter("announced", null);
    this.#changed();
  }

  /** @param {CallMessage} message */
  receive(message) {
    if (message.type === "call_recording") this.#apply(message);
    else if (message.type === "call_record_request") this.#ask(message);
    else if (message.type === "call_state" && message.will_be_recorded) this.announce();
    else if (message.type === "call_state") this.#restore(message.recording);
  }

  /**
   * @param {string} ref
   * @param {string} code why the relay refuses what we sent
   * @returns {boolean} whether it was about this
   */
  refused(ref, code) {
    if (!ref.startsWith("call_record:")) return false;
    // A stop or an answer that came too late changes nothing: the relay has said what is the case.
    if (ref === "call_record:start") {
      this.yours = true;
      this.#enter("declined", code);
    } else {
      this.#dropRequest();
    }
    this.#changed();
    return true;
  }

  close() {
    clearTimeout(this.#newsTimer);
    this.#dropRequest();
    this.state = "idle";
  }

  // -- inside ----------------------------------------------------------------------------------------------------------

  /** @param {WireRecording} wire */
  #apply(wire) {
    const { recording_id: id, expires_at: expiresAt = null, policy_text = "", policy_version = "" } = wire;
    this.by = wire.by;
    this.yours = wire.yours;
    this.#canRecord = wire.can_record;
    this.#expiresAt = expiresAt;
    this.#enter(wire.state, wire.reason);
    if (!wire.needs_answer) this.#dropRequest();
    else if (id !== null && expiresAt !== null) this.#ask({ recording_id: id, policy_text, policy_version, expires_at: expiresAt });
    this.#changed();
  }

  /**
   * From the state of the call, at each of its changes and when this page comes back to it: an end that is long past is no news.
   *
   * @param {WireRecording} [wire] undefined: the call is not recorded, and cannot be
   */
  #restore(wire) {
    const isQuiet = !wire || wire.state === "idle" || NEWS.includes(wire.state);
    if (wire && (!isQuiet || this.isActive || this.state === "asked")) this.#apply(wire);
    else this.#canRecord = wire?.can_record ?? false;
  }

  /** @param {{recording_id: string, policy_text: string, policy_version: string, expires_at: number}} wire */
  #ask({ recording_id: recordingId, policy_text: policyText, policy_version: policyVersion, expires_at: expiresAt }) {
    if (this.#answered === recordingId) return;
    clearTimeout(this.#requestTimer);
    this.request = { recordingId, policyText, policyVersion, expiresAt };
    const expired = () => {
      this.#dropRequest();
      this.#changed();
    };
    this.#requestTimer = setTimeout(expired, Math.max(0, expiresAt - this.#clock.now()) + ANSWER_MARGIN);
    this.#changed();
  }

  #dropRequest() {
    clearTimeout(this.#requestTimer);
    this.request = null;
  }

  /**
   * @param {RecordingState} state
   * @param {string | null} reason
   */
  #enter(state, reason) {
    clearTimeout(this.#newsTimer);
    this.state = state;
    this.reason = reason;
    if (!NEWS.includes(state)) return;
    this.#newsTimer = setTimeout(() => {
      this.#enter("idle", null);
      this.#changed();
    }, NEWS_LIFETIME);
  }

  /** @param {AboutCall} message */
  #say(message) {
    const sent = this.#send(message);
    if (!sent) this.dispatchEvent(new Event("unsent"));
    return sent;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * What is kept with a consent: SHA-256 of the text that it was given to.
 *
 * @param {string} text
 * @returns {Promise<string | undefined>} hexadecimal digits; undefined: this page is not secure, and has no cryptography
 */
async function hashOf(text) {
  const digest = await crypto.subtle?.digest("SHA-256", new TextEncoder().encode(text)).catch(() => undefined);
  return digest && Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

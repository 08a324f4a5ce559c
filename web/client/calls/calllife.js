/**
 * The life of a call without its media: parties, scope, phase and end. No DOM, no WebRTC.
 *
 * @typedef {import("../model.js").Person} Person
 * @typedef {import("../model.js").Scope} Scope
 * @typedef {import("../model.js").CallKind} CallKind
 * @typedef {import("../model.js").Phase} Phase
 * @typedef {import("../model.js").Outcome} Outcome
 * @typedef {import("../protocol.js").AboutCall} AboutCall
 * @typedef {import("../protocol.js").FromClient} FromClient
 * @typedef {import("../protocol.js").CallInvitation} CallInvitation
 * @typedef {import("../protocol.js").CallMessage} CallMessage
 * @typedef {import("../memory.js").CallMemory} CallMemory
 *
 * @typedef {object} CallSetup
 * @property {CallKind} kind
 * @property {Scope} scope
 * @property {Person} other
 * @property {CallInvitation} [invitation] of the other party; without it the call is ours to make
 * @property {string} [transferredFrom] the call whose transfer led to this one
 * @property {Pick<CallMemory, "id" | "muted" | "cameraOn" | "chat">} [resumed] a call that goes on already, and that this page is
 *   to come back to
 * @property {import("../media/localmedia.js").LocalMedia} [media] of a call that made way for this one
 * @property {(message: FromClient) => boolean} send
 * @property {(message: FromClient) => void} sayGoodbye as `send`, but sent again until the server has heard it
 * @property {() => void} probe sees whether the server can be reached
 * @property {import("../iceservers.js").IceServers} iceServers
 * @property {import("../clock.js").ServerClock} clock
 */
import { sameScope } from "../model.js";
import { scopeFields, scopeOf } from "../protocol.js";

/** Milliseconds that a ringing telephone waits beyond `expires_at` for the server to end the call. */
const RING_MARGIN = 3_000;
/** Characters of what is said by declining, as the server counts. */
export const LONGEST_MESSAGE = 200;

/** Events: `change` when any field changed. */
export class CallLife extends EventTarget {
  /** @type {Phase} */
  phase;
  /** @type {Outcome | null} */
  outcome = null;
  /** @type {number | null} whole seconds from the answer to the end, by the server's clock; null: never answered */
  duration = null;
  /** @type {string | null} what the other party said by declining */
  declineMessage = null;
  /** @type {string | null} the server's name for this call; a caller learns it with the first message about it */
  id;
  /** @type {CallKind} */
  kind;

  /** Another device of ours is in the call, and is being asked for it. */
  moving = false;

  /** @protected */
  setup;
  /** @type {number | null} @protected */
  answeredAt = null;
  /** Whether the server has heard of this call from us, so that it must hear of its end too. @protected */
  announced;
  #deadline = 0;

  /** @param {CallSetup} setup */
  constructor(setup) {
    super();
    const { invitation, resumed } = setup;
    this.setup = setup;
    this.kind = setup.kind;
    this.id = invitation?.call_id ?? resumed?.id ?? null;
    this.phase = resumed ? "reconnecting" : invitation ? "incoming" : "preparing";
    this.announced = resumed !== undefined;
    if (invitation) this.#ringFor(invitation);
  }

  /**
   * The caller pressed twice, or reloaded its page, or its server has died: the same call rings on, and its latest offer counts.
   *
   * @param {CallInvitation} invitation
   */
  invitedAgain(invitation) {
    if (this.phase !== "incoming" && this.phase !== "preparing") return; // we have answered the earlier one
    this.setup = { ...this.setup, invitation };
    this.kind = invitation.call_type;
    this.#ringFor(invitation);
    this.changed();
  }

  /** @param {CallInvitation} invitation */
  #ringFor({ expires_at: expiresAt }) {
    const left = expiresAt - this.setup.clock.now();
    this.giveUpAfter(Math.max(0, left) + RING_MARGIN, "missed");
  }

  get scope() {
    return this.setup.scope;
  }
  get other() {
    return this.setup.other;
  }
  get isIncoming() {
    return this.setup.invitation !== undefined;
  }
  get isOver() {
    return this.phase === "ended";
  }
  get isAnswered() {
    return ["connecting", "connected", "reconnecting"].includes(this.phase);
  }
  /** @returns {number | null} whole seconds since the answer */
  get elapsed() {
    if (this.answeredAt === null) return null;
    return Math.max(0, Math.floor((this.setup.clock.now() - this.answeredAt) / 1000));
  }

  /** The number of the message that made us ring. */
  get invitationSeq() {
    return this.setup.invitation?.seq ?? null;
  }

  /**
   * Whether a message is about this call. A call of ours has no name until the server gives it one.
   *
   * @param {CallMessage} message
   */
  concerns(message) {
    if (!sameScope(scopeOf(message), this.scope)) return false;
    // `call_id` is of protocol version 2: a server of version 1 does not send it.
    return this.id === null || message.call_id === undefined || message.call_id === this.id;
  }

  /**
   * Glare: our invitation crossed one of the other party, which has not arrived yet. Wait for it.
   *
   * @param {number} delay milliseconds
   */
  holdOut(delay) {
    this.announced = false; // to the server, this call never was
    this.giveUpAfter(delay, "unavailable");
  }

  /**
   * Do not take the call.
   *
   * @param {string} [message] that the caller gets and keeps
   */
  decline(message = "") {
    // By characters: half of an emoji is no text.
    if (this.phase === "incoming") this.giveUp("dismissed", [...message.trim()].slice(0, LONGEST_MESSAGE).join(""));
  }

  /** @param {AboutCall} message @protected */
  send(message) {
    return this.setup.send(this.addressed(message));
  }

  /**
   * @param {AboutCall} message
   * @returns {FromClient}
   */
  addressed(message) {
    const name = this.id === null ? {} : { call_id: this.id };
    return { ...message, ...scopeFields(this.scope), ...name, to_profile_id: this.other.id, to_profile_type: this.other.type };
  }

  /**
   * End the call from here, and say so to the server.
   *
   * @param {Outcome} outcome
   * @param {string} [message] to a caller who is declined
   * @protected
   */
  giveUp(outcome, message) {
    if (this.isOver) return;
    if (this.isIncoming && !this.announced) {
      // What fails is no refusal, and other devices of ours ring on.
      const reason = outcome === "dismissed" ? "rejected" : "media_unavailable";
      this.setup.sayGoodbye(this.addressed({ type: "call_declined", reason, ...(message ? { message } : {}) }));
    } else if (this.announced) {
      this.setup.sayGoodbye(this.addressed({ type: "call_ended" }));
    }
    this.finish(outcome, this.isAnswered ? this.elapsed : null);
  }

  /**
   * @param {number} delay milliseconds
   * @param {Outcome} outcome
   * @protected
   */
  giveUpAfter(delay, outcome) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      // A telephone that has rung out declines nothing: the call is over, or rings on elsewhere.
      if (outcome === "missed") this.finish(outcome, null);
      else this.giveUp(outcome);
    }, delay);
  }

  /** The server counts from here on. @protected */
  keepWaiting() {
    clearTimeout(this.#deadline);
  }

  /**
   * @param {Outcome} outcome
   * @param {number | null} duration
   * @protected
   */
  finish(outcome, duration) {
    if (this.isOver) {
      // The server's count, after we hung up by ourselves, is the one that the other party sees too.
      this.duration = duration ?? this.duration;
      this.changed();
      return;
    }
    this.outcome = outcome;
    this.duration = duration;
    this.phase = "ended";
    clearTimeout(this.#deadline);
    this.release();
    this.changed();
  }

  /** What the call has taken hold of is let go. @protected */
  release() {}

  /** @param {Phase} phase @protected */
  enter(phase) {
    if (this.phase === phase || this.isOver) return;
    this.phase = phase;
    this.changed();
  }

  /** @protected */
  changed() {
    this.dispatchEvent(new Event("change"));
  }
}

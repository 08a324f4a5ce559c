/**
 * The calls of one signed-in profile: at most one at a time, and who gets which message. No DOM.
 *
 * @typedef {import("../model.js").Contact} Contact
 * @typedef {import("../model.js").CallKind} CallKind
 * @typedef {import("../protocol.js").FromServer} FromServer
 * @typedef {import("../protocol.js").FromClient} FromClient
 * @typedef {import("../protocol.js").CallMessage} CallMessage
 * @typedef {import("../protocol.js").CallInvitation} CallInvitation
 * @typedef {import("../protocol.js").CallState} CallState
 * @typedef {import("../protocol.js").CallElsewhere} CallElsewhere
 * @typedef {import("../memory.js").CallMemory} CallMemory
 *
 * @typedef {"not_connected" | "in_call_elsewhere" | "file_offered" | import("./talk.js").TalkNotice} Notice What the user should be told, and no call shows.
 *
 * @typedef {object} CallsSetup
 * @property {import("../connection.js").Connection} connection
 * @property {import("../clock.js").ServerClock} clock
 * @property {import("../iceservers.js").IceServers} iceServers
 * @property {CallMemory | null} remembered the call that the page's former life was in
 * @property {(call: Omit<CallMemory, "owner"> | null) => void} remember
 */
import { Call } from "./call.js";
import { keyOf, sameScope } from "../model.js";
import { scopeFields, scopeOf, senderOf } from "../protocol.js";

/** Milliseconds after a welcome in which the server mentions the call that we are in, if it knows one. */
const RESUME_WINDOW = 4_000;
/** The same if the welcome names the call: the server that has it may have died, and another one takes it over after 9 s. */
const SUCCESSION_WINDOW = 30_000;
/** Milliseconds after `call_glare` in which the invitation that it names arrives, if it is not there yet. */
const GLARE_WINDOW = 5_000;

/**
 * Events: `change` whenever the current call is replaced or changes; `ended`, a `CustomEvent<Call>`, once per call;
 * `missed`, a `CustomEvent<MissedCall>`; `unseen`, a `CustomEvent<number>`: so many missed calls were not seen yet; `notice`, a
 * `CustomEvent<Notice>`; `refusal`, a `CustomEvent<string>`: the server's words on something we sent; `lost`, a
 * `CustomEvent<DeviceLoss>`: a microphone or camera of the current call is gone.
 */
export class Calls extends EventTarget {
  /** @type {Call | null} the call that is going on; null when there is none */
  current = null;
  /**
   * A call of ours on another device: a `call_state` if that one has lost it, and it can be taken over here; a `call_elsewhere`
   * if it is in it, and can be asked.
   *
   * @type {CallState | CallElsewhere | null}
   */
  elsewhere = null;
  /** @type {Call | null} the previous call: the server's duration of it may still arrive */
  #lastCall = null;
  #setup;
  /** Names of calls that this page has seen the end of: what still arrives about them is old news. */
  #finished = new Set();
  /** @type {Map<string, FromClient>} how the user ended a call or declined it, by the call */
  #goodbyes = new Map();
  /** @type {Set<string>} the calls whose end the server has not confirmed */
  #unconfirmed = new Set();
  #resume = 0;
  /** @type {{callId: string, until: number} | null} the invitation that is to be answered at once */
  #glare = null;

  /** @param {CallsSetup} setup */
  constructor(setup) {
    super();
    this.#setup = setup;
    setup.connection.addEventListener("message", (event) => {
      this.#receive(/** @type {CustomEvent<FromServer>} */ (event).detail);
    });
  }

  /** Come back to the call that the page was in before it was reloaded; the server says whether it still goes on. */
  comeBack() {
    const { remembered } = this.#setup;
    if (remembered?.answered) this.#adopt(this.#newCall({ ...remembered, resumed: remembered }));
    else if (remembered) this.#setup.remember(null);
  }

  /**
   * Call a contact.
   *
   * @param {Pick<Contact, "scope" | "other">} contact
   * @param {CallKind} kind
   * @param {string} [transferredFrom] the call whose transfer led to this one
   */
  start({ scope, other }, kind, transferredFrom) {
    if (this.current) return;
    if (this.#setup.connection.state !== "online") {
      this.#tell("notice", "not_connected");
      return;
    }
    if (this.elsewhere?.type === "call_elsewhere") return this.#tell("notice", "in_call_elsewhere"); // or we would be busy
    void this.#adopt(this.#newCall({ scope, other, kind, transferredFrom })).start();
  }

  /** Take the call that another device has lost, or ask the one that is in it. */
  takeOver() {
    const { elsewhere } = this;
    if (!elsewhere || this.current) return;
    this.#finished.delete(elsewhere.call_id); // it was here, or rang here, and went elsewhere
    this.#goodbyes.delete(elsewhere.call_id);
    if (elsewhere.type === "call_state") this.#comeInto(elsewhere);
    else if (elsewhere.can_move) void this.#adopt(this.#resumedFrom(elsewhere)).moveHere();
  }

  /** Whether a call is the current one, or was here. @param {string} callId */
  hasSeen(callId) {
    return this.current?.id === callId || this.#finished.has(callId);
  }

  /** The page is about to go. */
  leave() {
    clearTimeout(this.#resume);
    this.current?.leave();
  }

  /** @param {FromServer} message */
  #receive(message) {
    if ("server_time" in message) this.#learnTime(message);
    switch (message.type) {
      case "welcome":
        return this.#welcomed(message);
      case "error":
        return this.#refused(message);
      case "call_missed":
        return this.#tell("missed", message.call);
      case "missed_calls":
        return this.#tell("unseen", message.unseen_count);
      case "call_invitation":
        return this.#invited(message);
      case "call_glare":
        return this.#glared(message);
      case "call_elsewhere":
        return this.#isElsewhere(message);
      case "pong":
        return undefined;
      default:
        return "call_id" in message ? this.#about(message) : undefined; // a type that came after this page
    }
  }

  /** @param {{type: string, server_time: number}} message */
  #learnTime({ type, server_time: serverTime }) {
    if (type === "welcome") this.#setup.clock.reset();
    this.#setup.clock.observe(serverTime);
  }

  /**
   * We are (back) on line. The server says at once which call we are in; one that it does not name is over.
   *
   * @param {import("../protocol.js").Welcome} welcome
   */
  #welcomed({ call_id: callId }) {
    const call = this.current;
    clearTimeout(this.#resume);
    for (const callId of this.#unconfirmed) this.#endAgain(callId);
    if (this.elsewhere) this.#notElsewhere();
    if (!call || call.phase === "preparing") return;
    call.serverIsBack();
    const window = callId !== undefined && callId === call.id ? SUCCESSION_WINDOW : RESUME_WINDOW;
    this.#resume = setTimeout(() => {
      if (this.current === call) call.forgotten();
    }, window);
  }

  /** @param {import("../protocol.js").ErrorMessage} error */
  #refused({ ref, code, message }) {
    // A candidate that was not to the server's taste is no concern of the user's, nor is a hang-up that came too late.
    if (ref === "ice_candidate" || ref === "call_restart" || ref === "ping") return;
    if (ref === "call_ended" || ref === "call_declined") return this.#unconfirmed.clear();
    if (ref === "call_rejoin_answer" && !this.current) return; // taken back too late
    if (!this.current?.refused(ref ?? "", code)) this.#tell("refusal", message);
  }

  /** @param {CallInvitation} invitation */
  #invited(invitation) {
    const call = this.current;
    if (call?.id === invitation.call_id) {
      clearTimeout(this.#resume);
      call.invitedAgain(invitation);
      return;
    }
    if (this.#goodbyes.has(invitation.call_id)) return this.#endAgain(invitation.call_id);
    this.#finished.delete(invitation.call_id); // answered elsewhere, and the server that has the call now does not know
    const what = { scope: scopeOf(invitation), other: senderOf(invitation), kind: invitation.call_type, invitation };
    if (call && this.#crosses(call, what)) {
      // Glare: two people call each other at the same moment. The server takes the other's call; it needs no second consent.
      void this.#adopt(this.#newCall({ ...what, media: call.stepAside() })).accept();
    } else if (!call) {
      const ringing = this.#adopt(this.#newCall(what));
      if (this.#glare?.callId === invitation.call_id && performance.now() < this.#glare.until) void ringing.accept();
    }
  }

  /**
   * Whether a call of ours that the server has not named yet is one to just that person.
   *
   * @param {Call} call
   * @param {Pick<Contact, "scope" | "other">} what
   */
  #crosses(call, { scope, other }) {
    return !call.isIncoming && call.id === null && sameScope(call.scope, scope) && keyOf(call.other) === keyOf(other);
  }

  /** @param {import("../protocol.js").CallGlare} message */
  #glared(message) {
    this.#glare = { callId: message.call_id, until: performance.now() + GLARE_WINDOW };
    const call = this.current;
    if (call?.id === message.call_id) {
      if (call.phase === "incoming") void call.accept();
      return;
    }
    // The invitation has not arrived yet; until then the screen shows this attempt.
    if (call && this.#crosses(call, { scope: scopeOf(message), other: senderOf(message) })) call.holdOut(GLARE_WINDOW);
  }

  /** @param {CallMessage} message */
  #about(message) {
    const call = this.current;
    // It has come here.
    if (message.type === "call_state" && message.yours !== false && this.elsewhere?.call_id === message.call_id) this.#notElsewhere();
    if (message.type === "call_ended" || (message.type === "call_state" && message.state === "ended")) this.#over(message);
    if (call?.concerns(message) && !this.#finished.has(message.call_id)) {
      clearTimeout(this.#resume);
      if (message.type === "call_state" && isToBeRejoined(call, message)) void call.rejoin(message.yours === false);
      call.receive(message);
    } else if (message.type === "call_state" && message.state !== "ended" && (!call || this.#isEndedHere(message.call_id))) {
      this.#goesOn(message);
    } else if (this.#lastCall?.concerns(message)) {
      this.#lastCall.receive(message);
    }
  }

  /** @param {CallMessage} message of the end of a call */
  #over(message) {
    this.#unconfirmed.delete(message.call_id);
    if (this.elsewhere?.call_id === message.call_id) this.#notElsewhere();
  }

  /**
   * What the user has ended goes on for the server: the message was lost, or another server of a cluster has the call now, and one that
   * was cut off has confirmed the end.
   *
   * @param {string} callId
   */
  #endAgain(callId) {
    const goodbye = this.#goodbyes.get(callId);
    if (goodbye) this.#setup.connection.send(goodbye);
  }

  /** Whether our user has ended a call. One that only could not be answered here may go on. @param {string} callId */
  #isEndedHere(callId) {
    const goodbye = this.#goodbyes.get(callId);
    return goodbye !== undefined && !("reason" in goodbye && goodbye.reason === "media_unavailable");
  }

  /**
   * A call that the server believes us to be in, or that we may be in, while this page has none or another one.
   *
   * @param {CallState} message
   */
  #goesOn(message) {
    const rings = message.state === "ringing" || message.state === "invited";
    // One that was here, or rang here, and went elsewhere, may come back.
    const isOver = message.yours === false ? this.#isEndedHere(message.call_id) : this.#finished.has(message.call_id);
    if (rings || isOver) {
      // Or the page that called is gone, and an invitation cannot be resumed.
      const { from_profile_id: to_profile_id, from_profile_type: to_profile_type, call_id } = message;
      const to = { ...scopeFields(scopeOf(message)), call_id, to_profile_id, to_profile_type };
      this.#setup.connection.send({ type: "call_ended", ...to });
    } else if (message.yours !== false) {
      this.#comeInto(message);
    } else {
      this.elsewhere = message;
      this.dispatchEvent(new Event("change"));
    }
  }

  /** @param {CallElsewhere} message */
  #isElsewhere(message) {
    if (message.over) return this.#over(message);
    if (this.current?.id === message.call_id && !this.current.moving) return; // as it was before we came into it
    this.elsewhere = message;
    this.dispatchEvent(new Event("change"));
  }

  /** @param {CallState | CallElsewhere} message */
  #resumedFrom(message) {
    const resumed = { id: message.call_id, muted: false, cameraOn: message.call_type === "video", chat: [] };
    return this.#newCall({ scope: scopeOf(message), other: senderOf(message), kind: message.call_type, resumed });
  }

  /** @param {CallState} message */
  #comeInto(message) {
    const call = this.#resumedFrom(message);
    this.#notElsewhere();
    this.#adopt(call);
    call.receive(message);
    void call.rejoin();
  }

  #notElsewhere() {
    this.elsewhere = null;
    this.dispatchEvent(new Event("change"));
  }

  /**
   * @param {Omit<import("./calllife.js").CallSetup, "send" | "sayGoodbye" | "probe" | "iceServers" | "clock">} what
   * @returns {Call}
   */
  #newCall(what) {
    const { connection, iceServers, clock } = this.#setup;
    const sayGoodbye = (/** @type {FromClient} */ message) => {
      if ("call_id" in message && message.call_id) {
        this.#goodbyes.set(message.call_id, message);
        this.#unconfirmed.add(message.call_id);
      }
      connection.send(message);
    };
    const send = (/** @type {FromClient} */ message) => connection.send(message);
    return new Call({ ...what, send, sayGoodbye, probe: () => connection.retryNow(), iceServers, clock });
  }

  /**
   * @param {Call} call
   * @returns {Call}
   */
  #adopt(call) {
    this.current = call;
    if (call.phase === "incoming") this.#setup.connection.wantAgain(call.invitationSeq);
    call.addEventListener("change", () => {
      if (this.current === call) {
        if (call.phase !== "incoming") this.#setup.connection.wantAgain(null);
        if (call.isOver) this.#ended(call);
        else this.#setup.remember(call.toRemember());
      }
      this.dispatchEvent(new Event("change"));
    });
    call.leg.files.addEventListener("offered", () => this.#tell("notice", "file_offered"));
    call.leg.addEventListener("lost", (event) => this.#tell("lost", /** @type {CustomEvent} */ (event).detail));
    call.talk.addEventListener("notice", (event) => this.#tell("notice", /** @type {CustomEvent} */ (event).detail));
    this.dispatchEvent(new Event("change"));
    return call;
  }

  /** @param {Call} call */
  #ended(call) {
    this.current = null;
    this.#lastCall = call;
    if (call.id) this.#finished.add(call.id);
    this.#setup.remember(null);
    this.#tell("ended", call);
    if (call.successor) this.start(call.successor, call.kind, call.id ?? undefined);
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * Whether a call goes on without us, and can have us back.
 *
 * @param {Call} call
 * @param {CallState} message
 */
function isToBeRejoined({ id, isAnswered, isOver, isIncoming, lacksConnection }, { call_id: callId, state, yours }) {
  if (isOver || !["answered", "connected", "reconnecting"].includes(state)) return false;
  // A caller may not have heard of the answer: the server that had it has died.
  return isAnswered ? lacksConnection || yours === false : !isIncoming && id === callId && yours === false;
}

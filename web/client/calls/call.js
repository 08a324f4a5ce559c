/**
 * One call: where it stands, from the first ring to the end. No DOM: what it shows is read from its fields at each `change`.
 *
 * @typedef {import("../model.js").Person} Person
 * @typedef {import("../model.js").Scope} Scope
 * @typedef {import("../protocol.js").AboutCall} AboutCall
 * @typedef {import("../protocol.js").CallMessage} CallMessage
 * @typedef {import("../memory.js").CallMemory} CallMemory
 */
import { Answering } from "./answering.js";
import { CallCare } from "./callcare.js";
import { CallLife } from "./calllife.js";
import { Leg } from "../media/leg.js";
import { outcomeOf } from "./outcomes.js";
import { personOf, scopeOf } from "../protocol.js";
import { Rejoin, keptOutcome } from "./rejoin.js";
import { Talk } from "./talk.js";

/** Milliseconds for the server to say anything about our invitation; it normally takes a hundredth of that. */
const INVITATION_TIMEOUT = 20_000;
/** Milliseconds without our own transport until we give up. The server's own patience (30 s by default) should end first. */
const TRANSPORT_TIMEOUT = 45_000;

export class Call extends CallLife {
  /** @type {{scope: Scope, other: Person} | null} the target of the transfer, to be called now */
  successor = null;
  /** @type {Leg} */
  leg;
  /** @type {Talk} */
  talk;
  /** @type {CallCare} */
  care;

  /** @type {import("../protocol.js").ServerState | null} what the server said last */
  #serverState = null;
  #answering;
  #rejoin;
  #transportDeadline = 0;

  /** @param {import("./calllife.js").CallSetup} setup */
  constructor(setup) {
    super(setup);
    const { resumed, probe } = setup;
    const send = (/** @type {AboutCall} */ message) => this.send(message);
    const now = () => setup.clock.now();
    this.leg = new Leg({ send, probe, iceServers: setup.iceServers, media: setup.media, muted: resumed?.muted, now });
    this.talk = new Talk(send, setup.clock, resumed?.chat);
    const invitation = () => (this.isOver ? null : (this.setup.invitation ?? null));
    this.#answering = new Answering(invitation, ({ offer }) => this.#join(offer), (message) => this.#announce(message));
    this.#rejoin = new Rejoin(send, () => this.#openAgain(), (offer, id) => this.#comeIn(offer, id));
    this.talk.chatKept = setup.invitation?.chat_kept ?? null;
    if (setup.invitation?.will_be_recorded) this.talk.recording.announce();
    this.leg.addEventListener("change", () => this.#legChanged());
    this.leg.addEventListener("transport", () => this.#transportChanged());
    this.talk.addEventListener("change", () => this.#talkChanged());
    this.care = new CallCare(this.leg, this.talk, () => this.isAnswered, () => this.changed());
  }

  /** Whether a `reconnecting` is about the other party: our own transport is fine. */
  get otherIsAway() {
    return this.phase === "reconnecting" && this.leg.isConnected;
  }
  /** Whether it is recorded once it is answered. */
  get willBeRecorded() {
    return this.talk.recording.state === "announced";
  }

  // -- what the user does ----------------------------------------------------------------------------------------------

  /** Make the call. */
  async start() {
    await this.#attempt(async () => {
      await this.leg.open(this.kind);
      if (this.isOver) return;
      const offer = await this.leg.invite(this.kind);
      if (this.isOver) return;
      const { transferredFrom } = this.setup;
      const origin = transferredFrom === undefined ? {} : { transferred_from: transferredFrom };
      this.#announce({ type: "call_invitation", call_type: this.kind, offer, ...origin, can_show_recording: true });
      this.enter("calling");
      this.giveUpAfter(INVITATION_TIMEOUT, "unavailable");
    });
  }

  /** Answer the call. @param {import("../model.js").CallKind} [kind] `voice`: without video, which can be turned on later */
  async accept(kind = this.kind) {
    if (this.phase !== "incoming") return;
    this.enter("preparing");
    await this.#attempt(async () => {
      await this.leg.open(kind);
      if (!(await this.#answering.answer())) return;
      this.#goesOn();
      this.#legChanged();
      this.#transportChanged(); // the deadline for connecting runs from here
    });
  }

  /** Hang up, cancel or decline, whichever it is now. */
  end() {
    if (this.isOver) return;
    if (this.moving) {
      this.send({ type: "call_rejoin_answer", accepted: false }); // the call goes on where it is
      return this.finish("cancelled", null);
    }
    const outcome = this.isAnswered ? "completed" : this.isIncoming ? "dismissed" : "cancelled";
    this.giveUp(outcome);
  }

  /**
   * @throws {import("../media/media.js").MediaUnavailable} when the camera is wanted and cannot be had
   * @throws {import("../media/proposal.js").UpdateFailed} when the other side does not take it
   */
  async toggleCamera() {
    if (this.leg.videoPaused) this.care.sendVideo();
    else await this.leg.toggleCamera();
  }

  // -- what the page needs ----------------------------------------------------------------------------------------------

  /** @returns {Omit<CallMemory, "owner"> | null} what is needed to resume this call; null: it cannot be resumed */
  toRemember() {
    const { id, scope, other, kind, isAnswered: answered, leg } = this;
    const { muted } = leg;
    // A camera that is still being opened, after the page was reloaded, counts as it was before.
    const cameraOn = leg.localStream ? leg.cameraOn : (this.setup.resumed?.cameraOn ?? kind === "video");
    return id === null || this.phase === "incoming" || this.moving
      ? null
      : { id, scope, other, kind, answered, muted, cameraOn, chat: this.talk.chat.entries };
  }

  // -- what the server says --------------------------------------------------------------------------------------------

  /** @override @param {import("../protocol.js").CallInvitation} invitation */
  invitedAgain(invitation) {
    super.invitedAgain(invitation);
    this.#answering.rang(() => {
      this.setup = { ...this.setup, invitation };
      void this.#attempt(async () => void (await this.#answering.answer()));
    });
  }

  /** @param {CallMessage} message */
  receive(message) {
    this.id ??= message.call_id ?? null;
    switch (message.type) {
      case "call_answer":
        return void this.#answered(message.answer);
      case "ice_candidate":
        return void this.leg.candidate(message.candidate);
      case "call_declined":
        this.declineMessage = message.message ?? null;
        return this.finish(outcomeOf(message.reason, this), null);
      case "call_ended":
        return this.#ended(message);
      case "call_rejoin_answer":
        return this.moving ? this.finish(keptOutcome(message.reason), null) : this.talk.receive(message);
      case "call_update":
        return void this.#updated(message);
      case "call_state":
        this.talk.receive(message);
        return this.#stateChanged(message);
      default:
        return this.talk.receive(message);
    }
  }

  /**
   * The server has refused something that we sent.
   *
   * @param {string} ref
   * @param {string} code
   * @returns {boolean} whether the message is consumed
   */
  refused(ref, code) {
    if (this.talk.refused(ref, code)) return true;
    if (ref === "call_answer" || ref === "call_invitation") return this.#announcementRefused();
    if (ref !== "call_rejoin") void this.leg.refused(ref, code).catch(() => {});
    else if (this.#rejoin.refused()) this.finish(this.moving ? "kept_elsewhere" : "lost", null);
    return true;
  }

  /** We are on line again. */
  serverIsBack() {
    this.#rejoin.forget();
    if (this.moving) return void this.moveHere();
    if (!this.isAnswered) return;
    if (this.#answering.unconfirmed) this.send(this.#answering.unconfirmed);
    this.talk.serverIsBack();
    this.leg.serverIsBack();
  }

  /** Whether the call can only be had back by a new peer connection, and the server has not got our answer to its offer. */
  get lacksConnection() {
    return this.leg.peerConnection === null || this.#rejoin.isWanted;
  }

  /**
   * Come back to a call whose peer connection is gone with the page that had it, or was another device's, or another server's.
   *
   * @param {boolean} [again] the server says that we may: one that we have asked already may not have the call any more
   */
  async rejoin(again = false) {
    if (!this.#rejoin.ask({ again })) return;
    if (!this.isAnswered) this.#goesOn();
    this.#transportChanged();
    await this.#attempt(() => this.#openAgain());
  }

  /** Have the call that another device of ours is in, if that one lets us. What takes long comes first: the others wait less. */
  async moveHere() {
    this.moving = true;
    this.announced = false; // the end of this attempt is not that of the call
    this.changed();
    await this.#attempt(async () => {
      await this.#openAgain();
      if (!this.isOver && this.moving) this.#rejoin.ask({ move: true });
    });
  }

  /** After a reconnection the server did not mention this call. If media flows, that is proof enough that it goes on. */
  forgotten() {
    if (this.moving) return; // it is not ours yet
    if (this.isAnswered && this.leg.isConnected) return;
    if (this.isIncoming && !this.announced) this.finish("missed", null);
    else this.giveUp("lost");
  }

  /**
   * Another call replaces this one before the server has given this one an id.
   *
   * @returns {import("../media/localmedia.js").LocalMedia} for the other call to use
   */
  stepAside() {
    const media = this.leg.handOver();
    this.announced = false;
    this.finish("cancelled", null);
    return media;
  }

  /** The page goes away. A call that is answered waits for it to come back, and sees at once that it is gone. */
  leave() {
    if (this.phase === "incoming") return; // it rings on elsewhere
    if (this.isAnswered) this.leg.disconnect();
    else this.end(); // an invitation cannot be resumed
  }

  // -- inside ----------------------------------------------------------------------------------------------------------

  /**
   * Send our offer or answer, then the candidates that were found meanwhile.
   *
   * @param {AboutCall} message
   * @throws {Error} when we are not connected to the server
   */
  #announce(message) {
    if (!this.send(message)) throw new Error("not connected to the server");
    this.announced = true;
    this.leg.announced();
  }

  #announcementRefused() {
    if (this.isAnswered && !this.#answering.unconfirmed) return true; // it was sent twice, to be sure
    if (!this.isIncoming) this.announced = false; // to the server, this call never was
    this.giveUp("failed");
    return false;
  }

  /** @param {import("../protocol.js").CallState} message */
  #stateChanged(message) {
    const { state } = message;
    if (message.yours !== false) this.moving = false;
    else this.talk.serverIsAnother();
    this.leg.canUpdate = message.can_update ?? true;
    if (message.answered_at) this.answeredAt = message.answered_at;
    if (this.isAnswered) this.kind = message.call_type;
    this.#serverState = state;
    if (state === "ended") {
      this.finish(outcomeOf(message.reason ?? "", this), message.duration_seconds ?? null);
    } else if (state === "ringing" || state === "invited") {
      this.keepWaiting(); // from here on the server counts
      if (this.phase === "calling" && state === "ringing") this.enter("ringing");
    } else {
      this.#answering.unconfirmed = null;
      this.#settle();
    }
  }

  /** @param {import("../protocol.js").Answer} answer */
  async #answered(answer) {
    if (this.isOver || this.isIncoming || this.isAnswered) return; // an answer that comes twice must not disturb the first
    this.#goesOn();
    await this.#attempt(async () => {
      await this.leg.joined(answer);
      this.#legChanged();
      this.#transportChanged();
    });
  }

  /** One party has answered the other. */
  #goesOn() {
    this.keepWaiting();
    this.answeredAt ??= this.setup.clock.now(); // until the server gives its own figure
    this.enter("connecting");
  }

  /** @param {import("../protocol.js").CallUpdate} message */
  async #updated(message) {
    if (this.isOver || !this.isAnswered) return;
    this.kind = message.call_type;
    if (this.#rejoin.concerns(message)) return this.#attempt(() => this.#rejoin.answer(message));
    if (this.#rejoin.wasMissed(message)) {
      this.#rejoin.forget();
      return this.rejoin();
    }
    try {
      await this.leg.receive(message);
    } catch (error) {
      if (this.isOver) return;
      console.warn("the call could not be changed:", error);
      if (message.offer) this.send({ type: "call_update", rejected: true });
    }
    this.changed();
  }

  /** @param {import("../protocol.js").CallEnded} message */
  #ended({ reason, duration_seconds: duration, transfer }) {
    if (transfer) this.successor = { scope: scopeOf(transfer), other: personOf(transfer) };
    this.finish(outcomeOf(reason, this), duration ?? null);
  }

  /** As the page had it before it was reloaded, or has it now. */
  #openAgain() {
    return this.leg.openAgain(this.kind === "video" && this.setup.resumed?.cameraOn !== false ? "video" : "voice");
  }

  /** @param {import("../protocol.js").Offer} offer that a new peer connection answers */
  async #join(offer) {
    const answer = await this.leg.join(offer);
    if (this.isOver) this.leg.disconnect(); // it had to wait, and has ended meanwhile
    return answer;
  }

  /**
   * @param {import("../protocol.js").Offer} offer of the server
   * @param {string | undefined} id
   * @returns {Promise<boolean>} whether the answer was sent: otherwise the call is asked for once the server is back
   */
  async #comeIn(offer, id) {
    const answer = await this.#join(offer);
    if (this.isOver) return false;
    const isSent = this.send({ type: "call_update", update_id: id, answer });
    this.announced = true;
    if (isSent) this.leg.announced();
    this.#legChanged();
    return isSent;
  }

  #transportChanged() {
    clearTimeout(this.#transportDeadline);
    if (this.isOver || !this.isAnswered) return;
    if (!this.leg.isConnected) {
      const outcome = this.phase === "connecting" ? "failed" : "lost";
      this.#transportDeadline = setTimeout(() => this.giveUp(outcome), TRANSPORT_TIMEOUT);
    }
    this.#settle();
  }

  /** Which phase an answered call is in, from what the server says and from what our own transport says. */
  #settle() {
    if (this.isOver || !this.isAnswered) return;
    const connected = this.leg.isConnected;
    const wasConnected = this.phase !== "connecting";
    if (this.#serverState === "reconnecting" || (wasConnected && !connected)) this.enter("reconnecting");
    // `answered`: the other party's media has not arrived yet, so the duration does not run.
    else if (connected && this.#serverState !== "answered") this.enter("connected");
    this.changed();
  }

  #legChanged() {
    const { muted, cameraOn, sharing, videoPaused, problems } = this.leg;
    if (this.isAnswered) {
      if (cameraOn || sharing) this.kind = "video";
      const cameraOff = this.kind === "video" && (!cameraOn || videoPaused);
      const [noMicrophone, noCamera] = [problems.microphone !== null, cameraOff && problems.camera !== null];
      this.talk.say({ muted, cameraOff, sharing, noMicrophone, noCamera });
    }
    this.changed();
  }

  #talkChanged() {
    const { noMicrophone, cameraOff, sharing } = this.talk.otherMedia;
    this.leg.hold(this.talk.isHeld);
    this.leg.expectNothing(noMicrophone && !sharing && (cameraOff || this.kind === "voice"));
    this.changed();
  }

  /** @protected @override */
  release() {
    clearTimeout(this.#transportDeadline);
    this.#answering.close();
    this.care.close();
    this.talk.close();
    this.leg.close();
  }

  /**
   * Do one step of the call setup. If it fails, the call ends, so that the other party does not wait.
   *
   * @param {() => Promise<void>} step
   */
  async #attempt(step) {
    try {
      await step();
    } catch (error) {
      if (this.isOver) return; // closed under its hands, which is no failure
      console.warn("the call could not be set up:", error);
      this.giveUp("failed");
    }
  }
}

/**
 * One call: where it stands, and its RTCPeerConnection. No DOM: what it shows is read from its fields at each `change`.
 *
 * The other end of the peer connection is the relay, whose answer carries all the addresses there are, so nothing here waits
 * for ICE candidates; they are sent because the protocol has them.
 *
 * @typedef {import("./model.js").Person} Person
 * @typedef {import("./model.js").CallKind} CallKind
 * @typedef {import("./protocol.js").FromClient} FromClient
 * @typedef {import("./protocol.js").CallInvitation} CallInvitation
 * @typedef {import("./protocol.js").CallMessage} CallMessage
 * @typedef {import("./protocol.js").WireCandidate} WireCandidate
 * @typedef {import("./model.js").Phase} Phase
 * @typedef {import("./model.js").Outcome} Outcome
 *
 * @typedef {object} CallSetup
 * @property {CallKind} kind
 * @property {number} conversationId
 * @property {Person} other
 * @property {CallInvitation} [invitation] of the other party; without it the call is ours to make
 * @property {(message: FromClient) => boolean} send
 * @property {RTCIceServer[]} iceServers
 * @property {import("./clock.js").ServerClock} clock
 */
import { MediaUnavailable, openCamera, openMedia, stop } from "./media.js";
import { outcomeOf } from "./outcomes.js";
import { watchVideo } from "./videowatch.js";

/** Milliseconds for the server to say anything about our invitation; it normally takes a hundredth of that. */
const INVITATION_TIMEOUT = 20_000;
/** Milliseconds without our own transport until we give up. The server's own patience (30 s by default) should end first. */
const TRANSPORT_TIMEOUT = 45_000;
/** Milliseconds that a ringing telephone waits beyond `expires_at` for the server to end the call. */
const RING_MARGIN = 3_000;
/** Milliseconds of black pictures before the camera stops, so that black is what the other side's picture freezes on. */
const BLACKOUT = 400;

export class Call extends EventTarget {
  /** @type {Phase} */
  phase;
  /** @type {Outcome | null} */
  outcome = null;
  /** @type {number | null} whole seconds from the answer to the end, by the server's clock; null: never answered */
  duration = null;
  /** @type {string | null} the server's name for this call; a caller learns it with the first message about it */
  id;
  /** @type {MediaStream | null} */
  localStream = null;
  remoteStream = new MediaStream();
  muted = false;
  cameraOn = false;
  /** A call that has no camera to begin with gets none later: that would need a new offer, which the protocol has not. */
  hasCamera = false;
  /** @type {"none" | "flowing" | "paused"} */
  remoteVideo = "none";
  /** @type {RTCPeerConnection | null} */
  peerConnection = null;

  #setup;
  /** @type {"ringing" | "answered" | "connected" | "reconnecting" | "ended" | null} what the server said last */
  #serverState = null;
  /** @type {number | null} */
  #answeredAt = null;
  /** Whether the server has heard of this call from us, so that it must hear of its end too. */
  #announced = false;
  /** @type {(RTCIceCandidate | null)[] | null} found before the message that they belong to was sent; null: sent */
  #unsentCandidates = [];
  /** @type {WireCandidate[] | null} received before the description that they belong to; null: it is there */
  #earlyCandidates = [];
  /** @type {RTCRtpSender | null} */
  #videoSender = null;
  #deadline = 0;
  #transportDeadline = 0;
  #blackout = 0;
  #stopWatching = () => {};

  /** @param {CallSetup} setup */
  constructor(setup) {
    super();
    this.#setup = setup;
    this.id = setup.invitation?.call_id ?? null;
    this.phase = setup.invitation ? "incoming" : "preparing";
    if (setup.invitation) {
      const left = setup.invitation.expires_at - setup.clock.now();
      this.#giveUpAfter(Math.max(0, left) + RING_MARGIN, "missed");
    }
  }

  get kind() {
    return this.#setup.kind;
  }
  get conversationId() {
    return this.#setup.conversationId;
  }
  get other() {
    return this.#setup.other;
  }
  get isIncoming() {
    return this.#setup.invitation !== undefined;
  }
  get isOver() {
    return this.phase === "ended";
  }
  get isAnswered() {
    return ["connecting", "connected", "reconnecting"].includes(this.phase);
  }
  /** Whether a `reconnecting` is about the other party: our own transport is fine. */
  get otherIsAway() {
    return this.phase === "reconnecting" && this.peerConnection?.connectionState === "connected";
  }
  /** @returns {number | null} whole seconds since the answer */
  get elapsed() {
    if (this.#answeredAt === null) return null;
    return Math.max(0, Math.floor((this.#setup.clock.now() - this.#answeredAt) / 1000));
  }
  /** How loud the other party is right now, from 0 to 1. */
  get remoteLevel() {
    const receiver = this.peerConnection?.getReceivers().find(({ track }) => track.kind === "audio");
    return receiver?.getSynchronizationSources?.()[0]?.audioLevel ?? 0;
  }

  // -- what the user does ----------------------------------------------------------------------------------------------

  /** Make the call. */
  async start() {
    await this.#attempt(async () => {
      const peerConnection = await this.#openPeerConnection();
      if (!peerConnection) return;
      // Without a camera of our own we still want to see the other party.
      if (this.kind === "video" && !this.hasCamera) peerConnection.addTransceiver("video", { direction: "recvonly" });
      const { sdp = "" } = await peerConnection.createOffer();
      await peerConnection.setLocalDescription({ type: "offer", sdp });
      if (this.isOver) return;
      this.#announce({ type: "call_invitation", call_type: this.kind, offer: { type: "offer", sdp }, ...this.#address });
      this.#enter("calling");
      this.#giveUpAfter(INVITATION_TIMEOUT, "unavailable");
    });
  }

  /** Answer the call. */
  async accept() {
    const invitation = this.#setup.invitation;
    if (!invitation || this.phase !== "incoming") return;
    this.#enter("preparing");
    await this.#attempt(async () => {
      const peerConnection = await this.#openPeerConnection(invitation.offer);
      if (!peerConnection) return;
      await this.#addEarlyCandidates();
      const { sdp = "" } = await peerConnection.createAnswer();
      await peerConnection.setLocalDescription({ type: "answer", sdp });
      if (this.isOver) return;
      this.#announce({ type: "call_answer", answer: { type: "answer", sdp }, ...this.#address });
      clearTimeout(this.#deadline);
      this.#answeredAt ??= this.#setup.clock.now(); // until the server gives its own figure
      this.#enter("connecting");
      this.#transportChanged(); // the deadline for connecting runs from here
    });
  }

  /** Hang up, cancel or decline, whichever it is now. */
  end() {
    if (this.isOver) return;
    const outcome = this.isAnswered ? "completed" : this.isIncoming ? "dismissed" : "cancelled";
    this.#giveUp(outcome);
  }

  toggleMute() {
    this.muted = !this.muted;
    this.localStream?.getAudioTracks().forEach((track) => (track.enabled = !this.muted));
    this.#changed();
  }

  /**
   * Off means off: the camera is released and its light goes out.
   *
   * @throws {MediaUnavailable} when the camera is wanted again and cannot be had
   */
  async toggleCamera() {
    const track = this.localStream?.getVideoTracks()[0];
    if (!this.hasCamera || this.isOver) return;
    this.cameraOn = !this.cameraOn;
    clearTimeout(this.#blackout);
    if (track) track.enabled = this.cameraOn;
    if (!this.cameraOn) this.#blackout = setTimeout(() => this.#releaseCamera(), BLACKOUT);
    this.#changed();
    if (this.cameraOn && !track) await this.#reopenCamera();
  }

  // -- what the server says --------------------------------------------------------------------------------------------

  /**
   * Whether a message is about this call. A call of ours has no name until the server gives it one.
   *
   * @param {CallMessage} message
   */
  concerns(message) {
    if (message.conversation_id !== this.conversationId) return false;
    // Clients of the five messages alone do without `call_id`, and so might a server.
    return this.id === null || message.call_id === undefined || message.call_id === this.id;
  }

  /** @param {CallMessage} message */
  receive(message) {
    this.id ??= message.call_id ?? null;
    switch (message.type) {
      case "call_answer":
        return void this.#answered(message.answer);
      case "ice_candidate":
        return void this.#candidate(message.candidate);
      case "call_declined":
        return this.#finish(outcomeOf(message.reason, this), null);
      case "call_ended":
        return this.#finish(outcomeOf(message.reason, this), message.duration_seconds ?? null);
      case "call_state":
        return this.#stateChanged(message);
      case "call_invitation": // delivered again after a reconnection: we ring already
        return undefined;
    }
  }

  /** The server has refused our invitation or our answer. */
  refused() {
    if (!this.isIncoming) this.#announced = false; // to the server, this call never was
    this.#giveUp("failed");
  }

  /** After a reconnection the server did not mention this call. If media flows, that is proof enough that it goes on. */
  forgotten() {
    if (this.isAnswered && this.peerConnection?.connectionState === "connected") return;
    if (this.isIncoming && !this.#announced) this.#finish("missed", null);
    else this.#giveUp("lost");
  }

  /** Another call takes this one's place, before the server has given this one a name. */
  stepAside() {
    this.#announced = false;
    this.#finish("cancelled", null);
  }

  // -- inside ----------------------------------------------------------------------------------------------------------

  get #address() {
    return {
      conversation_id: this.conversationId,
      to_profile_id: this.other.id,
      to_profile_type: this.other.type,
    };
  }

  /** @param {import("./protocol.js").CallState} message */
  #stateChanged(message) {
    if (message.answered_at) this.#answeredAt = message.answered_at;
    this.#serverState = message.state;
    if (message.state === "ended") {
      this.#finish(outcomeOf(message.reason ?? "", this), message.duration_seconds ?? null);
    } else if (message.state === "ringing") {
      clearTimeout(this.#deadline); // from here on the server counts
      if (this.phase === "calling") this.#enter("ringing");
    } else {
      this.#settle();
    }
  }

  /** @param {{type: "answer", sdp: string}} answer */
  async #answered(answer) {
    // An answer that comes twice must not disturb the first.
    if (this.isOver || this.isIncoming || this.peerConnection?.signalingState !== "have-local-offer") return;
    clearTimeout(this.#deadline);
    this.#answeredAt ??= this.#setup.clock.now();
    this.#enter("connecting");
    await this.#attempt(async () => {
      await this.peerConnection?.setRemoteDescription(answer);
      await this.#addEarlyCandidates();
      this.#transportChanged();
    });
  }

  /** @param {WireCandidate | null} candidate */
  async #candidate(candidate) {
    if (!candidate?.candidate || this.isOver) return;
    if (this.#earlyCandidates) this.#earlyCandidates.push(candidate);
    else await this.peerConnection?.addIceCandidate(candidate).catch(() => {}); // one bad address is not the end of a call
  }

  async #addEarlyCandidates() {
    const candidates = this.#earlyCandidates ?? [];
    this.#earlyCandidates = null;
    for (const candidate of candidates) await this.#candidate(candidate);
  }

  /**
   * Microphone, camera and peer connection.
   *
   * @param {{type: "offer", sdp: string}} [offer] the other party's, if there is one
   * @returns {Promise<RTCPeerConnection | null>} null: the call ended while the user was asked for permission
   */
  async #openPeerConnection(offer) {
    const stream = await openMedia(this.kind);
    if (this.isOver) {
      stop(stream);
      return null;
    }
    this.localStream = stream;
    this.hasCamera = this.cameraOn = stream.getVideoTracks().length > 0;
    stream.getAudioTracks().forEach((track) => (track.enabled = !this.muted));
    this.#changed();

    const peerConnection = new RTCPeerConnection({
      iceServers: this.#setup.iceServers,
      bundlePolicy: "max-bundle",
      rtcpMuxPolicy: "require",
    });
    this.peerConnection = peerConnection;
    peerConnection.addEventListener("icecandidate", ({ candidate }) => this.#found(candidate));
    peerConnection.addEventListener("connectionstatechange", () => this.#transportChanged());
    peerConnection.addEventListener("track", ({ track }) => this.#received(track));
    // The offer first: our tracks then go into the sections that it made for them.
    if (offer) await peerConnection.setRemoteDescription(offer);
    for (const track of stream.getTracks()) {
      const sender = peerConnection.addTrack(track, stream);
      if (track.kind === "video") this.#videoSender = sender;
    }
    return peerConnection;
  }

  /** @param {MediaStreamTrack} track */
  #received(track) {
    this.remoteStream.addTrack(track);
    if (track.kind === "video" && this.peerConnection) {
      this.#stopWatching();
      this.#stopWatching = watchVideo(this.peerConnection, track, (flow) => {
        this.remoteVideo = flow;
        this.#changed();
      });
    }
    this.#changed();
  }

  #releaseCamera() {
    for (const track of this.localStream?.getVideoTracks() ?? []) {
      track.stop();
      this.localStream?.removeTrack(track);
    }
    this.#videoSender?.replaceTrack(null).catch(() => {}); // the connection was closed meanwhile
    this.#changed();
  }

  async #reopenCamera() {
    /** @type {MediaStreamTrack} */
    let track;
    try {
      track = await openCamera();
    } catch (error) {
      this.cameraOn = false;
      this.#changed();
      throw error;
    }
    if (this.isOver || !this.cameraOn || this.localStream?.getVideoTracks().length) {
      track.stop();
      return;
    }
    this.localStream?.addTrack(track);
    await this.#videoSender?.replaceTrack(track).catch(() => {});
    this.#changed();
  }

  /** @param {RTCIceCandidate | null} candidate */
  #found(candidate) {
    if (this.#unsentCandidates) {
      this.#unsentCandidates.push(candidate);
      return;
    }
    // An empty candidate means the end of them just as null does; null is the plainer one.
    const wire = candidate?.candidate
      ? { candidate: candidate.candidate, sdpMid: candidate.sdpMid, sdpMLineIndex: candidate.sdpMLineIndex }
      : null;
    this.#setup.send({ type: "ice_candidate", candidate: wire, ...this.#address });
  }

  /**
   * Send our offer or answer, then the candidates that were found meanwhile.
   *
   * @param {FromClient} message
   * @throws {Error} when we are not connected to the server
   */
  #announce(message) {
    if (!this.#setup.send(message)) throw new Error("not connected to the server");
    this.#announced = true;
    const candidates = this.#unsentCandidates ?? [];
    this.#unsentCandidates = null;
    candidates.forEach((candidate) => this.#found(candidate));
  }

  #transportChanged() {
    const state = this.peerConnection?.connectionState;
    clearTimeout(this.#transportDeadline);
    if (this.isOver || !this.isAnswered) return;
    if (state !== "connected") {
      const outcome = this.phase === "connecting" ? "failed" : "lost";
      this.#transportDeadline = setTimeout(() => this.#giveUp(outcome), TRANSPORT_TIMEOUT);
    }
    this.#settle();
  }

  /** Which phase an answered call is in, from what the server says and from what our own transport says. */
  #settle() {
    if (this.isOver || !this.isAnswered) return;
    const connected = this.peerConnection?.connectionState === "connected";
    const wasConnected = this.phase !== "connecting";
    if (this.#serverState === "reconnecting" || (wasConnected && !connected)) this.#enter("reconnecting");
    // `answered` means that the other party's media is still on its way: its time is not ours to count yet.
    else if (connected && this.#serverState !== "answered") this.#enter("connected");
    this.#changed();
  }

  /**
   * Do one step of setting the call up. Where it fails, the call ends, and nobody is left waiting.
   *
   * @param {() => Promise<void>} step
   */
  async #attempt(step) {
    try {
      await step();
    } catch (error) {
      if (this.isOver) return; // closed under its hands, which is no failure
      if (error instanceof MediaUnavailable) return this.#giveUp(`media_${error.problem}`);
      console.warn("the call could not be set up:", error);
      this.#giveUp("failed");
    }
  }

  /**
   * End the call from here, and say so to the server.
   *
   * @param {Outcome} outcome
   */
  #giveUp(outcome) {
    if (this.isOver) return;
    if (this.isIncoming && !this.#announced) {
      this.#setup.send({ type: "call_declined", reason: "rejected", ...this.#address });
    } else if (this.#announced) {
      this.#setup.send({ type: "call_ended", ...this.#address });
    }
    this.#finish(outcome, this.isAnswered ? this.elapsed : null);
  }

  /**
   * @param {number} delay milliseconds
   * @param {Outcome} outcome
   */
  #giveUpAfter(delay, outcome) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      // A telephone that has rung out declines nothing: the call is over, or rings on elsewhere.
      if (outcome === "missed") this.#finish(outcome, null);
      else this.#giveUp(outcome);
    }, delay);
  }

  /**
   * @param {Outcome} outcome
   * @param {number | null} duration
   */
  #finish(outcome, duration) {
    if (this.isOver) {
      // The server's count, after we hung up by ourselves, is the one that the other party sees too.
      this.duration = duration ?? this.duration;
      this.#changed();
      return;
    }
    this.outcome = outcome;
    this.duration = duration;
    this.phase = "ended";
    [this.#deadline, this.#transportDeadline, this.#blackout].forEach(clearTimeout);
    this.#stopWatching();
    stop(this.localStream);
    this.peerConnection?.close();
    this.#changed();
  }

  /** @param {Phase} phase */
  #enter(phase) {
    if (this.phase === phase || this.isOver) return;
    this.phase = phase;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

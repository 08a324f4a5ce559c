/**
 * The peer connection of one call: which sections it has, and the exchange of offers and answers about them. No DOM, no state of
 * the call.
 *
 * The other end is the relay, whose descriptions carry all the addresses there are, so nothing here waits for ICE candidates;
 * ours are sent because the protocol has them.
 *
 * The sections: the first of audio is the microphone's, the second the screen's; the first of video is the camera's, the second the
 * screen's, for either party. They stay once they are there, and tracks come and go in them, so that only the first camera and the
 * first screen need an offer.
 *
 * @typedef {import("../model.js").CallKind} CallKind
 * @typedef {import("../protocol.js").AboutCall} AboutCall
 * @typedef {import("../protocol.js").CallUpdate} CallUpdate
 * @typedef {import("../protocol.js").Offer} Offer
 * @typedef {import("../protocol.js").Answer} Answer
 * @typedef {import("../protocol.js").WireCandidate} WireCandidate
 *
 * @typedef {import("./proposal.js").Proposal} Proposal
 * @typedef {import("./proposal.js").UpdateProblem} UpdateProblem
 */
import { addFilesChannel, hasData } from "../files/channel.js";
import { Candidates } from "./candidates.js";
import { Overlap } from "./overlap.js";
import { sendsMusic, withMusic } from "./opus.js";
import { UpdateFailed, newProposal, takeBack } from "./proposal.js";
import { addSections, audioSection, fillSections, screenAudioSections, videoSections } from "./sections.js";

/** Milliseconds for an answer to a proposal. The server's own patience (15 s) should end first. */
const PROPOSAL_TIMEOUT = 20_000;
/** Milliseconds until we offer again, when the server is busy with an offer that is not for us. */
const RETRY = 1_000;
/** How often we yield to other offers before we give up. A server waits 15 s for the answer to one, and refuses ours meanwhile. */
const MOST_ATTEMPTS = 16;

/**
 * Events: `transport` when the connection's state changed; `track`, a `CustomEvent<{track, role, seamless}>`, `seamless`: what it
 * shows is there already, and follows what came before.
 */
export class Negotiation extends EventTarget {
  /** @type {RTCPeerConnection | null} */
  peerConnection = null;
  /** Files are to be sent, which takes a data channel. */
  wantsData = false;
  /** The microphone hears music, which is to be sent as such. */
  music = false;
  /** What was said of that last. It is not read back from the descriptions: Firefox keeps in its own only what it knows itself. */
  #said = { ours: false, theirs: false };
  /** @type {Overlap | null} with the peer connection before this one */
  #overlap = null;
  /** @type {{track: MediaStreamTrack, role: "person" | "screen"}[]} of the newer one */
  #later = [];
  #media;
  #files;
  #iceServers;
  #send;
  /** @type {Candidates} */
  #candidates;
  /** @type {Proposal | null} */
  #proposal = null;
  /** @type {Promise<unknown>} what is being done now, and everything in line behind it */
  #work = Promise.resolve();

  /**
   * @param {import("./localmedia.js").LocalMedia} media what we send
   * @param {import("../iceservers.js").IceServers} iceServers
   * @param {(message: AboutCall) => boolean} send
   * @param {import("../files/exchange.js").FileExchange} files
   */
  constructor(media, iceServers, send, files) {
    super();
    this.#media = media;
    this.#files = files;
    this.#iceServers = iceServers;
    this.#send = send;
    this.#candidates = new Candidates(send);
    media.addEventListener("tracks", () => void this.#inOrder(() => this.#fillSections()).catch(() => {}));
  }

  // -- setting the call up ---------------------------------------------------------------------------------------------

  /**
   * @param {CallKind} kind
   * @returns {Promise<Offer>} that starts a call
   */
  async invite(kind) {
    const peerConnection = this.#open();
    const { stream } = this.#media;
    // Without a microphone we still hear, and one that comes later needs no offer.
    if (!this.#media.microphone) peerConnection.addTransceiver("audio", { direction: "sendrecv", streams: stream ? [stream] : [] });
    this.#addTracks(peerConnection);
    // Without a camera of our own we still want to see the other party.
    if (kind === "video" && !this.#media.camera) peerConnection.addTransceiver("video", { direction: "recvonly" });
    const sdp = this.#own(await peerConnection.createOffer());
    await peerConnection.setLocalDescription({ type: "offer", sdp });
    this.#said.ours = this.music;
    return { type: "offer", sdp };
  }

  /** The peer connection by which media comes: the one before, as long as nothing comes by this one. */
  get flowing() {
    return this.#overlap?.older ?? this.peerConnection;
  }

  /**
   * @param {Offer} offer of a call that starts, or that we come back to
   * @param {{sees: boolean} | null} [flows] media comes by the peer connection that there is, and with it video or not: it goes on
   *   until it comes by the new one
   * @returns {Promise<Answer>}
   */
  join(offer, flows = null) {
    // Not while a description is being set: a peer connection that is closed under its hands may never say that it is done.
    return this.#inOrder(() => this.#join(offer, flows));
  }

  /** @param {Offer} offer @param {{sees: boolean} | null} flows */
  async #join(offer, flows) {
    const proposal = this.#proposal;
    this.#proposal = null; // it was for the peer connection that ends here
    const peerConnection = this.#open(flows);
    try {
      // The offer first: our tracks then go into the sections that it made for them.
      await this.#setRemote(peerConnection, offer);
      this.#takeData(peerConnection, offer);
      this.#addTracks(peerConnection);
      const audio = audioSection(peerConnection);
      if (audio && !this.#media.microphone) audio.direction = "sendrecv"; // as in an invitation
      await this.#fillSections(); // the screen's
      await this.#candidates.described(this.peerConnection);
      return await this.#setAnswer(peerConnection);
    } finally {
      proposal?.settle("overtaken");
    }
  }

  /**
   * The answer to our invitation.
   *
   * @param {Answer} answer
   * @returns {Promise<boolean>} false: there is one already, which it must not disturb
   */
  joined(answer) {
    // An offer of the other party may follow at once, and must not find ours still open: it would roll it back.
    return this.#inOrder(async () => {
      if (this.peerConnection?.signalingState !== "have-local-offer") return false;
      await this.#setRemote(this.peerConnection, answer);
      await this.#candidates.described(this.peerConnection);
      return true;
    });
  }

  /** Our description was sent: the candidates gathered meanwhile may follow. */
  announced() {
    this.#candidates.announced();
  }

  /** @param {WireCandidate | null} candidate */
  async candidate(candidate) {
    await this.#candidates.received(candidate, this.peerConnection);
  }

  close() {
    this.#proposal?.settle("gone");
    this.peerConnection?.close();
    const overlap = this.#overlap;
    this.#overlap = null;
    overlap?.end();
  }

  // -- changing it in mid-call -----------------------------------------------------------------------------------------

  /**
   * Make room for the tracks that we want to send and that have no section yet.
   *
   * @param {CallKind} kind what the call is from then on
   * @throws {UpdateFailed}
   */
  async update(kind) {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      while (this.#proposal) await this.#proposal.settled;
      const proposal = await this.#inOrder(() => this.#propose(kind));
      if (!proposal) return;
      const result = await proposal.settled;
      if (result === "accepted") return;
      if (result !== "overtaken") throw new UpdateFailed(result);
    }
    await this.#inOrder(() => this.#rollBack());
    throw new UpdateFailed("update_glare");
  }

  /**
   * @param {CallUpdate} message
   * @throws {Error} the offer cannot be taken
   */
  async receive({ offer, answer, expired, update_id: id }) {
    if (offer) await this.#inOrder(() => this.#takeOffer(offer, id));
    else if (answer) await this.#inOrder(() => this.#takeAnswer(answer));
    else if (expired) await this.#inOrder(() => this.#forgetOffer());
    else await this.#inOrder(() => this.#withdraw("rejected"));
  }

  /**
   * The server does not take a proposal.
   *
   * @param {string} ref
   * @param {string} code
   */
  async refused(ref, code) {
    await this.#inOrder(async () => {
      if (this.#proposal?.ref !== ref) return; // overtaken already
      if (code !== "update_glare") return this.#withdraw(code);
      // Another offer is in progress, and none of its messages is for us: ours follows it.
      const proposal = this.#proposal;
      // Its sections stay for that. Chromium would take one that is stopped for the next one with its number, and send nothing by it.
      await takeBack(this.peerConnection);
      this.#proposal = null;
      void pause(RETRY).then(() => proposal.settle("overtaken"));
    });
  }

  /**
   * @param {CallKind} kind
   * @returns {Promise<Proposal | null>} null: nothing is to be proposed
   */
  async #propose(kind) {
    const { peerConnection } = this;
    if (peerConnection?.signalingState !== "stable") throw new UpdateFailed("gone");
    addSections(peerConnection, this.#media);
    if (this.wantsData) addFilesChannel(peerConnection, this.#files);
    const lacksData = this.wantsData && !hasData(peerConnection.currentRemoteDescription);
    const { music } = this;
    if (!(await fillSections(peerConnection, this.#media)) && !lacksData && music === this.#said.ours) return null;
    const sdp = this.#own(await peerConnection.createOffer());
    await peerConnection.setLocalDescription({ type: "offer", sdp });
    const proposal = (this.#proposal = newProposal(music));
    const message = { type: /** @type {const} */ ("call_update"), call_type: kind, ref: proposal.ref };
    if (this.#send({ ...message, offer: { type: "offer", sdp } })) {
      setTimeout(() => void this.refused(proposal.ref, "update_timeout").catch(() => {}), PROPOSAL_TIMEOUT);
    } else {
      await this.#withdraw("offline");
    }
    return proposal;
  }

  /**
   * An offer that comes while ours waits for its answer has overtaken ours: the server says nothing more of that.
   *
   * @param {Offer} offer
   * @param {string} [id]
   */
  async #takeOffer(offer, id) {
    const { peerConnection } = this;
    if (!peerConnection) return;
    const proposal = this.#proposal;
    await this.#rollBack();
    this.#proposal = null;
    try {
      const answer = await this.#answer(peerConnection, offer);
      this.#send({ type: "call_update", update_id: id, answer });
    } catch (error) {
      await this.#forgetOffer();
      throw error;
    } finally {
      proposal?.settle("overtaken");
    }
  }

  /**
   * @param {RTCPeerConnection} peerConnection
   * @param {Offer} offer
   * @returns {Promise<Answer>}
   */
  async #answer(peerConnection, offer) {
    await this.#setRemote(peerConnection, offer);
    this.#takeData(peerConnection, offer);
    await this.#candidates.described(this.peerConnection);
    // Sections that are new to us are open in both directions from the start: a camera that comes later needs no offer then.
    for (const section of [...videoSections(peerConnection), ...screenAudioSections(peerConnection)]) {
      if (section.currentDirection === null) section.direction = "sendrecv";
    }
    await this.#fillSections();
    return this.#setAnswer(peerConnection);
  }

  /** The other side's offer is no longer good. If it was answered already, the server sees to it that both agree again. */
  async #forgetOffer() {
    const { peerConnection } = this;
    if (peerConnection?.signalingState === "have-remote-offer") await peerConnection.setRemoteDescription({ type: "rollback" });
  }

  /** @param {Answer} answer */
  async #takeAnswer(answer) {
    const proposal = this.#proposal;
    if (!proposal || this.peerConnection?.signalingState !== "have-local-offer") return;
    this.#proposal = null;
    try {
      await this.#setRemote(this.peerConnection, answer);
      this.#said.ours = proposal.music;
      proposal.settle("accepted");
    } catch (error) {
      proposal.settle("invalid_sdp");
      throw error;
    }
  }

  /** @param {UpdateProblem} problem */
  async #withdraw(problem) {
    const proposal = this.#proposal;
    this.#proposal = null;
    await this.#rollBack();
    proposal?.settle(problem);
  }

  /** Sections that only our offer had must not linger: the next description would bring them again. */
  async #rollBack() {
    const { peerConnection } = this;
    await takeBack(peerConnection);
    if (peerConnection?.signalingState !== "stable") return;
    for (const section of peerConnection.getTransceivers()) if (section.mid === null) section.stop();
  }

  // -- sections and tracks ---------------------------------------------------------------------------------------------

  /** A new one. An older one is closed, at once or when nothing flows by it alone. @param {{sees: boolean} | null} [flows] */
  #open(flows = null) {
    // Of an overlap that is not over yet, nothing came by the newer one.
    const older = this.flowing;
    if (this.#overlap) this.peerConnection?.close();
    this.#overlap?.release();
    this.#overlap = null;
    this.#later = [];
    const peerConnection = new RTCPeerConnection({
      iceServers: this.#iceServers.current,
      bundlePolicy: "max-bundle",
      rtcpMuxPolicy: "require",
    });
    this.peerConnection = peerConnection;
    if (older && flows) this.#overlap = new Overlap(older, peerConnection, flows.sees, (seamless) => this.#over(seamless));
    else older?.close();
    this.#candidates.begin();
    peerConnection.addEventListener("icecandidate", ({ candidate }) => this.#candidates.found(candidate));
    peerConnection.addEventListener("connectionstatechange", () => {
      if (this.peerConnection === peerConnection) this.dispatchEvent(new Event("transport"));
    });
    peerConnection.addEventListener("track", ({ track, transceiver }) => {
      const ofScreen = [...videoSections(peerConnection).slice(1), ...screenAudioSections(peerConnection)];
      const role = ofScreen.includes(transceiver) ? "screen" : "person";
      if (this.peerConnection !== peerConnection) return;
      if (this.#overlap) this.#later.push({ track, role });
      else this.#received({ track, role, seamless: false });
    });
    return peerConnection;
  }

  /** Media comes by the newer peer connection, if by any. @param {boolean} seamless */
  #over(seamless) {
    if (!this.#overlap) return; // all of it is closed
    this.#overlap = null;
    this.dispatchEvent(new Event("transport"));
    for (const later of this.#later.splice(0)) this.#received({ ...later, seamless });
  }

  /** @param {{track: MediaStreamTrack, role: "person" | "screen", seamless: boolean}} detail */
  #received(detail) {
    this.dispatchEvent(new CustomEvent("track", { detail }));
  }

  /** A description of ours, as it is sent. @param {RTCSessionDescriptionInit} made */
  #own({ sdp = "" }) {
    return withMusic(sdp, { sends: this.music, receives: this.#said.theirs });
  }

  /** @param {RTCPeerConnection} peerConnection @returns {Promise<Answer>} */
  async #setAnswer(peerConnection) {
    const { music } = this;
    const sdp = this.#own(await peerConnection.createAnswer());
    await peerConnection.setLocalDescription({ type: "answer", sdp });
    this.#said.ours = music;
    return { type: "answer", sdp };
  }

  /** @param {RTCPeerConnection} peerConnection @param {Offer | Answer} description */
  async #setRemote(peerConnection, description) {
    await peerConnection.setRemoteDescription(description);
    this.#said.theirs = sendsMusic(description.sdp);
  }

  /** @param {RTCPeerConnection} peerConnection @param {Offer} offer */
  #takeData(peerConnection, offer) {
    if (hasData(offer)) addFilesChannel(peerConnection, this.#files);
  }

  async #fillSections() {
    if (this.peerConnection) await fillSections(this.peerConnection, this.#media);
  }

  /** @param {RTCPeerConnection} peerConnection */
  #addTracks(peerConnection) {
    const { stream } = this.#media;
    for (const track of stream?.getTracks() ?? []) peerConnection.addTrack(track, /** @type {MediaStream} */ (stream));
  }

  /**
   * One step after the other, each to its end: descriptions that overlap would undo one another.
   *
   * @template T
   * @param {() => Promise<T>} step
   * @returns {Promise<T>}
   */
  #inOrder(step) {
    const done = this.#work.then(step);
    this.#work = done.catch(() => {});
    return done;
  }
}

/** @param {number} delay milliseconds */
function pause(delay) {
  return new Promise((resolve) => setTimeout(resolve, delay));
}

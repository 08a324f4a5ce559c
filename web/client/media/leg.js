/**
 * Our leg of a call: what we send, what we receive, and the path between. No DOM, no state of the call.
 *
 * @typedef {import("../model.js").CallKind} CallKind
 * @typedef {import("../protocol.js").AboutCall} AboutCall
 * @typedef {import("../protocol.js").Offer} Offer
 * @typedef {import("../protocol.js").Answer} Answer
 *
 * @typedef {object} LegSetup
 * @property {import("../iceservers.js").IceServers} iceServers
 * @property {(message: AboutCall) => boolean} send
 * @property {() => void} probe sees whether the server can be reached
 * @property {LocalMedia} [media] of the call that this one replaces
 * @property {boolean} [muted]
 * @property {() => number} now milliseconds since 1970, by the server's clock
 */
import { audioMode, chooseAudioMode } from "./audiomode.js";
import { FileExchange } from "../files/exchange.js";
import { hasData } from "../files/channel.js";
import { LocalMedia } from "./localmedia.js";
import { Negotiation } from "./negotiation.js";
import { watchPath } from "./pathwatch.js";
import { UpdateFailed } from "./proposal.js";
import { Reception } from "./reception.js";
import { Recovery } from "./recovery.js";
import { lacksSection, setSending } from "./sections.js";

/**
 * Events: `change` when any field changed; `transport` when the connection's state changed; `lost`, a `CustomEvent<DeviceLoss>`: a
 * microphone or camera is gone.
 */
export class Leg extends EventTarget {
  /** The other party's audio and camera. */
  remoteStream = new MediaStream();
  /** The other party's screen. */
  remoteScreen = new MediaStream();
  /** Whether the other party's client can change the call. Until we know better, we try. */
  canUpdate = true;
  /** Whether our video is not sent for now, although the camera is on. */
  videoPaused = false;
  /** @type {FileExchange} that the parties send each other */
  files;

  #media;
  #iceServers;
  #negotiation;
  #recovery;
  #reception = new Reception();
  /** The track of the other party's camera. */
  #cameraId = "";
  #stopWatchingPath = () => {};
  /** @type {RTCPeerConnection | null} whose path is watched */
  #watched = null;
  #held = false;
  #otherIsSilent = false;
  #changed = () => this.dispatchEvent(new Event("change"));
  /** @param {Event} event */
  #lost = (event) => this.dispatchEvent(new CustomEvent("lost", { detail: /** @type {CustomEvent} */ (event).detail }));

  /** @param {LegSetup} setup */
  constructor({ iceServers, send, probe, media = new LocalMedia(), muted, now }) {
    super();
    this.#media = media;
    this.#iceServers = iceServers;
    this.#media.muted = muted ?? media.muted;
    this.files = new FileExchange({ now });
    this.#negotiation = new Negotiation(media, iceServers, send, this.files);
    this.#negotiation.music = audioMode() === "music";
    this.#recovery = new Recovery({ restart: () => send({ type: "call_restart" }), probe });
    media.addEventListener("change", this.#changed);
    this.files.addEventListener("change", this.#changed);
    media.addEventListener("lost", this.#lost);
    this.#negotiation.addEventListener("track", (event) => this.#received(/** @type {CustomEvent} */ (event).detail));
    this.#negotiation.addEventListener("transport", () => {
      this.#watch();
      this.#applyPause();
      this.dispatchEvent(new Event("transport"));
    });
  }

  get peerConnection() {
    return this.#negotiation.peerConnection;
  }
  /** Whether media can come and go, as far as our browser says and as far as anything arrives. */
  get isConnected() {
    return this.#negotiation.flowing?.connectionState === "connected" && this.#reception.line !== "dead";
  }
  /** Whether the line works, and yet no audio and no video comes. */
  get isSilent() {
    return this.#reception.line === "silent";
  }
  /** The video of the other party's camera. */
  get remoteVideo() {
    return this.#reception.picture;
  }
  get localStream() {
    return this.#media.stream;
  }
  get muted() {
    return this.#media.muted;
  }
  get cameraOn() {
    return this.#media.cameraOn;
  }
  get hasCamera() {
    return this.#media.hasCamera;
  }
  /** Why a microphone or camera is missing that should be there. */
  get problems() {
    return this.#media.problems;
  }
  /** What this side sends, to choose its devices. */
  get media() {
    return this.#media;
  }
  /** How the background of our video is changed; null: it is not. */
  get backgroundState() {
    return this.#media.backgroundState;
  }
  get sharing() {
    return this.#media.screen !== null;
  }
  /** How loud the other party is right now, from 0 to 1. */
  get remoteLevel() {
    const receiver = this.#negotiation.flowing?.getReceivers().find(({ track }) => track.kind === "audio");
    return receiver?.getSynchronizationSources?.()[0]?.audioLevel ?? 0;
  }
  /** Whether both sides have agreed on a description, so that it can be changed. */
  get isAgreed() {
    const { peerConnection } = this;
    // Firefox throws when a closed one is asked for its descriptions.
    return peerConnection !== null && peerConnection.signalingState !== "closed" && peerConnection.currentRemoteDescription !== null;
  }

  // -- setting it up ---------------------------------------------------------------------------------------------------

  /**
   * Microphone and, for a video call, the camera, as far as they can be had: see `problems`. Meanwhile it is found out by which
   * TURN servers a peer connection may go.
   *
   * @param {CallKind} kind
   */
  async open(kind) {
    await Promise.all([this.#media.open(kind), this.#iceServers.renew()]);
  }

  /**
   * The same for a call that is had back: what is open already stays as it is.
   *
   * @param {CallKind} kind
   */
  async openAgain(kind) {
    await Promise.all([this.localStream ? null : this.#media.open(kind), this.#iceServers.renew()]);
  }

  /** @param {CallKind} kind */
  invite(kind) {
    return this.#negotiation.invite(kind);
  }

  /** @param {Offer} offer of a call that starts, or that we come back to */
  join(offer) {
    return this.#negotiation.join(offer, this.isConnected ? { sees: this.remoteVideo === "flowing" } : null);
  }

  /** @param {Answer} answer to our invitation */
  joined(answer) {
    return this.#negotiation.joined(answer);
  }

  /** Our description is being sent to the server. */
  announced() {
    this.#negotiation.announced();
  }

  // -- while it is there -----------------------------------------------------------------------------------------------

  toggleMute() {
    this.#media.toggleMute();
  }

  /**
   * Keep our video back, and leave the camera on.
   *
   * @param {boolean} paused
   */
  pauseVideo(paused) {
    if (this.videoPaused === paused) return;
    this.videoPaused = paused;
    this.#applyPause();
    this.#changed();
  }

  /**
   * @throws {import("./media.js").MediaUnavailable} when the camera is wanted and cannot be had
   * @throws {import("./proposal.js").UpdateFailed} when the other side does not take it
   */
  async toggleCamera() {
    if (this.cameraOn) return this.#media.turnCameraOff();
    this.#mustHaveRoom(0);
    await this.#media.turnCameraOn();
    await this.#update(() => this.#media.turnCameraOff());
  }

  /**
   * Nothing happens if the user thinks better of it when the browser asks what to share.
   *
   * @throws {import("./media.js").MediaUnavailable}
   * @throws {import("./proposal.js").UpdateFailed} when the other side does not take it
   */
  async toggleSharing() {
    if (this.sharing) return this.#media.stopSharing();
    this.#mustHaveRoom(1);
    await this.#media.share(() => this.#media.stopSharing());
    if (this.sharing) await this.#update(() => this.#media.stopSharing());
  }

  /**
   * Offer files to the other party. The first ones of a call take a data channel.
   *
   * @param {Iterable<File>} files
   * @param {CallKind} kind of the call
   */
  async sendFiles(files, kind) {
    for (const file of files) this.files.offer(file);
    if (this.files.isReady || !this.isAgreed) return;
    try {
      if (!this.canUpdate && !hasData(this.peerConnection?.currentRemoteDescription ?? null)) throw new UpdateFailed("unsupported");
      this.#negotiation.wantsData = true;
      await this.#negotiation.update(kind);
      // Its app can change the call, but has no data channels.
      if (!hasData(this.peerConnection?.currentRemoteDescription ?? null)) throw new UpdateFailed("unsupported");
    } catch (error) {
      this.#negotiation.wantsData = false;
      this.files.unsupported();
      throw error;
    }
  }

  /**
   * Have the microphone, or the camera, that could not be had before.
   *
   * @param {import("./media.js").InputKind} input
   * @throws {import("./media.js").MediaUnavailable}
   * @throws {import("./proposal.js").UpdateFailed}
   */
  restore(input) {
    return input === "camera" ? this.toggleCamera() : this.#media.restore(input);
  }

  get audioMode() {
    return audioMode();
  }

  /**
   * Have the microphone heard otherwise. Whether it is music, the other party is told: only then does stereo arrive in stereo.
   *
   * @param {import("./audiomode.js").AudioMode} mode
   * @param {CallKind} kind of the call
   * @throws {import("./media.js").MediaUnavailable} it stays as it was
   * @throws {import("./proposal.js").UpdateFailed} the other party hears it in mono
   */
  async setAudioMode(mode, kind) {
    const before = audioMode();
    chooseAudioMode(mode);
    try {
      await this.#media.renewMicrophone();
    } catch (error) {
      chooseAudioMode(before);
      await this.#media.renewMicrophone().catch(() => {}); // the one that there was
      throw error;
    }
    this.#negotiation.music = mode === "music";
    if (this.isAgreed && this.canUpdate) await this.#negotiation.update(kind);
  }

  /** @param {boolean} held nothing that matters leaves */
  hold(held) {
    this.#held = held;
    this.#media.hold(held);
    this.#recovery.hold(held || this.#otherIsSilent);
    this.#reception.hold(held || this.#otherIsSilent);
  }

  /** @param {boolean} silent the other party has nothing to send, so that a silence is no broken path */
  expectNothing(silent) {
    this.#otherIsSilent = silent;
    this.#recovery.hold(this.#held || silent);
    this.#reception.hold(this.#held || silent);
  }

  /** @param {import("../protocol.js").CallUpdate} message */
  receive(message) {
    return this.#negotiation.receive(message);
  }

  /**
   * @param {string} ref of an update that the server refuses
   * @param {string} code
   */
  refused(ref, code) {
    return this.#negotiation.refused(ref, code);
  }

  /** @param {import("../protocol.js").WireCandidate | null} candidate */
  candidate(candidate) {
    return this.#negotiation.candidate(candidate);
  }

  serverIsBack() {
    this.#recovery.serverIsBack(performance.now());
  }

  networkChanged() {
    this.#recovery.networkChanged(performance.now());
  }

  // -- its end ---------------------------------------------------------------------------------------------------------

  /** @returns {LocalMedia} for another call to use; this one's end leaves it alone */
  handOver() {
    const media = this.#media;
    media.removeEventListener("change", this.#changed);
    media.removeEventListener("lost", this.#lost);
    this.#media = new LocalMedia();
    return media;
  }

  /** Only the connection, so that the server sees at once that we are gone. */
  disconnect() {
    this.#stopWatchingPath();
    this.#negotiation.close();
  }

  close() {
    this.disconnect();
    this.files.close();
    this.#media.close();
  }

  // -- inside ----------------------------------------------------------------------------------------------------------

  #watch() {
    const { flowing } = this.#negotiation;
    if (!flowing || this.#watched === flowing) return;
    this.#watched = flowing;
    this.#stopWatchingPath();
    this.#recovery.reset();
    this.#reception.reset();
    this.#stopWatchingPath = watchPath(flowing, (sight) => this.#look(sight, performance.now()));
  }

  /** @param {import("./pathwatch.js").PathSight} sight @param {number} now */
  #look(sight, now) {
    this.#recovery.look(sight, now);
    const wasConnected = this.isConnected;
    if (!this.#reception.look({ ...sight, frames: sight.frames.get(this.#cameraId) ?? 0 }, now)) return;
    this.#changed();
    if (wasConnected !== this.isConnected) this.dispatchEvent(new Event("transport"));
  }

  #applyPause() {
    if (this.peerConnection) void setSending(this.peerConnection, 0, !this.videoPaused);
  }

  /**
   * Rather before a camera is opened, or the user asked which screen to share, than after.
   *
   * @param {0 | 1} index of the camera's section, or the screen's
   * @throws {import("./proposal.js").UpdateFailed} when it takes an offer, and the other party's client takes none
   */
  #mustHaveRoom(index) {
    const { peerConnection, isAgreed, canUpdate } = this;
    if (peerConnection && isAgreed && !canUpdate && lacksSection(peerConnection, index)) throw new UpdateFailed("unsupported");
  }

  /** @param {() => void} undo */
  async #update(undo) {
    if (!this.isAgreed) return;
    try {
      await this.#negotiation.update("video");
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** @param {{track: MediaStreamTrack, role: "person" | "screen", seamless: boolean}} received */
  #received({ track, role, seamless }) {
    const stream = role === "screen" ? this.remoteScreen : this.remoteStream;
    for (const older of stream.getTracks()) if (older.kind === track.kind && older !== track) stream.removeTrack(older);
    stream.addTrack(track);
    if (track.kind === "video" && role === "person" && track.id !== this.#cameraId) {
      this.#cameraId = track.id;
      if (!seamless) this.#reception.newPicture();
    }
    this.#changed();
  }
}

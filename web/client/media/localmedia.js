/**
 * What this side of a call sends: microphone, camera and screen, and the switches that they have. No DOM, no protocol.
 *
 * A device that goes is replaced at once by the one that the system prefers then. What cannot be had is in `problems`, and the
 * call goes on without it.
 *
 * @typedef {import("../model.js").CallKind} CallKind
 * @typedef {import("./media.js").InputKind} InputKind
 * @typedef {import("./media.js").InputProblems} InputProblems
 *
 * @typedef {object} DeviceLoss A device that was in use is gone.
 * @property {InputKind} input
 * @property {string} lost Its label.
 * @property {string | null} now The label of the one in its place; null: there is none, and `problems` says why.
 */
import { cameraOf, chosenBackground, filterOf } from "./background.js";
import { chosenId } from "./devices.js";
import { MediaUnavailable, openInput, openMedia, openScreen, stop } from "./media.js";
import { MicrophoneWatch } from "./microphonewatch.js";

/** Milliseconds of black frames before the camera stops, so that the other side's video freezes on black. */
const BLACKOUT = 400;

/** Events: `change` when any field changed; `tracks` when a track came or went; `lost`, a `CustomEvent<DeviceLoss>`. */
export class LocalMedia extends EventTarget {
  /** @type {MediaStream | null} microphone and camera, as far as they can be had; null until the browser was asked for them */
  stream = null;
  /** @type {MediaStreamTrack | null} */
  screen = null;
  /** @type {MediaStreamTrack | null} what the screen that is shared plays */
  screenAudio = null;
  muted = false;
  cameraOn = false;
  /** Whether there was a camera to use when there last should have been. */
  hasCamera = false;
  /** @type {InputProblems} why a device is missing that should be there */
  problems = { microphone: null, camera: null };
  /** @type {import("./background.js").CameraFilter | null} what changes the background of the camera's video */
  #filter = null;
  /** Nothing that matters leaves while the call is on hold. */
  #held = false;
  #closed = false;
  #blackout = 0;
  /** @type {Promise<void> | null} */
  #opening = null;
  /** Of each device, the number of the latest attempt to open one: what an earlier attempt brings comes too late. */
  #attempts = { microphone: 0, camera: 0 };
  #watch = new MicrophoneWatch({
    problem: () => this.problems.microphone,
    silenced: (track) => this.#silenced(track),
    restore: () => this.restore("microphone"),
  });

  /** @returns {MediaStreamTrack | null} */
  get microphone() {
    return this.stream?.getAudioTracks()[0] ?? null;
  }
  /** @returns {MediaStreamTrack | null} the camera's video as it is shown and sent */
  get camera() {
    return this.stream?.getVideoTracks()[0] ?? null;
  }
  /** How the background is changed; null: it is not. */
  get backgroundState() {
    return this.#filter?.state ?? null;
  }

  /**
   * Microphone and, for a video call, the camera, as far as they can be had. Asked for twice, they are opened once.
   *
   * @param {CallKind} kind
   */
  async open(kind) {
    this.#opening ??= this.#open(kind);
    await this.#opening;
    if (kind === "voice" && this.camera) this.#releaseCamera();
    if (kind === "voice") this.problems.camera = null;
  }

  /** @param {CallKind} kind */
  async #open(kind) {
    const chosen = { microphone: await chosenId("microphone"), camera: kind === "video" ? await chosenId("camera") : "" };
    if (this.#closed) return;
    const { tracks, problems } = await openMedia(kind, chosen);
    if (this.#closed) return tracks.forEach((track) => track.stop());
    this.problems = problems;
    this.stream = new MediaStream();
    for (const track of tracks) this.#adopt(track);
    this.hasCamera = this.cameraOn = this.camera !== null;
    void this.#watch.begin();
    this.#applySwitches();
    this.#changed();
  }

  toggleMute() {
    this.muted = !this.muted;
    this.#applySwitches();
    this.#changed();
  }

  /**
   * Open the microphone anew, as it is to be heard from now on.
   *
   * @throws {import("./media.js").MediaUnavailable} there is none now
   */
  async renewMicrophone() {
    if (this.#closed || !this.stream) return;
    // Chromium processes what is open already as before, whatever is wanted of the next track of the same microphone.
    if (this.microphone) this.#drop(this.microphone);
    await this.restore("microphone");
  }

  /** @param {boolean} held */
  hold(held) {
    if (this.#held === held) return;
    this.#held = held;
    this.#applySwitches();
  }

  /**
   * @throws {import("./media.js").MediaUnavailable} it cannot be had; it is off then
   */
  async turnCameraOn() {
    if (this.cameraOn || this.#closed) return;
    clearTimeout(this.#blackout);
    this.cameraOn = true;
    this.#applySwitches();
    this.#changed();
    if (!this.camera) await this.#openNew("camera", { id: await chosenId("camera") });
  }

  /** Off means off: the camera is released and its light goes out. */
  turnCameraOff() {
    if (!this.cameraOn) return;
    this.cameraOn = false;
    this.#applySwitches();
    clearTimeout(this.#blackout);
    this.#blackout = setTimeout(() => this.#releaseCamera(), BLACKOUT);
    this.#changed();
  }

  /**
   * Take another device from now on. A camera that is off stays off.
   *
   * @param {InputKind} input
   * @param {string} id empty: the one that the system prefers
   * @throws {import("./media.js").MediaUnavailable} the one before stays
   */
  async use(input, id) {
    if (this.#closed || !this.stream || (input === "camera" && !this.cameraOn)) return;
    await this.#openNew(input, { id, exactly: true });
  }

  /**
   * Try again to have the microphone, or to have the camera on.
   *
   * @param {InputKind} input
   * @throws {import("./media.js").MediaUnavailable}
   */
  async restore(input) {
    if (input === "camera") return this.turnCameraOn();
    if (!this.#closed && this.stream) await this.#openNew(input, { id: await chosenId(input) });
  }

  /**
   * From a telephone's front camera to its back camera, and back.
   *
   * @throws {import("./media.js").MediaUnavailable} the one before stays
   */
  async flipCamera() {
    if (!this.camera) return;
    const facing = cameraOf(this.camera).getSettings().facingMode === "environment" ? "user" : "environment";
    await this.#openNew("camera", { facing });
  }

  /** The user has chosen a background, perhaps the same again after a failure. */
  backgroundChosen() {
    const [shown, filter] = [this.camera, this.#filter];
    const wanted = chosenBackground();
    if (this.#closed || !shown || (!filter && wanted === "none")) return this.#changed();
    if (filter && wanted !== "none") {
      filter.choose(wanted);
      return this.#changed();
    }
    this.#filter = null;
    this.stream?.removeTrack(shown);
    this.stream?.addTrack(this.#filtered(cameraOf(shown)));
    filter?.close();
    this.#applySwitches();
    this.#tracksChanged();
  }

  /**
   * @param {() => void} onStopped the user has ended it in the browser's own bar
   * @throws {import("./media.js").MediaUnavailable}
   */
  async share(onStopped) {
    if (this.screen || this.#closed) return;
    const opened = await openScreen();
    if (!opened) return;
    const { video, audio } = opened;
    if (this.#closed || this.screen) return [video, audio].forEach((track) => track?.stop());
    video.addEventListener("ended", onStopped);
    [this.screen, this.screenAudio] = [video, audio];
    this.#applySwitches();
    this.#tracksChanged();
  }

  stopSharing() {
    this.#releaseScreen();
    this.#tracksChanged();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#blackout);
    this.#watch.close();
    this.#trackOf("camera")?.stop();
    this.#filter?.close();
    stop(this.stream);
    this.#releaseScreen();
  }

  #releaseScreen() {
    this.screen?.stop();
    this.screenAudio?.stop();
    this.screen = this.screenAudio = null;
  }

  // -- devices ---------------------------------------------------------------------------------------------------------

  /**
   * @param {InputKind} input
   * @param {import("./media.js").InputWish} wish
   * @throws {import("./media.js").MediaUnavailable}
   */
  async #openNew(input, wish) {
    const attempt = ++this.#attempts[input];
    try {
      const track = await this.#openInPlace(input, wish);
      this.#install(input, track, attempt);
    } catch (error) {
      if (!(error instanceof MediaUnavailable)) throw error;
      if (this.#isLate(input, attempt)) return;
      if (!this.#trackOf(input)) this.#lack(input, error.problem);
      throw error;
    }
  }

  /**
   * @param {InputKind} input
   * @param {import("./media.js").InputWish} wish
   */
  async #openInPlace(input, wish) {
    const before = this.#trackOf(input);
    try {
      return await openInput(input, wish);
    } catch (error) {
      if (!before || !(error instanceof MediaUnavailable) || error.problem !== "busy") throw error;
    }
    // Telephones open one camera at a time.
    const id = before.getSettings().deviceId;
    this.#drop(before);
    try {
      return await openInput(input, wish);
    } catch (error) {
      this.#install(input, await openInput(input, { id }), this.#attempts[input]);
      throw error;
    }
  }

  /**
   * @param {InputKind} input
   * @param {MediaStreamTrack} track
   * @param {number} attempt
   */
  #install(input, track, attempt) {
    if (this.#isLate(input, attempt)) return track.stop();
    const before = this.#trackOf(input);
    if (before) this.#drop(before);
    this.#adopt(track);
    this.problems = { ...this.problems, [input]: null };
    if (input === "camera") this.hasCamera = true;
    this.#applySwitches();
    this.#tracksChanged();
  }

  /** @param {InputKind} input @param {number} attempt */
  #isLate(input, attempt) {
    return this.#closed || !this.stream || attempt !== this.#attempts[input] || (input === "camera" && !this.cameraOn);
  }

  /** @param {MediaStreamTrack} track */
  #adopt(track) {
    this.stream?.addTrack(track.kind === "video" ? this.#filtered(track) : track);
    track.onended = () => void this.#ended(track);
    if (track.kind === "audio") this.#watch.listen(track);
  }

  /** @param {MediaStreamTrack} track of a device */
  #drop(track) {
    track.stop();
    const shown = track.kind === "video" ? this.camera : track;
    if (!shown || cameraOf(shown) !== track) return;
    this.stream?.removeTrack(shown);
    if (track.kind === "audio") return;
    this.#filter?.close();
    this.#filter = null;
  }

  /** @param {MediaStreamTrack} camera @returns {MediaStreamTrack} what is shown of it */
  #filtered(camera) {
    this.#filter = filterOf(camera, () => this.#changed());
    return this.#filter?.output ?? camera;
  }

  /** @param {MediaStreamTrack} track that has ended by itself: the device is gone, or not allowed any more */
  async #ended(track) {
    const input = track.kind === "audio" ? "microphone" : "camera";
    if (this.#closed || this.#trackOf(input) !== track) return;
    this.#drop(track);
    this.#tracksChanged();
    if (input === "camera" && !this.cameraOn) return;
    const attempt = ++this.#attempts[input];
    try {
      const next = await openInput(input);
      this.#install(input, next, attempt);
      if (this.#trackOf(input) === next) this.#tell({ input, lost: track.label, now: next.label });
    } catch (error) {
      if (this.#isLate(input, attempt) || !(error instanceof MediaUnavailable)) return;
      this.#lack(input, error.problem);
      this.#tell({ input, lost: track.label, now: null });
    }
  }

  /** @param {MediaStreamTrack} track the system has silenced it, or lets it be heard again */
  #silenced(track) {
    if (this.#closed || this.microphone !== track) return;
    this.problems = { ...this.problems, microphone: track.muted ? "silenced" : null };
    this.#changed();
  }

  /**
   * @param {InputKind} input
   * @param {import("./media.js").MediaProblem} problem
   */
  #lack(input, problem) {
    this.problems = { ...this.problems, [input]: problem };
    if (input === "camera") this.cameraOn = this.hasCamera = false;
    this.#changed();
  }

  /** @param {InputKind} input @returns {MediaStreamTrack | null} of the device */
  #trackOf(input) {
    return input === "microphone" ? this.microphone : cameraOf(this.camera);
  }

  // -- inside ----------------------------------------------------------------------------------------------------------

  #releaseCamera() {
    const camera = this.#trackOf("camera");
    if (camera) this.#drop(camera);
    this.cameraOn = false;
    this.#tracksChanged();
  }

  #applySwitches() {
    if (this.microphone) this.microphone.enabled = !this.muted && !this.#held;
    for (const track of [this.camera, cameraOf(this.camera)]) if (track) track.enabled = this.cameraOn && !this.#held;
    if (this.screenAudio) this.screenAudio.enabled = !this.#held; // muting is for the microphone
  }

  /** @param {DeviceLoss} detail */
  #tell(detail) {
    this.dispatchEvent(new CustomEvent("lost", { detail }));
  }

  #tracksChanged() {
    this.dispatchEvent(new Event("tracks"));
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

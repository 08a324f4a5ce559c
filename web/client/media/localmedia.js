/**
 * What this side of a call sends: microphone, camera and screen, and the switches that they have. No DOM, no protocol.
 *
 * @typedef {import("../model.js").CallKind} CallKind
 */
import { openCamera, openMedia, openScreen, stop } from "./media.js";

/** Milliseconds of black frames before the camera stops, so that the other side's video freezes on black. */
const BLACKOUT = 400;

/** Events: `change` when any field changed; `tracks` when a track came or went. */
export class LocalMedia extends EventTarget {
  /** @type {MediaStream | null} microphone and camera; null until the user has allowed them */
  stream = null;
  /** @type {MediaStreamTrack | null} */
  screen = null;
  /** @type {MediaStreamTrack | null} what the screen that is shared plays */
  screenAudio = null;
  muted = false;
  cameraOn = false;
  /** Whether there was a camera to use when there last should have been. */
  hasCamera = false;
  /** Nothing that matters leaves while the call is on hold. */
  #held = false;
  #closed = false;
  #blackout = 0;
  /** @type {Promise<void> | null} */
  #opening = null;

  /** @returns {MediaStreamTrack | null} */
  get microphone() {
    return this.stream?.getAudioTracks()[0] ?? null;
  }
  /** @returns {MediaStreamTrack | null} */
  get camera() {
    return this.stream?.getVideoTracks()[0] ?? null;
  }

  /**
   * Microphone and, for a video call, the camera. Asked for twice, they are opened once.
   *
   * @param {CallKind} kind
   * @throws {import("./media.js").MediaUnavailable}
   */
  async open(kind) {
    this.#opening ??= this.#open(kind);
    await this.#opening;
    if (kind === "voice" && this.camera) this.#releaseCamera();
  }

  /** @param {CallKind} kind */
  async #open(kind) {
    const stream = await openMedia(kind);
    if (this.#closed) return stop(stream);
    this.stream = stream;
    this.hasCamera = this.cameraOn = stream.getVideoTracks().length > 0;
    this.#applySwitches();
    this.#changed();
  }

  toggleMute() {
    this.muted = !this.muted;
    this.#applySwitches();
    this.#changed();
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
    if (this.camera) return;
    try {
      const track = await openCamera();
      if (this.#closed || !this.cameraOn || !this.stream || this.camera) return track.stop();
      this.hasCamera = true;
      this.stream.addTrack(track);
    } catch (error) {
      this.cameraOn = false;
      this.#changed();
      throw error;
    }
    this.#applySwitches();
    this.#tracksChanged();
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
    stop(this.stream);
    this.#releaseScreen();
  }

  #releaseScreen() {
    this.screen?.stop();
    this.screenAudio?.stop();
    this.screen = this.screenAudio = null;
  }

  #releaseCamera() {
    for (const track of this.stream?.getVideoTracks() ?? []) {
      track.stop();
      this.stream?.removeTrack(track);
    }
    this.cameraOn = false;
    this.#tracksChanged();
  }

  #applySwitches() {
    if (this.microphone) this.microphone.enabled = !this.muted && !this.#held;
    if (this.camera) this.camera.enabled = this.cameraOn && !this.#held;
    if (this.screenAudio) this.screenAudio.enabled = !this.#held; // muting is for the microphone
  }

  #tracksChanged() {
    this.dispatchEvent(new Event("tracks"));
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

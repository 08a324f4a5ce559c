/**
 * Looks after a call that goes on: whether the user talks although muted, and whether the line is good enough for video. What it
 * finds is in its fields; `relief.js` and `mutedspeech.js` decide. No DOM.
 *
 * @typedef {import("../media/leg.js").Leg} Leg
 * @typedef {import("./talk.js").Talk} Talk
 */
import { MicrophoneLevel } from "../media/microphonelevel.js";
import { MutedSpeech } from "../media/mutedspeech.js";
import { Relief } from "../media/relief.js";

/** Milliseconds between two looks. */
const PERIOD = 100;
/** Milliseconds for which the user is told that the video is back. */
const TOLD_FOR = 6_000;

export class CallCare {
  #leg;
  #talk;
  #isGoing;
  #changed;
  #relief = new Relief();
  /** Of the other party's line, only whether it is poor. */
  #other = new Relief();
  #speech = new MutedSpeech();
  /** @type {{level: MicrophoneLevel | null, of: MediaStreamTrack} | null} */
  #microphone = null;
  #timer;
  /** What the fields were at the last look. */
  #shown = "";

  /**
   * @param {Leg} leg
   * @param {Talk} talk
   * @param {() => boolean} isGoing whether the call is answered and not over
   * @param {() => void} changed called when a field has changed
   */
  constructor(leg, talk, isGoing, changed) {
    this.#leg = leg;
    this.#talk = talk;
    this.#isGoing = isGoing;
    this.#changed = changed;
    this.#timer = setInterval(() => this.#look(performance.now()), PERIOD);
  }

  /** Whether the user talks, and the other party does not hear it because the microphone is off. */
  get speaksMuted() {
    return this.#speech.isSpeaking;
  }
  /** Whether our line has been poor for a while. */
  get isPoor() {
    return this.#relief.isPoor;
  }
  /** Whether the other party's line has been. */
  get otherIsPoor() {
    return this.#other.isPoor;
  }
  /** @returns {import("../media/relief.js").VideoState | "paused_by_itself" | "returned"} what the user should know of our video */
  get video() {
    const { video, byItself, returnedAt } = this.#relief;
    if (video === "paused" && byItself) return "paused_by_itself";
    return video === "sending" && this.#leg.cameraOn && performance.now() - returnedAt < TOLD_FOR ? "returned" : video;
  }

  /** The user wants the video kept back, so that the audio has the line to itself. */
  pauseVideo() {
    this.#relief.pause();
    this.#look(performance.now());
  }

  /** The user wants to be seen, whatever the line is like. */
  sendVideo() {
    this.#relief.send(performance.now());
    this.#look(performance.now());
  }

  /** The user has read that keeping the video back would help. */
  declineOffer() {
    this.#relief.decline(performance.now());
    this.#look(performance.now());
  }

  close() {
    clearInterval(this.#timer);
    this.#forgetMicrophone();
  }

  /** @param {number} now */
  #look(now) {
    if (!this.#isGoing()) return;
    const { cameraOn, isConnected } = this.#leg;
    const bars = isConnected ? (this.#talk.qualities.yours?.bars ?? null) : 0;
    this.#relief.look({ bars: this.#talk.isHeld ? null : bars, sends: cameraOn }, now);
    this.#other.look({ bars: this.#talk.qualities.other?.bars ?? null, sends: false }, now);
    this.#leg.pauseVideo(this.#relief.isPaused);
    this.#listen(now);
    const shown = [this.speaksMuted, this.isPoor, this.otherIsPoor, this.video].join();
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#changed();
  }

  /** @param {number} now */
  #listen(now) {
    const track = this.#leg.localStream?.getAudioTracks()[0];
    if (this.#microphone && this.#microphone.of !== track) this.#forgetMicrophone();
    if (!track || !this.#leg.muted || this.#talk.isHeld) {
      this.#microphone?.level?.rest();
      return this.#speech.reset();
    }
    // Asking first keeps the browser from writing a warning to the console.
    if (!this.#microphone && navigator.userActivation && !navigator.userActivation.hasBeenActive) return;
    this.#microphone ??= { level: measured(track), of: track };
    if (this.#microphone.level) this.#speech.look(this.#microphone.level.level, now);
  }

  #forgetMicrophone() {
    this.#microphone?.level?.close();
    this.#microphone = null;
    this.#speech.reset();
  }
}

/** @param {MediaStreamTrack} track @returns {MicrophoneLevel | null} null: this browser, or this machine, measures none */
function measured(track) {
  try {
    return new MicrophoneLevel(track);
  } catch {
    return null;
  }
}

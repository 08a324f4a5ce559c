/**
 * The telephone's sounds, made here: no files to load. Sound is a courtesy, so nothing in here ever throws; where a browser
 * wants a click on the page first, the telephone stays silent until there is one.
 */

/**
 * @typedef {{at: number, hertz: number, length: number, shape?: OscillatorType}} Note `at` and `length` in seconds
 * @typedef {Exclude<import("./ringing/ringtones.js").Ringtone, "none">} Audible
 */

/** @param {number} start @param {number[]} pitches @param {number} step @param {number} length @returns {Note[]} */
const run = (start, pitches, step, length) => pitches.map((hertz, index) => ({ at: start + index * step, hertz, length }));

/** @type {Record<Audible, Note[]>} each shorter than `PERIOD` */
const RINGS = {
  // A rising broken chord, twice: friendly, and unlike any alarm.
  chime: [0, 0.9].flatMap((start) => run(start, [659.3, 830.6, 987.8], 0.14, 0.6)),
  // Two bells in turn, as telephones had them.
  bell: [0, 1.1].flatMap((start) => run(start, [1046.5, 1318.5, 1046.5, 1318.5, 1046.5, 1318.5], 0.12, 0.22)),
  // Low and wooden, for a quiet room.
  marimba: [0, 0.8].flatMap((start) => run(start, [392, 523.3, 440, 587.3], 0.17, 0.35)),
  // Two short calls that are heard through a closed case.
  pulse: [0, 0.3, 1.2, 1.5].map((at) => ({ at, hertz: 784, length: 0.2, shape: "triangle" })),
};
/** The loudest note, at full volume. */
const LOUDEST = 0.23;
/** @type {Note[]} what a caller hears while it rings: one soft, low tone */
const RINGBACK = [
  { at: 0, hertz: 440, length: 1.1 },
  { at: 0, hertz: 523.3, length: 1.1 },
];
/** @type {Note[]} */
const FAREWELL = [
  { at: 0, hertz: 587.3, length: 0.22 },
  { at: 0.13, hertz: 440, length: 0.32 },
];

/** Milliseconds from the start of one ring to the next. */
const PERIOD = 3_000;

export class Sounds {
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {GainNode | null} what plays now; cut off as a whole */
  #output = null;
  #timer = 0;
  /** @type {"ring" | "ringback" | null} */
  #playing = null;

  /**
   * The other side's telephone rings here.
   *
   * @param {Audible} tone
   * @param {number} volume 0 to 1
   */
  ring(tone, volume) {
    this.#repeat("ring", RINGS[tone], Math.max(0.001, LOUDEST * volume));
  }

  /** Ours rings there. */
  ringback() {
    this.#repeat("ringback", RINGBACK, 0.05);
  }

  farewell() {
    this.silence();
    this.#play(FAREWELL, 0.08);
  }

  silence() {
    clearInterval(this.#timer);
    this.#playing = null;
    const context = this.#context;
    const output = this.#output;
    this.#output = null;
    if (!context || !output) return;
    output.gain.setTargetAtTime(0, context.currentTime, 0.03); // faded: a cut clicks
    setTimeout(() => output.disconnect(), 300);
  }

  /**
   * @param {"ring" | "ringback"} name
   * @param {Note[]} notes
   * @param {number} volume
   */
  #repeat(name, notes, volume) {
    if (this.#playing === name) return;
    this.silence();
    this.#playing = name;
    this.#play(notes, volume);
    this.#timer = setInterval(() => this.#play(notes, volume), PERIOD);
  }

  /**
   * @param {Note[]} notes
   * @param {number} volume
   */
  #play(notes, volume) {
    // Asking first keeps the browser from writing a warning to the console.
    if (navigator.userActivation && !navigator.userActivation.hasBeenActive) return;
    try {
      const context = (this.#context ??= new AudioContext());
      if (context.state === "suspended") context.resume().catch(() => {});
      const output = (this.#output ??= this.#newOutput(context));
      for (const note of notes) strike(context, output, note, volume);
    } catch {
      // No audio device, or no permission to use it.
    }
  }

  /** @param {AudioContext} context */
  #newOutput(context) {
    const output = context.createGain();
    output.connect(context.destination);
    return output;
  }
}

/**
 * One note with a soft attack and a long fall, as of a struck bar.
 *
 * @param {AudioContext} context
 * @param {GainNode} output
 * @param {Note} note
 * @param {number} volume
 */
function strike(context, output, { at, hertz, length, shape = "sine" }, volume) {
  const start = context.currentTime + 0.02 + at;
  const oscillator = context.createOscillator();
  const envelope = context.createGain();
  oscillator.type = shape;
  oscillator.frequency.value = hertz;
  envelope.gain.setValueAtTime(0.0001, start);
  envelope.gain.exponentialRampToValueAtTime(volume, start + 0.015);
  envelope.gain.exponentialRampToValueAtTime(0.0001, start + length);
  oscillator.connect(envelope).connect(output);
  oscillator.start(start);
  oscillator.stop(start + length + 0.05);
}

/** How loud a microphone is, measured here: nothing of it is sent. No DOM. */

/** Samples of which one level is made: 43 ms at 48 kHz. */
const WINDOW = 2_048;

export class MicrophoneLevel {
  #track;
  #context;
  #source;
  #analyser;
  #samples = new Float32Array(WINDOW);

  /**
   * @param {MediaStreamTrack} microphone which may be switched off meanwhile: its clone is not
   * @throws {Error} this browser measures none
   */
  constructor(microphone) {
    this.#context = new AudioContext();
    this.#track = microphone.clone();
    this.#track.enabled = true;
    this.#source = this.#context.createMediaStreamSource(new MediaStream([this.#track]));
    this.#analyser = this.#context.createAnalyser();
    this.#analyser.fftSize = WINDOW;
    this.#source.connect(this.#analyser);
  }

  /** @returns {number} root mean square of the last moment, 0 to 1 */
  get level() {
    if (this.#context.state === "suspended") void this.#context.resume().catch(() => {});
    this.#analyser.getFloatTimeDomainData(this.#samples);
    return Math.sqrt(this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / WINDOW);
  }

  /** Measure nothing for a while; the next look at `level` goes on. */
  rest() {
    if (this.#context.state === "running") void this.#context.suspend().catch(() => {});
  }

  close() {
    this.#source.disconnect();
    this.#track.stop();
    void this.#context.close().catch(() => {});
  }
}

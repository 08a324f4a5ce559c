/** Plays a few notes on a speaker, to hear whether it is the right one. */

/** @type {[at: number, hertz: number][]} seconds, and the notes of a chord */
const NOTES = [
  [0, 523.3],
  [0.18, 659.3],
  [0.36, 784],
];
/** Seconds. */
const LENGTH = 1.4;

/** Whether sound can be sent to a speaker of the user's choice. */
export function canChooseSpeaker() {
  return "setSinkId" in HTMLMediaElement.prototype;
}

/**
 * @param {HTMLMediaElement} element
 * @param {string} id of a speaker; empty: the one that the system prefers
 */
export async function playOn(element, id) {
  const player = /** @type {any} newer than TypeScript knows in all browsers */ (element);
  if (!canChooseSpeaker() || (player.sinkId ?? "") === id) return;
  try {
    await player.setSinkId(id);
  } catch {
    if (id) await player.setSinkId("").catch(() => {}); // it is gone: the system's
  }
}

/**
 * @param {string} id of a speaker; empty: the one that the system prefers
 * @returns {Promise<void>} it has been played
 */
export async function playTestSound(id) {
  const context = new AudioContext();
  const output = context.createMediaStreamDestination();
  const player = new Audio();
  player.srcObject = output.stream;
  try {
    await playOn(player, id);
    await context.resume();
    await player.play();
    for (const [at, hertz] of NOTES) strike(context, output, context.currentTime + 0.05 + at, hertz);
    await new Promise((resolve) => setTimeout(resolve, LENGTH * 1000));
  } finally {
    player.srcObject = null;
    void context.close();
  }
}

/**
 * @param {AudioContext} context
 * @param {AudioNode} output
 * @param {number} start
 * @param {number} hertz
 */
function strike(context, output, start, hertz) {
  const oscillator = new OscillatorNode(context, { frequency: hertz });
  const envelope = new GainNode(context, { gain: 0 });
  envelope.gain.setValueAtTime(0.0001, start);
  envelope.gain.exponentialRampToValueAtTime(0.25, start + 0.02);
  envelope.gain.exponentialRampToValueAtTime(0.0001, start + 0.9);
  oscillator.connect(envelope).connect(output);
  oscillator.start(start);
  oscillator.stop(start + 1);
}

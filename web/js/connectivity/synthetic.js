/** Sound and pictures to send, without a microphone or a camera. */

const WIDTH = 320;
const HEIGHT = 240;
const PICTURES_PER_SECOND = 25;
/** Hz. */
const TONE = 440;
const STRIPES = 8;

/**
 * A moving picture and a tone that nobody hears here.
 *
 * @returns {{stream: MediaStream, stop: () => void}}
 */
export function syntheticMedia() {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  let turn = 0;
  const timer = setInterval(() => draw(context, turn++), 1000 / PICTURES_PER_SECOND);
  draw(context, turn++);
  const stream = canvas.captureStream(PICTURES_PER_SECOND);
  const sound = tone();
  for (const track of sound?.stream.getAudioTracks() ?? []) stream.addTrack(track);
  const stop = () => {
    clearInterval(timer);
    for (const track of stream.getTracks()) track.stop();
    sound?.stop();
  };
  return { stream, stop };
}

/** Null where there is no sound at all. */
function tone() {
  try {
    const context = new AudioContext();
    const oscillator = new OscillatorNode(context, { frequency: TONE });
    const destination = context.createMediaStreamDestination();
    oscillator.connect(destination);
    oscillator.start();
    void context.resume().catch(() => {});
    return { stream: destination.stream, stop: () => void context.close().catch(() => {}) };
  } catch {
    return null;
  }
}

/**
 * Stripes that wander, and grains that no codec makes small: a picture that costs about what a face does.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {number} turn
 */
function draw(context, turn) {
  for (let stripe = 0; stripe < STRIPES; stripe++) {
    context.fillStyle = `hsl(${(stripe * 45 + turn * 3) % 360} 60% 55%)`;
    context.fillRect((stripe * WIDTH) / STRIPES, 0, WIDTH / STRIPES + 1, HEIGHT);
  }
  for (let grain = 0; grain < 400; grain++) {
    context.fillStyle = grain % 2 ? "#fff8" : "#0008";
    context.fillRect(Math.random() * WIDTH, Math.random() * HEIGHT, 4, 4);
  }
}

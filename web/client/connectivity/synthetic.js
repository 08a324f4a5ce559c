/** Synthetic audio and video to send, without a microphone or a camera. */

const WIDTH = 320;
const HEIGHT = 240;
const FRAMES_PER_SECOND = 25;
/** Hz. */
const TONE = 440;
const STRIPES = 8;

/**
 * Moving video, and a tone that is not played here.
 *
 * @returns {{stream: MediaStream, stop: () => void}}
 */
export function syntheticMedia() {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  let turn = 0;
  const timer = setInterval(() => draw(context, turn++), 1000 / FRAMES_PER_SECOND);
  draw(context, turn++);
  const stream = canvas.captureStream(FRAMES_PER_SECOND);
  const audio = tone();
  for (const track of audio?.stream.getAudioTracks() ?? []) stream.addTrack(track);
  const stop = () => {
    clearInterval(timer);
    for (const track of stream.getTracks()) track.stop();
    audio?.stop();
  };
  return { stream, stop };
}

/** Null where the browser has no audio device. */
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
 * Moving stripes and random grains, which compress badly: the bit rate is about that of a face.
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

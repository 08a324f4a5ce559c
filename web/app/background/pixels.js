/**
 * What is computed of pixels, at the size that the model looks at: its input, a steady mask, and a background that is blurred without the
 * person in front of it. No canvas.
 */
import { HEIGHT, WIDTH } from "./runtime.js";

/** How likely a pixel is of a person, up to which it counts as background, and from which as the person. */
const BACKGROUND = 0.3;
const PERSON = 0.75;
/** How much of the mask before stays where the model is least sure. */
const STEADINESS = 0.6;
/** The weight of the person's pixels in a blur: next to none, or their colours would surround them like a halo. */
const LEAST = 0.002;

/**
 * Write a picture in the middle of the model's input.
 *
 * @param {Float32Array} input
 * @param {Uint8ClampedArray} pixels red, green, blue, alpha
 * @param {number} width of the picture; its height is the model's
 */
export function fillInput(input, pixels, width) {
  const left = (WIDTH - width) / 2;
  if (left) input.fill(0.5);
  for (let y = 0; y < HEIGHT; y++) {
    let to = (y * WIDTH + left) * 3;
    for (let from = y * width * 4; from < (y + 1) * width * 4; from += 4) {
      input[to++] = pixels[from] / 255;
      input[to++] = pixels[from + 1] / 255;
      input[to++] = pixels[from + 2] / 255;
    }
  }
}

/**
 * Take the part of the picture out of the model's output. Where the model is not sure, the mask before counts too: edges would flicker.
 *
 * @param {Float32Array} mask of the frame before, and then of this one: from 0, background, to 1
 * @param {Float32Array} output
 * @param {number} width
 */
export function takeMask(mask, output, width) {
  const left = (WIDTH - width) / 2;
  for (let y = 0, at = 0; y < HEIGHT; y++) {
    for (let x = 0; x < width; x++, at++) {
      const found = output[y * WIDTH + left + x];
      const likely = found > 0 ? Math.min(1, found) : 0; // what is no number would stay for ever
      const unsure = 4 * likely * (1 - likely);
      mask[at] = likely + STEADINESS * unsure * (mask[at] - likely);
    }
  }
}

/**
 * How opaque the person is in each pixel.
 *
 * @param {Uint8ClampedArray} pixels whose alpha is written
 * @param {Float32Array} mask
 */
export function writeAlpha(pixels, mask) {
  for (let at = 0; at < mask.length; at++) {
    const part = Math.min(1, Math.max(0, (mask[at] - BACKGROUND) / (PERSON - BACKGROUND)));
    pixels[4 * at + 3] = 255 * part * part * (3 - 2 * part);
  }
}

/** @param {number} length of the picture in pixels */
export function createBlur(length) {
  const [weighted, other] = [new Float32Array(4 * length), new Float32Array(4 * length)];

  /**
   * Three boxes are nearly a Gaussian.
   *
   * @param {Uint8ClampedArray} pixels that are blurred in place
   * @param {Float32Array | null} mask of the person, who is left out; null: all is blurred
   * @param {number} width
   * @param {number} radius of a box
   */
  return (pixels, mask, width, radius) => {
    const height = length / width;
    for (let at = 0; at < length; at++) {
      const weight = mask ? Math.max(LEAST, 1 - 1.5 * mask[at]) : 1;
      for (let channel = 0; channel < 3; channel++) weighted[4 * at + channel] = weight * pixels[4 * at + channel];
      weighted[4 * at + 3] = weight;
    }
    for (let round = 0; round < 3; round++) {
      boxes(weighted, other, width, height, radius, 4, 4 * width);
      boxes(other, weighted, height, width, radius, 4 * width, 4);
    }
    for (let at = 0; at < length; at++) {
      for (let channel = 0; channel < 3; channel++) pixels[4 * at + channel] = weighted[4 * at + channel] / weighted[4 * at + 3];
      pixels[4 * at + 3] = 255;
    }
  };
}

/**
 * The mean of each pixel's neighbours in its line; what is beyond the end of a line is as its end.
 *
 * @param {Float32Array} from
 * @param {Float32Array} to
 * @param {number} length of a line
 * @param {number} lines
 * @param {number} radius
 * @param {number} step from a pixel of a line to the next
 * @param {number} jump from a line to the next
 */
function boxes(from, to, length, lines, radius, step, jump) {
  const size = 2 * radius + 1;
  const last = (length - 1) * step;
  for (let line = 0; line < lines; line++) {
    for (let channel = 0; channel < 4; channel++) {
      const start = line * jump + channel;
      let sum = from[start] * (radius + 1);
      for (let index = 1; index <= radius; index++) sum += from[start + Math.min(last, index * step)];
      for (let index = 0; index < length; index++) {
        to[start + index * step] = sum / size;
        sum += from[start + Math.min(last, (index + radius + 1) * step)] - from[start + Math.max(0, (index - radius) * step)];
      }
    }
  }
}

/**
 * The backgrounds that are drawn: calm colours, as a wall or a window far away.
 *
 * @typedef {"dawn" | "sea" | "forest"} Scene
 * @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Context
 *
 * @typedef {object} Drawing
 * @property {string[]} sky from top to bottom
 * @property {[x: number, y: number, radius: number, colour: string][]} lights in parts of the width
 */

/** @type {Record<Scene, Drawing>} */
const DRAWINGS = {
  dawn: {
    sky: ["#3d3a78", "#9a6a9c", "#e9a48f", "#f6d3ae"],
    lights: [
      [0.76, 0.42, 0.34, "rgb(255 226 178 / 75%)"],
      [0.15, 0.1, 0.5, "rgb(87 72 160 / 55%)"],
    ],
  },
  sea: {
    sky: ["#c9dfe8", "#9cc4d4", "#4f8ea6", "#245a74"],
    lights: [
      [0.28, 0.06, 0.5, "rgb(255 255 255 / 60%)"],
      [0.8, 0.85, 0.45, "rgb(18 62 88 / 55%)"],
    ],
  },
  forest: {
    sky: ["#d7dfc3", "#9fb893", "#587d63", "#28483b"],
    lights: [
      [0.7, 0.08, 0.45, "rgb(255 250 214 / 65%)"],
      [0.12, 0.75, 0.5, "rgb(24 56 44 / 60%)"],
    ],
  },
};

/** @param {Context} context @param {number} width @param {number} height @param {Scene} scene */
export function drawScene(context, width, height, scene) {
  const { sky, lights } = DRAWINGS[scene];
  const gradient = context.createLinearGradient(0, 0, 0, height);
  sky.forEach((colour, index) => gradient.addColorStop(index / (sky.length - 1), colour));
  fillWith(context, width, height, gradient);
  for (const [x, y, radius, colour] of lights) {
    const light = context.createRadialGradient(x * width, y * height, 0, x * width, y * height, radius * width);
    light.addColorStop(0, colour);
    light.addColorStop(1, colour.replace(/\d+%/, "0%"));
    fillWith(context, width, height, light);
  }
}

/** @param {Context} context @param {number} width @param {number} height @param {CanvasGradient} style */
function fillWith(context, width, height, style) {
  context.fillStyle = style;
  context.fillRect(0, 0, width, height);
}

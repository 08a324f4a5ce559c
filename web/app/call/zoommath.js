/**
 * How large, and which part of a picture is seen. Pure: positions are in pixels of the box that shows the picture.
 *
 * @typedef {{scale: number, x: number, y: number}} View What is at (0, 0) of the picture is at (x, y) of the box.
 * @typedef {{width: number, height: number}} Box
 */

/** Letters of a 4K screen are as large as on the desk at about five, on a telephone. */
const LARGEST = 8;

/** The whole picture. @type {Readonly<View>} */
export const WHOLE = Object.freeze({ scale: 1, x: 0, y: 0 });

/**
 * Larger or smaller, while what is at a point stays there.
 *
 * @param {View} view
 * @param {number} factor
 * @param {{x: number, y: number}} at
 * @param {Box} box
 * @returns {View}
 */
export function zoomed(view, factor, at, box) {
  const scale = Math.min(LARGEST, Math.max(1, view.scale * factor));
  const by = scale / view.scale;
  return within({ scale, x: at.x - (at.x - view.x) * by, y: at.y - (at.y - view.y) * by }, box);
}

/**
 * @param {View} view
 * @param {number} dx
 * @param {number} dy
 * @param {Box} box
 * @returns {View}
 */
export function moved(view, dx, dy, box) {
  return within({ scale: view.scale, x: view.x + dx, y: view.y + dy }, box);
}

/**
 * No gap between the picture and the edges of its box.
 *
 * @param {View} view
 * @param {Box} box
 * @returns {View}
 */
export function within({ scale, x, y }, { width, height }) {
  const inside = (/** @type {number} */ at, /** @type {number} */ size) => Math.min(0, Math.max(size - size * scale, at)) || 0;
  return { scale, x: inside(x, width), y: inside(y, height) };
}

/**
 * Two fingers have moved: what was between them stays between them.
 *
 * @param {View} view
 * @param {[{x: number, y: number}, {x: number, y: number}]} before
 * @param {[{x: number, y: number}, {x: number, y: number}]} after
 * @param {Box} box
 * @returns {View}
 */
export function pinched(view, before, after, box) {
  const [from, to] = [middle(before), middle(after)];
  const factor = distance(after) / Math.max(1, distance(before));
  return moved(zoomed(view, factor, from, box), to.x - from.x, to.y - from.y, box);
}

/** @param {{x: number, y: number}[]} points */
function middle([one, other]) {
  return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
}

/** @param {{x: number, y: number}[]} points */
function distance([one, other]) {
  return Math.hypot(one.x - other.x, one.y - other.y);
}

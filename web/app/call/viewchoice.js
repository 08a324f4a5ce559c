/**
 * How the user likes calls to look, kept in this browser.
 *
 * @typedef {"top-left" | "top-right" | "bottom-left" | "bottom-right"} Corner
 *
 * @typedef {object} ViewChoice
 * @property {"over" | "side"} layout the own picture over the other one, or beside it
 * @property {"auto" | "fill" | "fit"} fit whether the other picture fills the screen, or is shown whole
 * @property {Corner | null} corner of the own picture; null: where there is room
 * @property {boolean} ownHidden
 * @property {boolean} keys whether single keys do something
 */

const KEY = "call-relay.view";

/** @type {Corner[]} */
const CORNERS = ["top-left", "top-right", "bottom-left", "bottom-right"];

/** @returns {ViewChoice} */
export function readViewChoice() {
  /** @type {any} what is stored is the user's to edit */
  let kept = null;
  try {
    kept = JSON.parse(localStorage.getItem(KEY) ?? "null");
  } catch {
    // Storage may be forbidden.
  }
  return {
    layout: kept?.layout === "side" ? "side" : "over",
    fit: kept?.fit === "fill" || kept?.fit === "fit" ? kept.fit : "auto",
    corner: CORNERS.includes(kept?.corner) ? kept.corner : null,
    ownHidden: kept?.ownHidden === true,
    keys: kept?.keys !== false,
  };
}

/** @param {ViewChoice} choice */
export function keepViewChoice(choice) {
  try {
    localStorage.setItem(KEY, JSON.stringify(choice));
  } catch {
    // Forbidden, or full: the choice is good for this page.
  }
}

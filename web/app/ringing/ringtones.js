/**
 * How this browser rings, as its user wants it. No DOM.
 *
 * @typedef {"chime" | "bell" | "marimba" | "pulse" | "none"} Ringtone
 *
 * @typedef {object} Ringing
 * @property {Ringtone} tone `none`: silent.
 * @property {number} volume 0 to 1.
 */

const KEY = "call-relay.ringing";

/** @type {[Ringtone, string][]} */
export const RINGTONES = [
  ["chime", "Chime"],
  ["bell", "Bell"],
  ["marimba", "Marimba"],
  ["pulse", "Pulse"],
  ["none", "Silent"],
];

/** @type {Ringing} */
const USUAL = { tone: "chime", volume: 0.7 };

/** @returns {Ringing} */
export function ringing() {
  try {
    const { tone, volume } = JSON.parse(localStorage.getItem(KEY) ?? "null") ?? USUAL;
    const known = RINGTONES.some(([name]) => name === tone);
    return { tone: known ? tone : USUAL.tone, volume: volume >= 0 && volume <= 1 ? volume : USUAL.volume };
  } catch {
    return { ...USUAL }; // storage may be forbidden, and what is there is the user's to edit
  }
}

/** @param {Ringing} next */
export function setRinging(next) {
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // Forbidden: it rings as usual.
  }
}

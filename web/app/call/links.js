/**
 * Which parts of a text are links. Pure. Only http and https, written out: what a link leads to is what one reads, so an address
 * with a user name in front (`https://bank.example@elsewhere.example`) is none, and no character that turns or hides text is part
 * of one.
 *
 * @typedef {{text: string, url: string | null}} TextPart `url`: what the text leads to; null: nowhere.
 */

/** Ends at spaces, quotes, angle brackets, control characters, and what directs or hides text (Unicode: Bidi, zero width). */
const URLS = /https?:\/\/[^\s"'`<>\\{}|^\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff0-\uffff]+/giu;
/** Behind an address these belong to the sentence. */
const BEHIND = /[.,;:!?*_~…]+$/u;
/** Characters of an address that is taken for one. */
const LONGEST = 2_000;

/**
 * @param {string} text
 * @returns {TextPart[]} the whole text, in order
 */
export function partsOf(text) {
  /** @type {TextPart[]} */
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(URLS)) {
    const shown = trimmed(match[0]);
    const url = urlOf(shown);
    if (!url) continue;
    if (match.index > at) parts.push({ text: text.slice(at, match.index), url: null });
    parts.push({ text: shown, url });
    at = match.index + shown.length;
  }
  if (at < text.length) parts.push({ text: text.slice(at), url: null });
  return parts;
}

/** @param {string} found without the punctuation behind it, and without a bracket that was opened before it */
function trimmed(found) {
  let text = found.replace(BEHIND, "");
  for (const [open, close] of ["()", "[]"]) {
    while (text.endsWith(close) && count(text, close) > count(text, open)) text = text.slice(0, -1).replace(BEHIND, "");
  }
  return text;
}

/** @param {string} text @param {string} character */
function count(text, character) {
  return text.split(character).length - 1;
}

/** @param {string} text @returns {string | null} */
function urlOf(text) {
  if (text.length > LONGEST) return null;
  try {
    const url = new URL(text);
    const isWeb = url.protocol === "http:" || url.protocol === "https:";
    return isWeb && url.hostname && !url.username && !url.password ? url.href : null;
  } catch {
    return null;
  }
}

/** Names of files that another party sends. Pure. */

/** Characters of a name, its ending included. */
const LONGEST = 120;
/** Characters of an ending that is kept when the name is cut. */
const LONGEST_ENDING = 16;

/** What file systems and shells take for something else, what directs text, and what cannot be seen. */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff<>:"|?*%~$&;`'{}^]/gu;
/** Names of devices on Windows, whatever their ending. */
const DEVICES = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|$)/iu;

/**
 * A name that is safe to save under: one part, no path, nothing hidden. It reads as it was given as far as that goes.
 *
 * @param {unknown} given by the sender
 * @returns {string} never empty
 */
export function safeName(given) {
  const text = typeof given === "string" ? given.slice(0, 1_000).normalize("NFC") : "";
  const last = text.split(/[\\/]/u).at(-1) ?? "";
  // Half of a surrogate pair has no meaning in a name.
  const plain = last.replace(/\p{Surrogate}/gu, "").replace(UNSAFE, "_").replace(/\s+/gu, " ");
  // Dots in front hide a file, and Windows drops dots and spaces at the end.
  let name = plain.replace(/^[\s.]+/u, "").replace(/[\s.]+$/u, "");
  if (DEVICES.test(name)) name = `_${name}`;
  return shortened(name) || "file";
}

/** @param {string} name */
function shortened(name) {
  const characters = Array.from(name);
  if (characters.length <= LONGEST) return name;
  const ending = /\.[^.\s]+$/u.exec(name)?.[0] ?? "";
  const kept = Array.from(ending).length <= LONGEST_ENDING ? ending : "";
  return characters.slice(0, LONGEST - Array.from(kept).length).join("") + kept;
}

/**
 * `640 bytes`, `1.4 MB`: as large as the reader thinks it is.
 *
 * @param {number} bytes
 */
export function sizeText(bytes) {
  if (bytes < 1_000) return `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
  const units = ["kB", "MB", "GB"];
  let [size, unit] = [bytes / 1_000, 0];
  while (size >= 999.5 && unit < units.length - 1) [size, unit] = [size / 1_000, unit + 1];
  return `${size < 9.95 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/**
 * A person's picture, or their initials on a colour of their own.
 *
 * @typedef {import("../../client/model.js").Person} Person
 */
import { h } from "./dom.js";
import { keyOf } from "../../client/model.js";

/** Characters of an address: a small picture as a `data:` URL. */
const LONGEST = 64 * 1024;
/** How many colour pairs `tokens.css` has. */
const TONES = 8;

/**
 * The same person has the same colour on every page and every day.
 *
 * @param {import("../../client/model.js").ProfileName} profile
 */
export function toneOf(profile) {
  let hash = 0;
  for (const character of keyOf(profile)) hash = (Math.imul(hash, 33) + character.charCodeAt(0)) >>> 0;
  return (hash >>> 3) % TONES; // the lowest bits mix badly
}

/**
 * @param {Person} person
 * @param {"small" | "medium" | "large" | "huge"} [size]
 * @returns {HTMLElement} for the eye only; the name stands next to it
 */
export function avatar(person, size = "medium") {
  const attributes = { class: "avatar", "data-size": size, "data-tone": toneOf(person), "aria-hidden": "true" };
  const element = h("span", attributes, h("span", { class: "avatar__initials" }, initials(person.name)));
  const address = pictureAddress(person.avatar);
  if (address) {
    // No referrer: the host of the picture need not know on which page it is shown. Without a picture, the initials stay.
    const attributes = { class: "avatar__picture", alt: "", referrerpolicy: "no-referrer", decoding: "async", src: address };
    const picture = h("img", { ...attributes, onerror: () => picture.remove() });
    element.append(picture);
  }
  return element;
}

/**
 * First and last name's initials, in whatever script they are; letters may take more than one UTF-16 unit.
 *
 * @param {string} name
 */
function initials(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const chosen = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return chosen.map((word) => [...word][0].toLocaleUpperCase()).join("") || "?";
}

/**
 * The picture's absolute address, or null where the Content-Security-Policy would not have it shown: not even trying keeps the
 * console clean.
 *
 * @param {string} avatar
 */
function pictureAddress(avatar) {
  if (!avatar || avatar.length > LONGEST) return null;
  try {
    const url = new URL(avatar, document.baseURI);
    return url.origin === location.origin || ["https:", "data:", "blob:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

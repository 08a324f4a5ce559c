/**
 * The part of the dialog of camera and sound in which the background is chosen. What it looks like is seen in the camera's video above.
 *
 * @typedef {import("../../client/media/background.js").Background} Background
 * @typedef {import("../../client/media/background.js").FilterState} FilterState
 */
import { chosenBackground } from "../../client/media/background.js";
import { h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { forgetImage, ImageRefused, keepImage, ownImage } from "./ownimage.js";
import { drawScene } from "./scenes.js";
import { STATE_TEXTS } from "./words.js";

/** @type {[Background, string][]} */
const CHOICES = [
  ["none", "None"],
  ["slight", "Slight blur"],
  ["strong", "Blur"],
  ["dawn", "Dawn"],
  ["sea", "Sea"],
  ["forest", "Forest"],
  ["image", "Your image"],
];
/** Pixels of a picture on a button. */
const SIZE = /** @type {const} */ ([128, 72]);

const REFUSALS = {
  too_large: "This file is too large: choose one of up to 25 MB.",
  unreadable: "This file is not an image that your browser can show.",
};

/** @param {{onBackground: (background: Background) => void}} actions */
export function createBackgroundPicker({ onBackground }) {
  const choices = new Map(CHOICES.map(([value, label]) => [value, createChoice(value, label)]));
  const own = /** @type {ReturnType<typeof createChoice>} */ (choices.get("image"));
  const file = h("input", { type: "file", accept: "image/*", hidden: true, "data-testid": "background-file" });
  const quiet = (/** @type {string} */ name, /** @type {string} */ text, /** @type {() => void} */ onclick) => {
    return h("button", { class: "button button--quiet backgrounds__button", type: "button", "data-testid": name, onclick }, text);
  };
  const add = quiet("add-background", "Choose an image…", () => file.click());
  const remove = quiet("remove-background", "Remove your image", () => void removeImage());
  const again = quiet("background-again", "Try again", () => onBackground(chosenBackground()));
  const state = h("p", { class: "devices__hint muted", role: "status", "data-testid": "background-state" });
  const kept = h("p", { class: "devices__hint muted" }, "Your image stays in this browser.");
  const tiles = h("div", { class: "backgrounds__tiles" }, ...[...choices.values()].map(({ element }) => element));
  const element = h(
    "fieldset",
    { class: "backgrounds", "data-testid": "backgrounds" },
    h("legend", { class: "devices__label" }, "Background"),
    tiles,
    state,
    h("div", { class: "backgrounds__buttons" }, again, add, remove, file),
    kept,
  );
  let refusal = "";
  /** @type {FilterState | null} */
  let shown = null;
  file.addEventListener("change", () => void takeFile());
  void showImage();

  /** @param {Background} value @param {string} label */
  function createChoice(value, label) {
    const input = h("input", {
      class: "visually-hidden backgrounds__input",
      type: "radio",
      name: "background",
      value,
      "data-testid": `background-${value}`,
      onchange: () => choose(value),
    });
    const picture = h("span", { class: "backgrounds__picture", "data-background": value, "aria-hidden": "true" }, pictureOf(value));
    return { element: h("label", { class: "backgrounds__tile" }, input, picture, h("span", {}, label)), input, picture };
  }

  /** @param {Background} value */
  function choose(value) {
    refusal = "";
    onBackground(value);
    render(shown);
  }

  async function takeFile() {
    const [chosen] = file.files ?? [];
    file.value = ""; // the same file may be chosen again
    if (!chosen) return;
    try {
      await keepImage(chosen);
      await showImage();
      choose("image");
    } catch (error) {
      if (!(error instanceof ImageRefused)) throw error;
      refusal = REFUSALS[error.problem];
      render(shown);
    }
  }

  async function removeImage() {
    await forgetImage();
    await showImage();
    // Not to the room as it is, which an image has hidden so far.
    if (chosenBackground() === "image") choose("strong");
    add.focus();
  }

  async function showImage() {
    const image = await ownImage();
    own.element.hidden = remove.hidden = kept.hidden = !image;
    setText(add, image ? "Choose another image…" : "Choose an image…");
    const canvas = own.picture.querySelector("canvas");
    if (!image || !canvas) return;
    const bitmap = await createImageBitmap(image);
    const scale = Math.max(SIZE[0] / bitmap.width, SIZE[1] / bitmap.height);
    const [width, height] = [SIZE[0] / scale, SIZE[1] / scale];
    const at = /** @type {const} */ ([(bitmap.width - width) / 2, (bitmap.height - height) / 2]);
    canvas.getContext("2d")?.drawImage(bitmap, ...at, width, height, 0, 0, ...SIZE);
    bitmap.close();
  }

  /** @param {FilterState | null} next */
  function render(next) {
    shown = next;
    const chosen = chosenBackground();
    for (const [value, { input }] of choices) input.checked = value === chosen;
    setText(state, refusal || (next ? STATE_TEXTS[next] : ""));
    state.classList.toggle("devices__problem", refusal !== "" || next === "failed" || next === "slow");
    again.hidden = next !== "failed";
  }
  render(null);

  return {
    element,
    render,
    /** Have it in sight, with the keyboard at what is chosen. */
    focus() {
      element.scrollIntoView({ block: "center" });
      choices.get(chosenBackground())?.input.focus();
    },
  };
}

/** @param {Background} value */
function pictureOf(value) {
  if (value === "none") return icon("close");
  if (value === "slight" || value === "strong") return icon("backdrop");
  const canvas = h("canvas", { width: SIZE[0], height: SIZE[1] });
  const context = canvas.getContext("2d");
  if (context && value !== "image") drawScene(context, ...SIZE, value);
  return canvas;
}

/**
 * Single keys that do something during a call, and the list of them. Never while the user types, and never where the user has
 * turned them off: speech input and unsteady hands press keys that were not meant (WCAG 2.1.4).
 *
 * @typedef {object} KeyActions
 * @property {() => void} onFullScreen
 * @property {() => void} onEscape
 * @property {(talking: boolean) => void} onTalk the key for talking is held down, or let go
 */
import { h } from "../ui/dom.js";

/** What is typed into, or takes keys of its own. */
const FIELDS = "input, textarea, select, [contenteditable]:not([contenteditable=false])";

/** @type {[string, string][]} */
const LIST = [
  ["M", "Mute or unmute your microphone"],
  ["V", "Turn your camera on or off"],
  ["S", "Share your screen, or stop it"],
  ["C", "Open or close the chat"],
  ["F", "Full screen, or leave it"],
  ["Space", "While you are muted: hold it to talk"],
  ["Esc", "Close what is open"],
  ["?", "This list"],
];

/**
 * @param {HTMLElement} root the call screen; a key presses the button there that names it (`aria-keyshortcuts`)
 * @param {KeyActions} actions
 * @param {{on: () => boolean, set: (on: boolean) => void}} setting whether the keys do something
 */
export function createKeyboard(root, actions, setting) {
  const list = createList(setting);
  /** @type {import("./callscreen.js").CallView | null} */
  let call = null;
  let talking = false;
  /** Whether the user has moved about by pointer since the Tab key was pressed last: buttons have the focus from clicks then. */
  let byPointer = false;

  /** @type {Record<string, (() => void) | undefined>} */
  const others = { F: actions.onFullScreen, "?": list.open };

  /** @param {KeyboardEvent} event */
  function pressed(event) {
    if (event.key === "Tab") byPointer = false;
    if (!call || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest(FIELDS) || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return actions.onEscape();
    if (!setting.on()) return;
    if (event.code === "Space") return spacePressed(event, target);
    const name = nameOf(event);
    const button = /** @type {HTMLButtonElement | null} */ (root.querySelector(`.control[aria-keyshortcuts="${CSS.escape(name)}"]`));
    const act = others[name] ?? (button && (() => button.click()));
    if (!act) return;
    event.preventDefault();
    if (!event.repeat && !button?.hidden) act();
  }

  /**
   * @param {KeyboardEvent} event
   * @param {Element | null} target
   */
  function spacePressed(event, target) {
    // Who moves by keyboard presses buttons with it. A button that has the focus from a click is not meant.
    if (!talking && !byPointer && target?.matches("button, a, summary")) return;
    if (!talking && !(call?.isAnswered && call.leg.muted)) return;
    event.preventDefault();
    if (talking || event.repeat) return;
    talking = true;
    actions.onTalk(true);
  }

  /** @param {KeyboardEvent} event */
  function released(event) {
    if (!talking || event.code !== "Space") return;
    event.preventDefault(); // the button that has the focus is not pressed by it
    stopTalking();
  }

  function stopTalking() {
    if (!talking) return;
    talking = false;
    actions.onTalk(false);
  }

  document.addEventListener("pointerdown", () => (byPointer = true), { capture: true });
  document.addEventListener("keydown", pressed);
  document.addEventListener("keyup", released);
  // The key is let go where this page does not hear of it.
  for (const type of ["blur", "pagehide"]) addEventListener(type, stopTalking);
  document.addEventListener("visibilitychange", stopTalking);

  return {
    /** The list of keys, a dialog. */
    list: list.element,
    openList: list.open,
    get isTalking() {
      return talking;
    },
    /** @param {import("./callscreen.js").CallView | null} next the call that the keys are for; null: there is none */
    watch(next) {
      if (!next?.isAnswered) talking = false; // there is no microphone to turn off any more
      if (next === null) list.element.close();
      call = next;
    },
  };
}

/** The key by what is printed on it, whatever script the keyboard writes. @param {KeyboardEvent} event */
function nameOf({ key, code }) {
  if (/^[\x20-\x7e]$/.test(key)) return key.toUpperCase();
  return /^Key[A-Z]$/.test(code) ? code.slice(3) : key;
}

/** @param {{on: () => boolean, set: (on: boolean) => void}} setting */
function createList(setting) {
  const rows = LIST.map(([key, text]) => h("div", { class: "keys__row" }, h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)));
  const changed = () => setting.set(toggle.checked);
  const toggle = h("input", { type: "checkbox", role: "switch", class: "switch", "data-testid": "keys-on", onchange: changed });
  const option = h("label", { class: "option" }, h("span", { class: "option__text" }, "Use these keys"), toggle);
  const close = h("button", { class: "button button--primary", type: "button", onclick: () => element.close() }, "Close");
  const title = h("h2", { class: "dialog__title", id: "keys-title" }, "Keyboard shortcuts");
  const attributes = { class: "dialog", "aria-labelledby": "keys-title", "data-testid": "keys" };
  const element = h("dialog", attributes, title, h("dl", { class: "keys" }, ...rows), option, h("div", { class: "dialog__actions" }, close));
  return {
    element,
    open() {
      toggle.checked = setting.on();
      if (!element.open) element.showModal();
    },
  };
}

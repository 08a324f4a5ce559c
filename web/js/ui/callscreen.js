/**
 * The call itself: from "Calling…" to the card that says how it ended.
 *
 * @typedef {import("../model.js").Person} Person
 * @typedef {import("../model.js").CallKind} CallKind
 *
 * @typedef {object} CallView What this screen needs to know of a call; it only reads.
 * @property {CallKind} kind
 * @property {import("../model.js").Phase} phase
 * @property {import("../model.js").Outcome | null} outcome
 * @property {Person} other
 * @property {boolean} otherIsAway
 * @property {boolean} isOver
 * @property {boolean} isAnswered
 * @property {boolean} muted
 * @property {boolean} cameraOn
 * @property {boolean} hasCamera
 * @property {MediaStream | null} localStream
 * @property {MediaStream} remoteStream
 * @property {"none" | "flowing" | "paused"} remoteVideo
 * @property {number | null} elapsed seconds since the answer
 * @property {number | null} duration seconds, of a call that is over
 * @property {number} remoteLevel loudness from 0 to 1
 */
import { avatar, toneOf } from "./avatar.js";
import { createControls } from "./controls.js";
import { fill, h, setText } from "./dom.js";
import { createEndedCard } from "./endedcard.js";
import { createOwnPicture, createOtherPicture } from "./pictures.js";
import { clockText, statusText } from "./words.js";

/** Milliseconds between two looks at clock and loudness. */
const TICK = 120;
/** Milliseconds without a movement until a video is left alone on the screen. */
const IDLE_AFTER = 4_000;

/**
 * @param {{onMute: () => void, onCamera: () => void, onEnd: () => void, onAgain: () => void, onClose: () => void}} actions
 */
export function createCallScreen(actions) {
  /** @type {CallView | null} */
  let call = null;
  const other = createOtherPicture(() => render());
  const own = createOwnPicture();
  const persona = h("div", { class: "pulse call__persona" });
  const name = h("h2", { class: "call__name", "data-testid": "call-name" });
  const status = h("p", { class: "call__status", role: "status", "aria-live": "polite", "data-testid": "call-status" });
  const timer = h("p", { class: "call__timer", role: "timer", "aria-live": "off", "data-testid": "call-timer" });
  const title = h("div", { class: "call__title" }, name, h("div", { class: "call__line" }, status, timer));
  const controls = createControls(actions);
  const ended = createEndedCard(actions);
  const element = h(
    "section",
    { class: "call", hidden: true, tabindex: -1, "aria-label": "Call", "data-testid": "call-screen" },
    h("div", { class: "call__backdrop", "aria-hidden": "true" }),
    other.element,
    h("div", { class: "call__shade", "aria-hidden": "true" }),
    h("div", { class: "call__centre" }, persona, title),
    own.element,
    controls.element,
    ended.element,
  );
  const watchIdleness = idleWatcher(element);
  let ticking = 0;

  function render() {
    if (!call) return;
    const picture = call.kind === "video" && call.isAnswered && other.hasPicture() && call.remoteVideo !== "paused";
    const waiting = !call.isOver && !["connected", "reconnecting"].includes(call.phase);
    const preview = call.kind === "video" && waiting && !picture && call.cameraOn;
    element.dataset.phase = call.phase;
    element.dataset.view = call.isOver ? "ended" : picture ? "video" : preview ? "preview" : "persona";
    // Hidden without being gone: the status is what a screen reader hears, the clock is what the eye follows.
    status.classList.toggle("visually-hidden", call.phase === "connected" && call.remoteVideo !== "paused");
    setText(status, statusText(call));
    own.render(call.localStream, { shown: call.hasCamera && !call.isOver, on: call.cameraOn });
    other.play(call.remoteStream);
    controls.render(call);
    ended.render(call);
    watchIdleness(element.dataset.view === "video" && call.phase === "connected");
    tick();
  }

  function tick() {
    if (!call) return;
    const shown = call.phase === "connected" || call.phase === "reconnecting";
    setText(timer, shown && call.elapsed !== null ? clockText(call.elapsed) : "");
    element.style.setProperty("--level", call.phase === "connected" ? call.remoteLevel.toFixed(2) : "0");
  }

  return {
    element,
    /**
     * Show a call, or show what has changed of the one that is shown.
     *
     * @param {CallView} next
     */
    show(next) {
      const isNew = call !== next;
      call = next;
      if (isNew) {
        fill(persona, avatar(next.other, "huge"));
        element.dataset.tone = String(toneOf(next.other));
        element.setAttribute("aria-label", `Call with ${next.other.name}`);
        setText(name, next.other.name);
        other.clear();
        element.hidden = false;
        element.focus();
        clearInterval(ticking);
        ticking = setInterval(tick, TICK);
      }
      const wasOver = element.dataset.view === "ended";
      render();
      if (next.isOver) {
        clearInterval(ticking);
        if (isNew || !wasOver) ended.focus();
      }
    },
    hide() {
      call = null;
      clearInterval(ticking);
      watchIdleness(false);
      element.hidden = true;
      delete element.dataset.view;
      other.clear();
      own.render(null, { shown: false, on: false });
    },
  };
}

/**
 * Marks the screen as idle, so that the style sheet can take away what covers the picture. Keyboard focus on a control keeps
 * the controls (the style sheet sees to it).
 *
 * @param {HTMLElement} element
 * @returns {(active: boolean) => void}
 */
function idleWatcher(element) {
  let timer = 0;
  let watching = false;
  const wake = () => {
    clearTimeout(timer);
    element.removeAttribute("data-idle");
    if (watching) timer = setTimeout(() => element.setAttribute("data-idle", ""), IDLE_AFTER);
  };
  for (const event of ["pointermove", "pointerdown", "keydown"]) element.addEventListener(event, wake);
  return (active) => {
    if (active === watching) return;
    watching = active;
    wake();
  };
}

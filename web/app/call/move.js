/**
 * The question whether another device of ours may have the call. The one who asks may be far from this screen, and this screen
 * unattended: without an answer the call moves. Who sits here can keep it.
 */
import { h, setText } from "../ui/dom.js";
import { icon } from "../ui/icons.js";

/** Milliseconds to object in. */
const PATIENCE = 10_000;
const TICK = 200;

/**
 * @param {{onMoveAnswer: (accepted: boolean) => void}} actions
 */
export function createMoveRequest({ onMoveAnswer }) {
  const lead = h("p", { class: "muted" }, "You asked for it there. The call goes on without a break for the other side.");
  const countdown = h("p", { class: "muted", role: "timer", "aria-live": "off", "data-testid": "move-countdown" });
  const answer = (/** @type {boolean} */ accepted) => () => onMoveAnswer(accepted);
  const keep = h(
    "button",
    { class: "button button--quiet", type: "button", "data-testid": "move-refuse", onclick: answer(false) },
    "Keep it here",
  );
  const move = h(
    "button",
    { class: "button button--primary", type: "button", "data-testid": "move-accept", onclick: answer(true) },
    "Move it now",
  );
  const attributes = { class: "dialog", "aria-labelledby": "move-title", "data-testid": "move-request" };
  const title = h("h2", { class: "dialog__title", id: "move-title" }, "Move the call to your other device?");
  const picture = h("div", { class: "dialog__picture dialog__picture--icon" }, icon("device"));
  const element = h("dialog", attributes, picture, title, lead, countdown, h("div", { class: "dialog__actions" }, keep, move));
  element.addEventListener("cancel", (event) => {
    event.preventDefault();
    onMoveAnswer(false);
  });
  let until = 0;
  let ticking = 0;
  /** @type {string | null} the request that is shown */
  let shown = null;

  function tick() {
    const left = until - performance.now();
    setText(countdown, `It moves by itself in ${Math.max(1, Math.ceil(left / 1000))} s.`);
    if (left > 0) return;
    clearInterval(ticking);
    onMoveAnswer(true);
  }

  return {
    element,
    /** @param {{id: string} | null} request null: there is none */
    render(request) {
      if (shown === (request?.id ?? null)) return;
      shown = request?.id ?? null;
      clearInterval(ticking);
      if (!request) return element.close();
      until = performance.now() + PATIENCE;
      ticking = setInterval(tick, TICK);
      tick();
      if (!element.open) element.showModal();
    },
  };
}

/**
 * The question whether another device of ours may have the call. It is the one who sits here who says so, since the other device may be
 * another person's by now: without an answer the call stays.
 */
import { h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";

const TICK = 1_000;

/**
 * @param {{onMoveAnswer: (accepted: boolean) => void}} actions
 */
export function createMoveRequest({ onMoveAnswer }) {
  const lead = h("p", { class: "muted" }, "It was asked for there. The other side hears no more than a short break.");
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
    const left = Math.max(1, Math.ceil((until - performance.now()) / 1000));
    setText(countdown, `Without an answer it stays here. The question goes in ${left} s.`);
  }

  return {
    element,
    /** @param {{id: string, lasts: number} | null} request `lasts`: milliseconds that are left; null: there is none */
    render(request) {
      if (shown === (request?.id ?? null)) return;
      shown = request?.id ?? null;
      clearInterval(ticking);
      if (!request) return element.close();
      until = performance.now() + request.lasts;
      ticking = setInterval(tick, TICK);
      tick();
      if (!element.open) element.showModal();
    },
  };
}

/**
 * Four bars, as everybody knows them, and what they mean for those who ask. Where they are few, they stay, with a sentence that
 * helps.
 *
 * @typedef {import("../../client/quality.js").PathQuality} PathQuality
 * @typedef {import("../../client/quality.js").CallQualities} CallQualities
 */
import { fill, h, setText } from "../ui/dom.js";
import { adviceOf } from "./advice.js";
import { routeText } from "../ui/words.js";

const WORDS = ["Lost", "Bad", "Poor", "Good", "Very good"];

export function createQualityMeter() {
  const details = h("div", { class: "quality__details", id: "quality-details", hidden: true, "data-testid": "quality-details" });
  const bars = h("span", { class: "quality__bars", "aria-hidden": "true" }, ...[1, 2, 3, 4].map(() => h("i", {})));
  const button = h(
    "button",
    {
      class: "quality__button",
      type: "button",
      "aria-expanded": "false",
      "aria-controls": "quality-details",
      "data-testid": "quality",
    },
    bars,
  );
  const advice = h("p", { class: "quality__advice", role: "status", "data-testid": "quality-advice" });
  const element = h("div", { class: "quality", hidden: true }, advice, button, details);
  let pinned = false;
  /** What the sentence is about. */
  let advised = "";

  /** @param {boolean} shown */
  function show(shown) {
    details.hidden = !shown;
    button.setAttribute("aria-expanded", String(shown));
  }
  button.addEventListener("click", () => show((pinned = !pinned)));
  element.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(true));
  element.addEventListener("pointerleave", () => show(pinned));
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape") show((pinned = false));
  });

  return {
    element,
    /** @param {import("./callscreen.js").CallView} call */
    render(call) {
      const { yours, other } = call.talk.qualities;
      // What the relay said last is no news of a line on which nothing arrives any more.
      const isLost = call.phase === "reconnecting";
      const worst = isLost ? 0 : Math.min(yours?.bars ?? 5, other?.bars ?? 5);
      element.hidden = !call.isAnswered || worst === 5;
      const { about, text } = element.hidden ? { about: "", text: "" } : adviceOf(call);
      // Figures change every two seconds. One sentence is enough for one reason to say it.
      if (about !== advised) setText(advice, text);
      advised = about;
      if (element.hidden) return show((pinned = false));
      element.dataset.bars = String(worst);
      element.toggleAttribute("data-few", worst < 3);
      const way = isLost ? "" : yours && routeText(yours, "your")?.way;
      const label = `Connection: ${WORDS[worst]}${way ? `, ${way}` : ""}`;
      if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
      const [ourLine, theirLine] = isLost ? [call.otherIsAway, !call.otherIsAway] : [true, true];
      fill(details, table("your", yours, ourLine), table("their", other, theirLine));
    },
  };
}

/**
 * @param {"your" | "their"} whose
 * @param {PathQuality | null} measured
 * @param {boolean} isThere
 */
function table(whose, measured, isThere) {
  const path = isThere ? measured : null;
  const row = (/** @type {string} */ name, /** @type {string} */ value) => {
    return h("div", { class: "quality__row" }, h("dt", {}, name), h("dd", {}, value));
  };
  const rows = path && [
    row("There and back", path.roundTrip === null ? "–" : `${Math.round(path.roundTrip)} ms`),
    row("Lost on the way", `${(path.loss * 100).toFixed(1)} %`),
  ];
  const word = path ? WORDS[path.bars] : isThere ? "Unknown" : WORDS[0];
  const title = whose === "your" ? "Your connection" : "Their connection";
  const head = h("p", { class: "quality__title", "data-bars": isThere ? path?.bars : 0 }, h("span", {}, title), h("span", {}, word));
  const route = path && routeText(path, whose);
  const sentences = route && `Connected ${route.way}. ${route.reason}`.trim();
  const way = sentences && h("p", { class: "quality__way", "data-testid": `${whose}-route` }, sentences);
  return h("section", {}, head, way, rows && h("dl", {}, ...rows));
}

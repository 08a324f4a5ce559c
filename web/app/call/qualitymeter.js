/**
 * Four bars, as everybody knows them, and what they mean for those who ask.
 *
 * @typedef {import("../../client/quality.js").PathQuality} PathQuality
 * @typedef {import("../../client/quality.js").CallQualities} CallQualities
 */
import { fill, h } from "../ui/dom.js";
import { routeText } from "../ui/words.js";

const WORDS = ["", "Bad", "Poor", "Good", "Very good"];

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
  const element = h("div", { class: "quality", hidden: true }, button, details);
  let pinned = false;

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
    /** @param {CallQualities} qualities @param {boolean} shown */
    render({ yours, other }, shown) {
      const worst = Math.min(yours?.bars ?? 5, other?.bars ?? 5);
      element.hidden = !shown || worst === 5;
      if (element.hidden) return show((pinned = false));
      element.dataset.bars = String(worst);
      const way = yours && routeText(yours, "your")?.way;
      const label = `Connection: ${WORDS[worst]}${way ? `, ${way}` : ""}`;
      if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
      fill(details, table("your", yours), table("their", other));
    },
  };
}

/**
 * @param {"your" | "their"} whose
 * @param {PathQuality | null} path
 */
function table(whose, path) {
  const row = (/** @type {string} */ name, /** @type {string} */ value) => {
    return h("div", { class: "quality__row" }, h("dt", {}, name), h("dd", {}, value));
  };
  const rows = path && [
    row("Round trip", path.roundTrip === null ? "–" : `${Math.round(path.roundTrip)} ms`),
    row("Loss", `${(path.loss * 100).toFixed(1)} %`),
    row("Score", `${path.score.toFixed(1)} of 4.5`),
  ];
  const word = path ? WORDS[path.bars] : "Unknown";
  const title = whose === "your" ? "Your connection" : "Their connection";
  const head = h("p", { class: "quality__title", "data-bars": path?.bars }, h("span", {}, title), h("span", {}, word));
  const route = path && routeText(path, whose);
  const sentences = route && `Connected ${route.way}. ${route.reason}`.trim();
  const way = sentences && h("p", { class: "quality__way", "data-testid": `${whose}-route` }, sentences);
  return h("section", {}, head, way, rows && h("dl", {}, ...rows));
}

/**
 * The time line of a recording: where one is, what happened when, and what is the case now.
 *
 * @typedef {import("./events.js").Occurrence} Occurrence
 */
import { fill, h, setText } from "../ui/dom.js";
import { clockText } from "../ui/words.js";
import { currentOccurrences } from "./events.js";
import { eventText } from "./words.js";

/** Entries of the list of events; there are more in the sidecar. */
const MOST = 200;

/**
 * @param {(at: number) => void} onSeek
 */
export function createTimeline(onSeek) {
  const slider = h("input", {
    class: "timeline__slider",
    type: "range",
    min: 0,
    max: 0,
    step: 0.1,
    value: 0,
    "aria-label": "Time",
    "data-testid": "player-slider",
    oninput: () => onSeek(Number(slider.value)),
  });
  const marks = h("div", { class: "timeline__marks", "aria-hidden": "true" });
  const caption = h("p", { class: "timeline__caption", "data-testid": "caption" });
  const list = h("ol", { class: "timeline__events", "data-testid": "events" });
  const summary = h("summary", {});
  const details = h("details", { class: "timeline__details", hidden: true }, summary, list);
  const track = h("div", { class: "timeline__track" }, marks, slider);
  const element = h("div", { class: "timeline" }, track, caption);
  /** @type {Occurrence[]} */
  let occurrences = [];
  let names = ["", ""];
  let end = 0;

  /** @param {Occurrence} occurrence */
  const textOf = ({ name, lane }) => eventText(name, lane === "call" ? "" : names[lane === "A" ? 0 : 1]);

  /** @param {Occurrence} occurrence */
  function mark(occurrence) {
    const element = h("span", { class: "timeline__mark", "data-lane": occurrence.lane, title: textOf(occurrence) });
    const share = (/** @type {number} */ seconds) => `${((100 * seconds) / end).toFixed(3)}%`;
    element.style.setProperty("--at", share(Math.min(occurrence.at, end)));
    element.style.setProperty("--length", share(Math.min(occurrence.length, end - Math.min(occurrence.at, end))));
    return element;
  }

  /** @param {Occurrence} occurrence */
  function entry(occurrence) {
    const { at, length } = occurrence;
    const text = length ? `${textOf(occurrence)}, ${length.toFixed(length < 10 ? 1 : 0)} s` : textOf(occurrence);
    const go = h("button", { class: "timeline__event", type: "button", onclick: () => onSeek(at) });
    fill(go, h("span", { class: "timeline__at" }, clockText(Math.floor(at))), h("span", {}, text));
    return h("li", {}, go);
  }

  function render() {
    fill(marks, ...(end > 0 ? occurrences.slice(0, MOST).map(mark) : []));
    fill(list, ...occurrences.slice(0, MOST).map(entry));
    details.hidden = !occurrences.length;
    const more = occurrences.length > MOST ? `, the first ${MOST} of ${occurrences.length}` : "";
    setText(summary, `Events${more}`);
  }

  return {
    element,
    /** The list of what happened. */
    details,
    /** @param {string[]} next of A and B */
    setNames(next) {
      names = next;
      render();
    },
    /** @param {Occurrence[]} next */
    setOccurrences(next) {
      occurrences = next;
      render();
    },
    /** @param {number} at @param {number} duration seconds */
    setTime(at, duration) {
      if (duration !== end) {
        end = duration;
        slider.max = String(end);
        render();
      }
      slider.value = String(at);
      slider.setAttribute("aria-valuetext", `${clockText(Math.floor(at))} of ${clockText(Math.round(end))}`);
      slider.style.setProperty("--done", end ? `${(100 * at) / end}%` : "0%");
      setText(caption, currentOccurrences(occurrences, at).map(textOf).join(" · "));
    },
  };
}

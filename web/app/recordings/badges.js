/** A recording's state, its verdict and the progress of work on it, as small signs with words. */
import { h, setText } from "../ui/dom.js";
import { stateText, verdictText, workText } from "./words.js";

/** @typedef {import("./record.js").RecordingFacts} RecordingFacts */

/** @param {RecordingFacts} recording */
export function stateChip({ state }) {
  const { label, detail } = stateText(state);
  return h("span", { class: "chip", "data-state": state, title: detail, "data-testid": "state" }, label);
}

/** @param {RecordingFacts} recording */
export function verdictChip({ verdict }) {
  const { label, detail } = verdictText(verdict);
  return h("span", { class: "chip", "data-verdict": verdict, title: detail, "data-testid": "verdict" }, label);
}

/** The progress of assembling or verifying; empty where nothing is in work. */
export function createProgress() {
  const words = h("span", { role: "status" });
  const percent = h("span", { class: "work__percent", "aria-hidden": "true" });
  const bar = h("progress", { class: "work__bar", max: 1, "aria-label": "Progress" });
  const element = h("div", { class: "work", hidden: true, "data-testid": "progress" }, h("div", { class: "work__line" }, words, percent), bar);

  return {
    element,
    /** @param {RecordingFacts} recording */
    render({ state, job }) {
      const name = job?.state === "queued" ? "Waiting for its turn" : workText(job?.kind ?? (state === "assembling" ? "assemble" : ""));
      const progress = job?.progress ?? null;
      element.hidden = !name;
      setText(words, name && job?.step && job.state === "running" ? `${name}: ${job.step}` : name && `${name}…`);
      setText(percent, progress === null ? "" : `${Math.round(progress * 100)} %`);
      // Without a value, the bar says that it goes on, and not how far it is.
      if (progress === null) bar.removeAttribute("value");
      else bar.value = progress;
    },
  };
}

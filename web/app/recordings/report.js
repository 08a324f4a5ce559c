/**
 * The verdict of a recording, and its report beside it.
 *
 * @typedef {import("./access.js").Access} Access
 * @typedef {import("./record.js").RecordingFacts} RecordingFacts
 */
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { verdictText } from "./words.js";

/** @type {Record<string, import("../ui/icons.js").IconName>} */
const ICONS = { passed: "check", failed: "close", unreadable: "alert", none: "clock" };

export function createReport() {
  const mark = h("span", { class: "verdict__mark", "aria-hidden": "true" });
  const label = h("h2", { class: "verdict__label" });
  const detail = h("p", { class: "muted" });
  const reasons = h("ul", { class: "verdict__reasons", "data-testid": "reasons" });
  const open = h("a", { class: "button button--quiet", target: "_blank", rel: "noopener" }, "Open on its own");
  // Neither scripts nor forms: a report is to be looked at.
  const frame = h("iframe", { class: "report__frame", title: "Report of the verification", sandbox: "", "data-testid": "report" });
  const shell = h("div", { class: "report", hidden: true }, frame, open);
  const text = h("div", { class: "verdict__text" }, label, detail, reasons);
  const verdict = h("div", { class: "verdict", "data-testid": "verdict-card" }, mark, text);
  const element = h("section", { class: "card", "aria-label": "Verification", hidden: true }, verdict, shell);
  let generation = 0;

  return {
    element,
    /** @param {RecordingFacts} recording @param {Access} access */
    async show(recording, access) {
      const mine = ++generation;
      const { label: name, detail: words } = verdictText(recording.verdict);
      element.hidden = recording.state !== "ready" && recording.verdict === "none";
      verdict.dataset.verdict = recording.verdict;
      fill(mark, icon(ICONS[recording.verdict] ?? "alert"));
      setText(label, name);
      setText(detail, words);
      const has = (/** @type {string} */ file) => recording.files.some((one) => one.name === file);
      const report = has("report.json") ? await access.report(recording.id).catch(() => null) : null;
      const url = has("report.html") ? await access.reportUrl(recording.id).catch(() => null) : null;
      if (mine !== generation) return;
      fill(reasons, ...(recording.verdict === "none" ? [] : reasonsIn(report)).map((reason) => h("li", {}, reason)));
      shell.hidden = url === null;
      if (url !== null) frame.src = open.href = url;
      else frame.removeAttribute("src");
    },
    hide() {
      generation++;
      element.hidden = true;
      frame.removeAttribute("src");
    },
  };
}

/**
 * Why a recording has not passed, in the report's own words.
 *
 * @param {any} report
 * @returns {string[]}
 */
function reasonsIn(report) {
  return Array.isArray(report?.reasons) ? report.reasons.map(String) : [];
}

/**
 * The page of the connection test.
 *
 * @typedef {import("./explain.js").Explanation} Explanation
 * @typedef {import("../../client/connectivity/report.js").Hop} Hop
 * @typedef {import("../../client/connectivity/report.js").Report} Report
 * @typedef {import("../../client/connectivity/report.js").Result} Result
 */
import { takeAddress } from "../entrance/address.js";
import { rememberedProfile } from "../../client/memory.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { check } from "../../client/connectivity/check.js";
import { explain } from "./explain.js";
import { HOPS } from "../../client/connectivity/report.js";

/** @type {Record<Hop, [name: string, purpose: string]>} */
const HEADINGS = {
  page: ["Page", "The relay answers this page"],
  websocket: ["WebSocket", "Carries the signaling of calls"],
  udp: ["UDP", "The best path for audio and video"],
  tcp: ["TCP", "Used where UDP is blocked"],
  turn_udp: ["TURN over UDP", "By the TURN server"],
  turn_tcp: ["TURN over TCP", "By the TURN server, where UDP is blocked"],
  turn_tls: ["TURN over TLS", "Used where only HTTPS gets through"],
  call: ["Call", "Three seconds of synthetic audio and video to the relay and back"],
};

/** @type {Record<import("../../client/connectivity/report.js").State, string>} shown until the relay has explained the results */
const STATES = { ok: "works", failed: "fails", off: "turned off", skipped: "not tried" };

/** @type {Record<import("../../client/connectivity/report.js").State, import("../ui/icons.js").IconName>} */
const ICONS = { ok: "check", failed: "close", off: "block", skipped: "block" };

/** A link may carry a token to sign in with; browsers send no server the part after the `#`. */
const { token } = takeAddress();

const rows = new Map(HOPS.map((hop) => [hop, createRow(hop)]));
const start = h("button", { class: "button button--primary", type: "button", "data-testid": "start", onclick: () => void run() });
const copy = h("button", { class: "button button--quiet", type: "button", "data-testid": "copy", onclick: () => void copyReport() });
const copied = h("span", { class: "muted", role: "status" });
const preview = h("video", { class: "check__preview", muted: true, playsinline: true, hidden: true, "aria-label": "Video that came back" });
const progress = h("span", { class: "muted", "data-testid": "progress" });
const outcome = h("section", { class: "check__outcome", hidden: true, "data-testid": "outcome" });
const findings = h("div", { class: "check__findings" });
const details = h(
  "div",
  { id: "details", hidden: true },
  findings,
  h("ol", { class: "check__hops" }, ...[...rows.values()].map(({ element }) => element)),
);
const attributes = { class: "check__more", type: "button", "aria-expanded": "false", "aria-controls": "details", "data-testid": "details" };
const more = h("button", { ...attributes, onclick: unfold }, "Details for your administrator", icon("chevron"));
const announced = h("p", { class: "visually-hidden", role: "status", "data-testid": "announced" });
/** @type {{report: Report, explanation: Explanation} | null} of the latest test */
let latest = null;

fill(
  /** @type {HTMLElement} */ (document.getElementById("app")),
  h(
    "main",
    { class: "check" },
    h("a", { class: "back", href: "./" }, icon("arrow"), "Back to calls"),
    h("h1", { class: "check__title" }, "Connection test"),
    h(
      "p",
      { class: "check__lead" },
      "Finds out whether calls will work from here. It takes less than a minute, and your camera and microphone stay off.",
    ),
    h("div", { class: "check__actions" }, start, progress, preview),
    outcome,
    h("section", { class: "check__details" }, more, details),
    announced,
  ),
);
setText(start, "Start the test");

function unfold() {
  details.hidden = !details.hidden;
  more.setAttribute("aria-expanded", String(!details.hidden));
}

async function run() {
  start.disabled = true;
  setText(start, "Testing…");
  setText(copied, "");
  outcome.hidden = true;
  fill(findings);
  preview.srcObject = null;
  for (const row of rows.values()) row.reset();
  const setup = { base: new URL("./", document.baseURI).href, token, profile: rememberedProfile() ?? { type: "student", id: 456 } };
  try {
    const report = await check(setup, {
      trying(hop) {
        setText(progress, `Step ${HOPS.indexOf(hop) + 1} of ${HOPS.length}`);
        rows.get(hop)?.trying();
      },
      found: (hop, result) => rows.get(hop)?.show(result),
      received: (stream) => show(stream),
    });
    latest = { report, explanation: await explain(setup.base, token, report) };
    showOutcome(latest.explanation);
  } finally {
    setText(progress, "");
    preview.hidden = true;
    preview.srcObject = null;
    start.disabled = false;
    setText(start, "Test again");
  }
}

/** @param {MediaStream} stream */
function show(stream) {
  preview.muted = true; // the attribute has an effect only in parsed HTML
  preview.srcObject = stream;
  preview.hidden = false;
  void preview.play().catch(() => {});
}

/** @param {Explanation} explanation */
function showOutcome({ status, summary, sentences, lines, figures }) {
  for (const hop of HOPS) if (lines[hop]) rows.get(hop)?.say(lines[hop]);
  const [headline, ...others] = sentences;
  outcome.dataset.tone = ["good", "bad", "unknown"][status];
  fill(
    outcome,
    h("h2", { class: "check__headline", "data-testid": "summary" }, summary),
    status === 1 && h("p", {}, "Your administrator can use the report to mend that."),
    h("p", { class: "check__copy" }, copy, copied),
  );
  fill(
    findings,
    h("p", { class: "check__finding", "data-testid": "headline" }, headline),
    ...others.map((text) => h("p", { "data-testid": "sentence" }, text)),
    figures && h("p", { class: "check__figures", "data-testid": "figures" }, figures),
  );
  fill(copy, icon("send"), "Copy the report");
  outcome.hidden = false;
  setText(announced, [summary, ...sentences].join(" "));
}

async function copyReport() {
  if (!latest) return;
  try {
    await navigator.clipboard.writeText(reportText(latest.report, latest.explanation));
    setText(copied, "Copied");
  } catch {
    setText(copied, "This browser does not allow the page to copy. Select the text instead.");
  }
}

/**
 * What to send to the administrator of the network. It has no credentials.
 *
 * @param {Report} report
 * @param {Explanation} explanation
 */
function reportText({ url, hops }, { summary, sentences, lines, figures }) {
  const results = HOPS.map((hop) => `${HEADINGS[hop][0]}: ${lines[hop] ?? STATES[hops[hop]?.state ?? "skipped"]}`);
  const head = [`Connection test of ${url}`, new Date().toISOString(), navigator.userAgent];
  return [...head, "", summary, "", ...sentences, "", ...results, ...(figures ? [figures] : [])].join("\n");
}

/** @param {Hop} hop */
function createRow(hop) {
  const mark = h("span", { class: "hop__mark", "aria-hidden": "true" });
  const text = h("span", { class: "hop__result", "data-testid": `result-${hop}` });
  const [name, purpose] = HEADINGS[hop];
  const element = h(
    "li",
    { class: "hop", "data-testid": `hop-${hop}` },
    mark,
    h("span", { class: "hop__text" }, h("span", { class: "hop__name" }, name), h("span", { class: "muted" }, purpose)),
    text,
  );
  return {
    element,
    reset() {
      delete element.dataset.state;
      fill(mark);
      setText(text, "");
    },
    trying() {
      element.dataset.state = "trying";
      setText(text, "testing…");
    },
    /** @param {Result} result */
    show(result) {
      element.dataset.state = result.state;
      fill(mark, icon(ICONS[result.state]));
      setText(text, STATES[result.state]);
    },
    /** @param {string} line */
    say(line) {
      setText(text, line);
    },
  };
}

/**
 * The page of the connection test.
 *
 * @typedef {import("./report.js").Hop} Hop
 * @typedef {import("./report.js").Report} Report
 * @typedef {import("./report.js").Result} Result
 */
import { rememberedProfile } from "../memory.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { check } from "./check.js";
import { HOPS, LABELS } from "./report.js";
import { figuresText, resultText, verdict } from "./verdicts.js";

/** @type {Record<Hop, string>} */
const EXPLAINED = {
  page: "The relay answers this page",
  websocket: "Calls are arranged over it",
  udp: "The best way for sound and pictures",
  tcp: "Where UDP is blocked",
  turn_udp: "A detour by the TURN server",
  turn_tcp: "The same detour, by TCP",
  turn_tls: "Where nothing but HTTPS gets through",
  call: "Three seconds to the relay and back, with made-up sound and pictures",
};

/** @type {Record<import("./report.js").State, import("../ui/icons.js").IconName>} */
const ICONS = { ok: "check", failed: "close", off: "block", skipped: "block" };

/** Signs in who followed a link that has a token; no server sees what stands behind the `#`. */
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";

const rows = new Map(HOPS.map((hop) => [hop, createRow(hop)]));
const start = h("button", { class: "button button--primary", type: "button", "data-testid": "start", onclick: () => void run() });
const copy = h("button", { class: "button button--quiet", type: "button", "data-testid": "copy", onclick: () => void copyReport() });
const copied = h("span", { class: "muted", role: "status" });
const preview = h("video", { class: "check__preview", muted: true, playsinline: true, hidden: true, "aria-label": "What comes back" });
const outcome = h("section", { class: "check__outcome", hidden: true, "data-testid": "outcome" });
const announced = h("p", { class: "visually-hidden", role: "status", "data-testid": "announced" });
/** @type {Report | null} the latest */
let report = null;

fill(
  /** @type {HTMLElement} */ (document.getElementById("app")),
  h(
    "main",
    { class: "check" },
    h("a", { class: "check__back", href: "./" }, icon("arrow"), "Back to calls"),
    h("h1", { class: "check__title" }, "Connection test"),
    h(
      "p",
      { class: "check__lead" },
      "Tries every way in which calls can get from this browser to the relay, and says what is in the way. " +
        "Your camera and microphone stay off.",
    ),
    h("div", { class: "check__actions" }, start, preview),
    outcome,
    h("ol", { class: "check__hops" }, ...[...rows.values()].map(({ element }) => element)),
    announced,
  ),
);
setText(start, "Start the test");

async function run() {
  start.disabled = true;
  setText(start, "Testing…");
  setText(copied, "");
  outcome.hidden = true;
  preview.srcObject = null;
  for (const row of rows.values()) row.reset();
  const setup = { base: new URL("./", document.baseURI).href, token, profile: rememberedProfile() ?? { type: "student", id: 456 } };
  try {
    report = await check(setup, {
      trying: (hop) => rows.get(hop)?.trying(),
      found: (hop, result) => rows.get(hop)?.show(result),
      received: (stream) => show(stream),
    });
    showOutcome(report);
  } finally {
    preview.hidden = true;
    preview.srcObject = null;
    start.disabled = false;
    setText(start, "Test again");
  }
}

/** @param {MediaStream} stream */
function show(stream) {
  preview.muted = true; // the attribute counts only where the page itself was parsed with it
  preview.srcObject = stream;
  preview.hidden = false;
  void preview.play().catch(() => {});
}

/** @param {Report} found */
function showOutcome(found) {
  const { status, sentences } = verdict(found);
  const [headline, ...others] = sentences;
  outcome.dataset.tone = ["good", "bad", "unknown"][status];
  fill(
    outcome,
    h("h2", { class: "check__headline", "data-testid": "headline" }, headline),
    ...others.map((text) => h("p", { "data-testid": "sentence" }, text)),
    found.figures && h("p", { class: "check__figures", "data-testid": "figures" }, figuresText(found.figures)),
    h("p", { class: "check__copy" }, copy, copied),
  );
  fill(copy, icon("send"), "Copy the report");
  outcome.hidden = false;
  setText(announced, sentences.join(" "));
}

async function copyReport() {
  if (!report) return;
  try {
    await navigator.clipboard.writeText(reportText(report));
    setText(copied, "Copied");
  } catch {
    setText(copied, "This browser does not let the page copy: mark the text instead.");
  }
}

/**
 * What to send to whoever looks after the network. It has no credentials.
 *
 * @param {Report} found
 */
function reportText(found) {
  const lines = HOPS.map((hop) => `${LABELS[hop]}: ${resultText(hop, found.hops[hop] ?? { state: "skipped" })}`);
  const figures = found.figures ? [figuresText(found.figures)] : [];
  const head = [`Connection test of ${found.url}`, new Date().toISOString(), navigator.userAgent];
  return [...head, "", ...verdict(found).sentences, "", ...lines, ...figures].join("\n");
}

/** @param {Hop} hop */
function createRow(hop) {
  const mark = h("span", { class: "hop__mark", "aria-hidden": "true" });
  const text = h("span", { class: "hop__result", "data-testid": `result-${hop}` });
  const element = h(
    "li",
    { class: "hop", "data-testid": `hop-${hop}` },
    mark,
    h("span", { class: "hop__text" }, h("span", { class: "hop__name" }, LABELS[hop]), h("span", { class: "muted" }, EXPLAINED[hop])),
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
      setText(text, resultText(hop, result));
    },
  };
}

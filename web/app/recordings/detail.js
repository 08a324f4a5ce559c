/**
 * One recording: its two videos, what happened in it, the verdict, the report, the files.
 *
 * @typedef {import("./access.js").Access} Access
 * @typedef {import("./record.js").RecordingFacts} RecordingFacts
 */
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { typeText } from "../ui/names.js";
import { clockText } from "../ui/words.js";
import { createProgress, stateChip, verdictChip } from "./badges.js";
import { occurrencesIn } from "./events.js";
import { createPlayer } from "./player.js";
import { isInWork, partyName, playable } from "./record.js";
import { createReport } from "./report.js";
import { endText, endedEarly, fileText, sizeText, stateText } from "./words.js";

/**
 * @typedef {object} Actions
 * @property {() => void} onBack
 * @property {(id: string, what: import("./record.js").Work) => void} onWork
 * @property {(id: string, isHeld: boolean) => void} onHold
 * @property {(id: string) => void} onDelete
 */

const DELETION = {
  title: "Delete this recording?",
  lead: "Audio, video, captured packets and report are deleted for all. This cannot be undone.",
  no: "Keep it",
  yes: "Delete recording",
};

const LIFTING = {
  title: "Lift the legal hold?",
  lead: "From then on the recording can be deleted, and is deleted when its time is over.",
  no: "Keep the hold",
  yes: "Lift legal hold",
};

/** @param {Actions} actions */
export function createDetail({ onBack, onWork, onHold, onDelete }) {
  /** @type {RecordingFacts | null} */
  let shown = null;
  const back = h("a", { class: "back", href: "#", "data-testid": "to-list", onclick: goBack }, icon("arrow"), "All recordings");
  const title = h("h1", { class: "recpage__title", tabindex: -1, "data-testid": "title" });
  const when = h("p", { class: "recpage__lead" });
  const chips = h("div", { class: "recdetail__chips" });
  const note = h("div", { class: "recdetail__note", role: "status", "data-testid": "note" });
  const progress = createProgress();
  const player = createPlayer();
  const report = createReport();
  const assemble = action("assemble", "Assemble", () => shown && onWork(shown.id, "assemble"));
  const verify = action("verify", "Verify", () => shown && onWork(shown.id, "verify"));
  const film = action("mp4", "Make an MP4 of both", () => shown && onWork(shown.id, "mp4"));
  const hold = action("hold", "", () => shown && (shown.legalHold ? lifting.open() : onHold(shown.id, true)));
  const remove = action("delete", "Delete…", () => question.open());
  const actions = h("div", { class: "recdetail__actions" }, assemble, verify, film, hold, remove);
  const files = h("ul", { class: "recfiles", "data-testid": "files" });
  const facts = h("dl", { class: "recfacts" });
  const question = createQuestion("delete", DELETION, () => shown && onDelete(shown.id));
  const lifting = createQuestion("lift", LIFTING, () => shown && onHold(shown.id, false));
  const side = h(
    "aside",
    { class: "recdetail__side" },
    h("section", { class: "card" }, h("h2", { class: "card__title" }, "Files"), files),
    h("section", { class: "card" }, h("h2", { class: "card__title" }, "About this recording"), facts),
  );
  const main = h("div", { class: "recdetail__main" }, player.element, report.element);
  const head = h("header", { class: "recdetail__head" }, back, title, when, chips, note, progress.element, actions);
  const element = h("article", { class: "recdetail", hidden: true, "data-testid": "detail" }, head, main, side, question.element, lifting.element);
  document.addEventListener("keydown", (event) => !element.hidden && !question.element.open && !lifting.element.open && player.key(event));

  /** @param {Event} event */
  function goBack(event) {
    event.preventDefault();
    onBack();
  }

  /** @param {RecordingFacts} recording @param {Access} access */
  function render(recording, access) {
    const { state, endReason, job, note: words, legalHold, startedAt, duration, dropped } = recording;
    const names = `${partyName(recording, "A")} → ${partyName(recording, "B")}`;
    setText(title, names);
    document.title = `${names} · Recordings`;
    const started = new Date(startedAt).toLocaleString([], { dateStyle: "full", timeStyle: "short" });
    setText(when, duration === null ? started : `${started} · ${clockText(Math.round(duration))}`);
    fill(chips, stateChip(recording), verdictChip(recording), legalHold && h("span", { class: "chip" }, "Legal hold"));
    const early = endedEarly(endReason) ? `${endText(endReason)}. What came before is kept.` : "";
    const lost = dropped ? `${dropped} packets were not written, because the disk was too slow.` : "";
    setText(note, [stateText(state).detail, early, lost, sentenceOf(words)].filter(Boolean).join(" "));
    note.hidden = !note.textContent;
    note.dataset.tone = state === "failed" || early || words ? "problem" : "plain";
    progress.render(recording);
    const busy = job !== null || state === "assembling" || state === "deleting";
    assemble.hidden = !["captured", "failed", "ready"].includes(state);
    setText(assemble, state === "ready" ? "Assemble again" : state === "failed" ? "Try to assemble again" : "Assemble");
    verify.hidden = state !== "ready";
    setText(verify, recording.verdict === "none" ? "Verify" : "Verify again");
    film.hidden = assemble.hidden || recording.files.some(({ name }) => name === "call.mp4");
    assemble.disabled = verify.disabled = film.disabled = busy;
    hold.hidden = !access.isService || state === "deleting";
    setText(hold, legalHold ? "Lift legal hold…" : "Set legal hold");
    remove.hidden = !recording.canDelete;
    remove.disabled = busy || legalHold || state === "capturing";
    renderFacts(recording);
  }

  /** @param {RecordingFacts} recording */
  function renderFacts(recording) {
    const { caller, callee, scope, callId, packets, bytes, dropped, policy, consented, legalHold, endReason, id } = recording;
    /** @type {(one: import("../../client/model.js").Person | null) => string} */
    const who = (one) => (one ? `${one.name} (${typeText(one.type)} ${one.id})` : "Unknown");
    /** @type {[string, string][]} */
    const entries = [
      ["Caller", who(caller)],
      ["Callee", who(callee)],
      ["Scope", scope ? `${scope.kind === "conversation" ? "Conversation" : "Whiteboard"} ${scope.id}` : "Deleted"],
      ["End", endText(endReason) || "Goes on"],
      ["Consent", consented ? "Given by both" : policy === "always" ? "Recorded by the service" : "Not given"],
      ["Captured", `${packets.toLocaleString()} packets, ${sizeText(bytes)}`],
      ["Not written", dropped ? `${dropped.toLocaleString()} packets` : "None"],
      ["Legal hold", legalHold ? "Yes: it is not deleted" : "No"],
      ["Call", callId],
      ["Recording", id],
    ];
    fill(facts, ...entries.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  }

  /** @param {RecordingFacts} recording @param {Access} access */
  async function renderFiles(recording, access) {
    const rows = recording.files.map(async ({ name, size }) => {
      // Without the service token, the captured packets are not given out.
      if (name.endsWith(".pcapng") && !access.isService) return null;
      const href = await access.fileUrl(recording.id, name);
      const text = h("span", { class: "recfiles__text" }, name, h("span", { class: "muted" }, fileText(name)));
      const link = h("a", { class: "recfiles__link", href, download: name, "data-testid": `file-${name}` });
      fill(link, icon("download"), text, h("span", { class: "muted" }, sizeText(size)));
      return h("li", {}, link);
    });
    const entries = (await Promise.all(rows)).filter((row) => row !== null);
    if (shown?.id === recording.id) fill(files, ...(entries.length ? entries : [h("li", { class: "muted" }, "None yet.")]));
  }

  /** @param {RecordingFacts} recording @param {Access} access */
  async function renderMedia(recording, access) {
    const parties = /** @type {("A" | "B")[]} */ (["A", "B"]);
    const media = parties.map(async (party) => {
      const name = playable(recording, party);
      const person = party === "A" ? recording.caller : recording.callee;
      return { name: partyName(recording, party), person, url: name && (await access.fileUrl(recording.id, name)) };
    });
    const loaded = await Promise.all(media);
    if (shown?.id === recording.id) player.load(loaded, recording.duration ?? 0);
    const sidecar = recording.files.some(({ name }) => name === "sidecar.json");
    const facts = sidecar ? await access.sidecar(recording.id).catch(() => null) : null;
    if (shown?.id === recording.id) player.setOccurrences(occurrencesIn(facts));
  }

  return {
    element,
    /**
     * Show a recording, or what has changed of the one that is shown.
     *
     * @param {RecordingFacts} recording
     * @param {Access} access
     */
    async show(recording, access) {
      const before = shown?.id === recording.id ? shown : null;
      shown = recording;
      element.hidden = false;
      render(recording, access);
      const same = before !== null && JSON.stringify(before.files) === JSON.stringify(recording.files);
      player.element.hidden = !playable(recording, "A") && !playable(recording, "B");
      element.toggleAttribute("data-plain", player.element.hidden && recording.verdict === "none");
      if (!same) await Promise.all([renderFiles(recording, access), renderMedia(recording, access)]);
      if (!same || before.verdict !== recording.verdict || (before.job !== null && recording.job === null)) {
        await report.show(recording, access);
      }
    },
    get recording() {
      return shown;
    },
    get needsWatching() {
      return shown !== null && isInWork(shown);
    },
    focus: () => title.focus(),
    hide() {
      shown = null;
      element.hidden = true;
      question.close();
      player.close();
      report.hide();
    },
  };
}

/**
 * The server's words as a sentence.
 *
 * @param {string} text
 */
function sentenceOf(text) {
  return text && `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

/**
 * @param {string} testId
 * @param {string} text
 * @param {() => void} onclick
 */
function action(testId, text, onclick) {
  return h("button", { class: "button recdetail__action", type: "button", "data-testid": testId, onclick }, text);
}

/**
 * A question before something that cannot be taken back.
 *
 * @param {string} name Of its elements.
 * @param {{title: string, lead: string, no: string, yes: string}} words
 * @param {() => void} onYes
 */
function createQuestion(name, words, onYes) {
  const attributes = { type: "button" };
  const cancel = h("button", { ...attributes, class: "button button--quiet", onclick: () => element.close() }, words.no);
  const confirm = h("button", { ...attributes, class: "button button--stop", "data-testid": `${name}-confirm` }, words.yes);
  const element = h(
    "dialog",
    { class: "dialog", "aria-labelledby": `${name}-title`, "aria-describedby": `${name}-lead`, "data-testid": `${name}-dialog` },
    h("h2", { class: "dialog__title", id: `${name}-title` }, words.title),
    h("p", { class: "muted", id: `${name}-lead` }, words.lead),
    h("div", { class: "dialog__actions" }, cancel, confirm),
  );
  confirm.addEventListener("click", () => {
    element.close();
    onYes();
  });
  return { element, open: () => element.showModal(), close: () => element.close() };
}

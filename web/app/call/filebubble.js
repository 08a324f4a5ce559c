/**
 * A file in the chat: what becomes of it, and what the user can do with it.
 *
 * @typedef {import("../../client/files/exchange.js").FileEntry} FileEntry
 */
import { sizeText } from "../../client/files/names.js";
import { h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { shortName } from "../ui/names.js";
import { timeText } from "../ui/words.js";

/**
 * @typedef {{onAcceptFile: (key: string) => void, onDeclineFile: (key: string) => void, onCancelFile: (key: string) => void}} FileActions
 */

/**
 * @param {FileEntry} entry
 * @param {FileActions} actions
 */
export function createFileBubble(entry, { onAcceptFile, onDeclineFile, onCancelFile }) {
  const { key, own, name } = entry;
  const state = h("span", { class: "file__state", role: "status", "data-testid": "file-state" });
  const bar = h("progress", { class: "file__bar", max: 1, value: 0, "aria-label": `${name}: how much has been moved` });
  const save = choice("file-accept", `Save`, `Save ${name}`, "button--primary", () => onAcceptFile(key));
  const decline = choice("file-decline", "Decline", `Decline ${name}`, "button--glass", () => onDeclineFile(key));
  const cancel = choice("file-cancel", "Cancel", `Cancel ${name}`, "button--glass", () => onCancelFile(key));
  const again = h("a", { class: "button button--glass file__choice", hidden: true, "data-testid": "file-save" }, "Save again");
  const actions = h("div", { class: "file__actions" }, decline, save, cancel, again);
  const head = h("div", { class: "file__head" }, icon("file"), h("span", { class: "file__name", "data-testid": "file-name" }, name));
  const time = h("span", { class: "chat__line" }, h("time", {}, timeText(entry.at)));
  const attributes = { class: "chat__entry chat__entry--file", "data-own": String(own), "data-testid": "chat-file" };
  const element = h("div", attributes, h("div", { class: "chat__text file" }, head, state, bar, actions), time);
  /** @type {string | null} of the file that has arrived */
  let url = null;

  /** The user has said so already: it is saved as soon as it is whole. @param {Blob} blob */
  function keep(blob) {
    url = URL.createObjectURL(blob);
    again.href = url;
    again.download = name;
    again.click();
  }

  return {
    element,
    /** @param {FileEntry} next @param {string} other name of the other party */
    render(next, other) {
      const { state: is, size, done } = next;
      element.dataset.state = is;
      setText(state, fileText(next, shortName(other)));
      bar.hidden = is !== "moving";
      bar.value = size ? done / size : 1;
      save.hidden = decline.hidden = own || is !== "asking";
      cancel.hidden = !(is === "moving" || (own && is === "asking"));
      if (next.blob && !url) keep(next.blob);
      again.hidden = url === null;
    },
    /** The chat is emptied. */
    release() {
      if (url) URL.revokeObjectURL(url);
    },
  };
}

/** @param {string} testId @param {string} text @param {string} label @param {string} look @param {() => void} onclick */
function choice(testId, text, label, look, onclick) {
  const attributes = { class: `button ${look} file__choice`, type: "button", "aria-label": label, "data-testid": testId, onclick };
  return h("button", attributes, text);
}

/**
 * @param {Pick<FileEntry, "own" | "size" | "done" | "state" | "problem">} entry
 * @param {string} who the other party, in short
 */
export function fileText({ own, size, done, state, problem }, who) {
  const total = sizeText(size);
  switch (state) {
    case "asking":
      return own ? `${total} · ${who} is asked first` : `${total} · ${who} would like to send you this`;
    case "moving":
      return `${Math.floor((100 * done) / Math.max(1, size))} % of ${total}`;
    case "checking":
      return `${total} · Checking that nothing changed…`;
    case "done":
      return own ? `${total} · Received by ${who}, unchanged` : `${total} · Saved, unchanged`;
    case "declined":
      return own ? `${who} declined it` : "You declined it";
    case "cancelled":
      return "Cancelled";
    case "failed":
      return problemText(problem, own, who);
  }
}

/** @param {FileEntry["problem"]} problem @param {boolean} own @param {string} who */
function problemText(problem, own, who) {
  switch (problem) {
    case "too_large":
      return own ? "Too large: files can have up to 100 MB" : `${who} wanted to send a file that is too large`;
    case "too_many":
      return "Too many files at once: send it again when others have arrived";
    case "damaged":
      return "It did not arrive as it was sent. Send it again.";
    case "unreadable":
      return "It could not be read: it was changed, moved or deleted";
    case "unsupported":
      return `${who}’s app can’t receive files`;
    default:
      return "The connection broke. Send it again.";
  }
}

/**
 * The chat of the call.
 *
 * @typedef {import("../../client/calls/chat.js").ChatEntry} ChatEntry
 * @typedef {import("../../client/files/exchange.js").FileEntry} FileEntry
 */
import { LONGEST_TEXT } from "../../client/calls/chat.js";
import { fill, h, setText } from "../ui/dom.js";
import { createFileBubble } from "./filebubble.js";
import { partsOf } from "./links.js";
import { icon } from "../ui/moreicons.js";
import { timeText } from "../ui/words.js";

/** @type {Record<ChatEntry["state"], string>} */
const MARKS = { pending: "Sending…", sent: "Sent", failed: "Not sent. Try again" };

/** Milliseconds that a button says that its text was copied. */
const COPIED = 1_500;

/** @type {Map<boolean | null, string>} by whether the server keeps them; null: it does not say */
const KEPT = new Map([
  [true, "Messages are kept with this call, for both of you. Files are not."],
  [false, "Messages and files are not kept: they are gone when the call ends."],
  [null, "Messages are part of this call."],
]);

/**
 * @param {{onWrite: (text: string) => void, onWriteAgain: (id: string) => void, onChat: () => void,
 *   onSendFiles: (files: File[]) => void} & import("./filebubble.js").FileActions} actions
 */
export function createChatPanel(actions) {
  const { onWrite, onWriteAgain, onChat, onSendFiles } = actions;
  // A log is no list (ARIA in HTML): its entries are read out as they come.
  const list = h("div", {
    class: "chat__list",
    role: "log",
    "aria-live": "polite",
    "aria-label": "Messages",
    "data-testid": "chat-list",
  });
  const empty = h("p", { class: "chat__empty" }, "No messages yet.");
  const kept = h("p", { class: "chat__kept", "data-testid": "chat-kept" });
  const field = h("textarea", {
    class: "chat__field",
    rows: 1,
    maxlength: LONGEST_TEXT,
    placeholder: "Write a message",
    "aria-label": "Message",
    enterkeyhint: "send",
    "data-testid": "chat-field",
    onkeydown: keyPressed,
    oninput: grow,
  });
  const send = h(
    "button",
    { class: "chat__send", type: "submit", "aria-label": "Send", "data-testid": "chat-send" },
    icon("send"),
  );
  const picker = h("input", { type: "file", multiple: true, hidden: true, "data-testid": "file-picker", onchange: picked });
  const attach = h(
    "button",
    {
      class: "chat__attach",
      type: "button",
      title: "Send a file",
      "aria-label": "Send a file",
      "data-testid": "file-send",
      onclick: () => picker.click(),
    },
    icon("clip"),
  );
  const form = h("form", { class: "chat__form", onsubmit: submit }, attach, picker, field, send);
  const close = h("button", { class: "chat__close", type: "button", "aria-label": "Close chat", onclick: onChat }, icon("close"));
  const element = h(
    "aside",
    { class: "chat", hidden: true, "aria-label": "Chat", "data-testid": "chat-panel" },
    h("header", { class: "chat__head" }, h("h3", { class: "chat__title" }, "Chat"), close),
    kept,
    empty,
    list,
    form,
  );
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape") onChat();
  });
  element.addEventListener("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
  element.addEventListener("drop", (event) => {
    const dropped = [...(event.dataTransfer?.files ?? [])];
    if (!dropped.length) return;
    event.preventDefault(); // or the browser would leave the call to show the file
    onSendFiles(dropped);
  });
  /** @type {Map<string, {element: HTMLElement, mark: HTMLButtonElement}>} by whose and which it is */
  const shown = new Map();
  /** @type {Map<string, ReturnType<typeof createFileBubble>>} */
  const bubbles = new Map();

  function picked() {
    onSendFiles([...(picker.files ?? [])]);
    picker.value = ""; // the same file may be chosen again
  }

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    onWrite(field.value);
    field.value = "";
    grow();
  }

  /** @param {KeyboardEvent} event */
  function keyPressed(event) {
    // While a text is being composed (Japanese, Chinese…), Enter chooses a word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    submit(event);
  }

  function grow() {
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight, 120)}px`;
  }

  /** @param {ChatEntry} entry */
  function bubble(entry) {
    const mark = h("button", { class: "chat__mark", type: "button", onclick: () => onWriteAgain(entry.id) });
    const line = h("span", { class: "chat__line" }, h("time", {}, timeText(entry.at)), entry.own && mark, copyButton(entry.text));
    const text = h("p", { class: "chat__text" }, ...partsOf(entry.text).map(linked));
    const bubble = h("div", { class: "chat__entry", "data-own": String(entry.own), "data-testid": "chat-entry" }, text, line);
    return { element: bubble, mark };
  }

  return {
    element,
    /**
     * @param {readonly ChatEntry[]} entries
     * @param {readonly FileEntry[]} files
     * @param {{isKept: boolean | null, other: string, canSend: boolean}} state whether the messages are kept, the name of the other
     *   party, whether files can be sent
     */
    render(entries, files, { isKept, other, canSend }) {
      setText(kept, KEPT.get(isKept) ?? "");
      attach.disabled = !canSend;
      empty.hidden = entries.length + files.length > 0;
      const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
      let added = false;
      for (const entry of entries) {
        const key = `${entry.own} ${entry.id}`;
        const one = shown.get(key) ?? bubble(entry);
        if (!shown.has(key)) {
          shown.set(key, one);
          list.append(one.element);
          added = true;
        }
        one.element.dataset.state = entry.state;
        one.mark.disabled = entry.state !== "failed";
        setText(one.mark, MARKS[entry.state]);
      }
      for (const entry of files) {
        let one = bubbles.get(entry.key);
        if (!one) {
          bubbles.set(entry.key, (one = createFileBubble(entry, actions)));
          list.append(one.element);
          added = true;
        }
        one.render(entry, other);
      }
      if (added && (atEnd || entries.at(-1)?.own || files.at(-1)?.own)) list.scrollTop = list.scrollHeight;
    },
    clear() {
      shown.clear();
      bubbles.forEach((one) => one.release());
      bubbles.clear();
      fill(list);
      field.value = "";
    },
    /** @param {boolean} open */
    show(open) {
      if (element.hidden === !open) return;
      element.hidden = !open;
      if (!open) return;
      list.scrollTop = list.scrollHeight;
      field.focus();
    },
  };
}

/** @param {import("./links.js").TextPart} part */
function linked({ text, url }) {
  if (!url) return text;
  return h("a", { class: "chat__link", href: url, target: "_blank", rel: "noopener noreferrer nofollow" }, text);
}

/** @param {string} text */
function copyButton(text) {
  const button = h("button", { class: "chat__mark chat__copy", type: "button", "data-testid": "chat-copy", onclick: copy }, "Copy");
  let timer = 0;
  async function copy() {
    const done = await navigator.clipboard.writeText(text).then(() => true, () => false); // not allowed in this frame, say
    setText(button, done ? "Copied" : "Can’t copy here");
    clearTimeout(timer);
    timer = setTimeout(() => setText(button, "Copy"), COPIED);
  }
  return button;
}

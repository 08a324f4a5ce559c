/**
 * The chat of the call.
 *
 * @typedef {import("../../client/calls/chat.js").ChatEntry} ChatEntry
 */
import { LONGEST_TEXT } from "../../client/calls/chat.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { timeText } from "../ui/words.js";

/** @type {Record<ChatEntry["state"], string>} */
const MARKS = { pending: "Sending…", sent: "Sent", failed: "Not sent. Try again" };

/**
 * @param {{onWrite: (text: string) => void, onWriteAgain: (id: string) => void, onChat: () => void}} actions
 */
export function createChatPanel({ onWrite, onWriteAgain, onChat }) {
  // A log is no list (ARIA in HTML): its entries are read out as they come.
  const list = h("div", {
    class: "chat__list",
    role: "log",
    "aria-live": "polite",
    "aria-label": "Messages",
    "data-testid": "chat-list",
  });
  const empty = h("p", { class: "chat__empty" }, "No messages yet. Messages are part of this call.");
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
  const form = h("form", { class: "chat__form", onsubmit: submit }, field, send);
  const close = h("button", { class: "chat__close", type: "button", "aria-label": "Close chat", onclick: onChat }, icon("close"));
  const element = h(
    "aside",
    { class: "chat", hidden: true, "aria-label": "Chat", "data-testid": "chat-panel" },
    h("header", { class: "chat__head" }, h("h3", { class: "chat__title" }, "Chat"), close),
    empty,
    list,
    form,
  );
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape") onChat();
  });
  /** @type {Map<string, {element: HTMLElement, mark: HTMLButtonElement}>} by whose and which it is */
  const shown = new Map();

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
    const line = h("span", { class: "chat__line" }, h("time", {}, timeText(entry.at)), entry.own && mark);
    const text = h("p", { class: "chat__text" }, entry.text);
    const bubble = h("div", { class: "chat__entry", "data-own": String(entry.own), "data-testid": "chat-entry" }, text, line);
    return { element: bubble, mark };
  }

  return {
    element,
    /** @param {readonly ChatEntry[]} entries */
    render(entries) {
      empty.hidden = entries.length > 0;
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
      if (added && (atEnd || entries.at(-1)?.own)) list.scrollTop = list.scrollHeight;
    },
    clear() {
      shown.clear();
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

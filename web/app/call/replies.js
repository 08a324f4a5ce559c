/** Declining with a few words: some that are often needed, or the user's own. */
import { LONGEST_MESSAGE } from "../../client/calls/calllife.js";
import { h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";

const REPLIES = ["I’ll call you back in 10 minutes.", "I can’t talk right now. Please write to me.", "Please call again in an hour."];

/** @param {(message: string) => void} onReply */
export function createReplies(onReply) {
  const choices = REPLIES.map((text) => {
    const attributes = { class: "reply", type: "button", "data-testid": "reply", onclick: () => onReply(text) };
    return h("li", {}, h("button", attributes, text));
  });
  const field = h("input", {
    class: "field reply__field",
    type: "text",
    maxlength: LONGEST_MESSAGE,
    placeholder: "Your own message",
    "aria-label": "Your own message",
    autocomplete: "off",
    "data-testid": "reply-field",
  });
  const send = h(
    "button",
    { class: "roundbutton", type: "submit", "aria-label": "Decline with this message", "data-testid": "reply-send" },
    icon("send"),
  );
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (field.value.trim()) onReply(field.value);
  };
  const form = h("form", { class: "reply__own", onsubmit: submit }, field, send);
  const kept = h("p", { class: "muted replies__kept", "data-testid": "reply-kept" });
  const element = h("div", { class: "replies", id: "replies", hidden: true }, h("ul", {}, ...choices), form, kept);

  return {
    element,
    /** @param {boolean | null} isKept whether the words stay with the call; null: the server does not say */
    setKept(isKept) {
      kept.hidden = isKept === null;
      setText(kept, isKept ? "Kept with the call, for both of you." : "Shown once, and not kept.");
    },
    /** @param {boolean} shown */
    show(shown) {
      element.hidden = !shown;
      if (shown) element.querySelector("button")?.focus();
      else field.value = "";
    },
  };
}

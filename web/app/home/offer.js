/**
 * The call that a link leads to: one click makes it. Never without one, or any page could have a browser call.
 *
 * @typedef {import("../../client/model.js").CallKind} CallKind
 * @typedef {import("../../client/model.js").Contact} Contact
 */
import { h, setText } from "../ui/dom.js";
import { icon } from "../ui/icons.js";

/** @param {{onCall: (contact: Contact, kind: CallKind) => void, onDismissOffer: () => void}} actions */
export function createOffer({ onCall, onDismissOffer }) {
  const text = h("p", { class: "offer__text" });
  const label = h("span", {});
  const start = h("button", { class: "button button--primary", type: "button", disabled: true }, icon("call"), label);
  const dismiss = h("button", { class: "button button--quiet", type: "button", onclick: onDismissOffer }, "Not now");
  const actions = h("div", { class: "offer__actions" }, start, dismiss);
  const element = h("section", { class: "offer", "aria-label": "Call", hidden: true, "data-testid": "offer" }, text, actions);
  /** @type {{contact: Contact, kind: CallKind} | null} */
  let offered = null;
  start.addEventListener("click", () => offered && onCall(offered.contact, offered.kind));

  return {
    element,
    /** @param {{contact: Contact, kind: CallKind} | null} offer null: none */
    set(offer) {
      offered = offer;
      element.hidden = offer === null;
      if (!offer) return;
      setText(text, `Call ${offer.contact.other.name}?`);
      setText(label, offer.kind === "video" ? "Start the video call" : "Start the voice call");
      start.focus();
    },
    /** @param {boolean} online calls can only be made while we are connected */
    setOnline(online) {
      start.disabled = !online;
      if (online && offered) start.focus();
    },
  };
}

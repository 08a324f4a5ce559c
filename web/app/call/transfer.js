/**
 * Call transfer: the choice of its target, and the question to the other party.
 *
 * @typedef {import("../../client/model.js").Person} Person
 */
import { keyOf } from "../../client/model.js";
import { avatar } from "../ui/avatar.js";
import { fill, h, setText } from "../ui/dom.js";
import { shortName, typeText } from "../ui/words.js";

/**
 * @param {{onTransferTo: (person: Person) => void}} actions
 */
export function createTransferChooser({ onTransferTo }) {
  const lead = h("p", { class: "muted" });
  const list = h("ul", { class: "chooser" });
  const cancel = h("button", { class: "button button--quiet", type: "button", onclick: () => element.close() }, "Cancel");
  const attributes = { class: "dialog", "aria-labelledby": "transfer-title", "data-testid": "transfer-dialog" };
  const title = h("h2", { class: "dialog__title", id: "transfer-title" }, "Transfer the call");
  const element = h("dialog", attributes, title, lead, list, h("div", { class: "dialog__actions" }, cancel));

  /** @param {Person} person */
  function row(person) {
    const choose = () => {
      element.close();
      onTransferTo(person);
    };
    const attributes = { class: "chooser__row", type: "button", "data-testid": `transfer-to-${keyOf(person)}`, onclick: choose };
    const text = h("span", { class: "conversation__text" }, person.name, h("span", { class: "muted" }, typeText(person.type)));
    return h("li", {}, h("button", attributes, avatar(person), text));
  }

  return {
    element,
    /** @param {Person} other @param {Person[]} people */
    open(other, people) {
      const known = people.filter((person) => keyOf(person) !== keyOf(other));
      const who = shortName(other.name);
      const empty = `You have no contact to transfer ${who} to.`;
      setText(lead, known.length ? `Who should ${who} talk to instead? ${who} is asked first.` : empty);
      fill(list, ...known.map(row));
      if (!element.open) element.showModal();
    },
    close: () => element.close(),
  };
}

/**
 * @param {{onTransferAnswer: (accepted: boolean) => void}} actions
 */
export function createTransferRequest({ onTransferAnswer }) {
  const picture = h("div", { class: "dialog__picture" });
  const title = h("h2", { class: "dialog__title", id: "request-title" });
  const lead = h("p", { class: "muted" });
  const answer = (/** @type {boolean} */ accepted) => () => onTransferAnswer(accepted);
  const refuse = h(
    "button",
    { class: "button button--quiet", type: "button", "data-testid": "transfer-refuse", onclick: answer(false) },
    "Stay here",
  );
  const accept = h("button", {
    class: "button button--primary",
    type: "button",
    "data-testid": "transfer-accept",
    onclick: answer(true),
  });
  const attributes = { class: "dialog", "aria-labelledby": "request-title", "data-testid": "transfer-request" };
  const element = h("dialog", attributes, picture, title, lead, h("div", { class: "dialog__actions" }, refuse, accept));
  // Escape would leave the other side without an answer.
  element.addEventListener("cancel", (event) => event.preventDefault());

  return {
    element,
    /** @param {{other: Person, target: Person} | null} request null: there is no request */
    render(request) {
      if (!request) return element.open ? element.close() : undefined;
      const { other, target } = request;
      fill(picture, avatar(target, "large"));
      setText(title, `Talk to ${target.name} instead?`);
      setText(lead, `${other.name} would like to transfer your call. This call ends, and you call ${shortName(target.name)}.`);
      setText(accept, `Call ${shortName(target.name)}`);
      if (!element.open) element.showModal();
    },
  };
}

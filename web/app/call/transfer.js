/**
 * Call transfer: the choice of its target, and the question to the other party.
 *
 * @typedef {import("../../client/model.js").Person} Person
 * @typedef {import("../../client/calls/talk.js").TransferTarget} TransferTarget
 */
import { keyOf } from "../../client/model.js";
import { avatar } from "../ui/avatar.js";
import { fill, h, setText } from "../ui/dom.js";
import { shortName, typeText } from "../ui/names.js";

/**
 * @param {{onTransferTo: (person: Person) => void}} actions
 */
export function createTransferChooser({ onTransferTo }) {
  const lead = h("p", { class: "muted", role: "status", "data-testid": "transfer-lead" });
  const list = h("ul", { class: "chooser" });
  /** @type {{other: Person, people: Person[]} | null} while it is open */
  let shown = null;
  /** @type {TransferTarget[] | "unknown" | null | undefined} what is on the screen; undefined: nothing yet */
  let rendered;
  const cancel = h("button", { class: "button button--quiet", type: "button", onclick: () => element.close() }, "Cancel");
  const attributes = { class: "dialog", "aria-labelledby": "transfer-title", "data-testid": "transfer-dialog" };
  const title = h("h2", { class: "dialog__title", id: "transfer-title" }, "Transfer the call");
  const element = h("dialog", attributes, title, lead, list, h("div", { class: "dialog__actions" }, cancel));

  element.addEventListener("close", () => (shown = null));

  /** @param {Person} person @param {string} [problem] why the call cannot be transferred to them */
  function row(person, problem = "") {
    const choose = () => {
      element.close();
      onTransferTo(person);
    };
    const attributes = { class: "chooser__row", type: "button", "data-testid": `transfer-to-${keyOf(person)}` };
    const text = h("span", { class: "conversation__text" }, person.name, h("span", { class: "muted" }, problem || typeText(person.type)));
    return h("li", {}, h("button", { ...attributes, disabled: problem !== "", onclick: choose }, avatar(person), text));
  }

  return {
    element,
    /** @param {Person} other @param {Person[]} people all contacts of the user */
    open(other, people) {
      shown = { other, people: people.filter((person) => keyOf(person) !== keyOf(other)) };
      rendered = undefined;
      this.render(null);
      if (!element.open) element.showModal();
    },
    /** @param {TransferTarget[] | "unknown" | null} targets null: the server has not said yet who can be reached */
    render(targets) {
      if (!shown || rendered === targets) return;
      rendered = targets;
      const who = shortName(shown.other.name);
      const rows = rowsOf(who, shown.people, targets);
      const can = rows.filter(({ problem }) => !problem);
      const ask = `Who should ${who} talk to instead? ${who} is asked first.`;
      const none = shown.people.length ? `${who} can’t be transferred to any of your contacts now.` : `You have no contact to transfer ${who} to.`;
      setText(lead, targets === null && shown.people.length ? "Looking who can be reached…" : can.length ? ask : none);
      fill(list, ...rows.map(({ person, problem }) => row(person, problem)));
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

/**
 * Those who can be reached first, and the reason behind each of the others.
 *
 * @param {string} who is to be transferred
 * @param {Person[]} people
 * @param {TransferTarget[] | "unknown" | null} targets
 * @returns {{person: Person, problem: string}[]}
 */
export function rowsOf(who, people, targets) {
  if (targets === null) return [];
  if (targets === "unknown") return people.map((person) => ({ person, problem: "" }));
  const listed = targets.map(({ person, reason }) => {
    const problem = { offline: "Not online now", busy: "In another call, or not to be disturbed" };
    return { person, problem: reason === null ? "" : (problem[reason] ?? "Can’t be reached now") };
  });
  const keys = new Set(targets.map(({ person }) => keyOf(person)));
  const others = people.filter((person) => !keys.has(keyOf(person)));
  const rows = [...listed, ...others.map((person) => ({ person, problem: `${who} can’t call ${shortName(person.name)}` }))];
  return rows.sort((one, other) => Number(one.problem !== "") - Number(other.problem !== ""));
}

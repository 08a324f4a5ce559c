/**
 * The contacts: conversations, and shared whiteboards.
 *
 * @typedef {import("../../client/model.js").Contact} Contact
 * @typedef {import("../../client/model.js").CallKind} CallKind
 * @typedef {import("../../client/model.js").Person} Person
 */
import { keyOf } from "../../client/model.js";
import { avatar } from "../ui/avatar.js";
import { fill, h } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { createMenu } from "../ui/menu.js";
import { typeText } from "../ui/words.js";

/**
 * @param {{onCall: (contact: Contact, kind: CallKind) => void, onReload: () => void,
 *   onBlock: (person: Person, blocked: boolean) => void}} actions
 */
export function createPeople({ onCall, onReload, onBlock }) {
  const list = h("div", { "data-testid": "conversations" });
  const boards = h("section", { class: "home__section", hidden: true, "data-testid": "whiteboards" });
  const element = h("div", { class: "home__list" }, list, boards);
  let online = false;
  /** @type {Set<string>} keys of the people that the user has blocked */
  let blocked = new Set();
  /** @type {(() => void)[]} */
  let refreshers = [];

  /** @param {Contact} contact @param {string} detail */
  function row(contact, detail) {
    const { scope, other } = contact;
    const isBoard = scope.kind === "whiteboard_session";
    const hook = isBoard ? `whiteboard-${scope.id}` : String(scope.id);
    const actions = h("span", { class: "conversation__actions" });
    const menu = createMenu(`menu-${hook}`, `More about ${other.name}`, {
      class: "roundbutton roundbutton--quiet",
      icon: "more",
    });
    const block = menu.add(`block-${hook}`, () => onBlock(other, !blocked.has(keyOf(other))));
    const mark = h("span", { class: "tag", "data-testid": `blocked-${hook}` }, "Blocked");
    fill(actions, button(contact, hook, "voice"), button(contact, hook, "video"), !isBoard && menu.element);
    const refresh = () => {
      const isBlocked = blocked.has(keyOf(other));
      mark.hidden = !isBlocked;
      block.set(isBlocked ? "Unblock" : "Block", "block");
      for (const one of actions.querySelectorAll("[data-call]")) one.toggleAttribute("disabled", !online || isBlocked);
    };
    refreshers.push(refresh);
    refresh();
    const text = h(
      "span",
      { class: "conversation__text" },
      h("span", { class: "conversation__name" }, other.name, mark),
      h("span", { class: "muted" }, typeText(other.type), h("span", { class: "conversation__id" }, ` · ${detail}`)),
    );
    return h(
      "li",
      { class: "conversation", "data-testid": isBoard ? hook : `conversation-${hook}` },
      avatar(other),
      text,
      actions,
    );
  }

  /** @param {Contact} contact @param {string} hook @param {CallKind} kind */
  function button(contact, hook, kind) {
    const what = kind === "video" ? "Video call" : "Voice call";
    const attributes = {
      class: "roundbutton",
      type: "button",
      title: what,
      "aria-label": `${what} with ${contact.other.name}`,
      "data-testid": `call-${kind}-${hook}`,
      "data-call": kind,
      onclick: () => onCall(contact, kind),
    };
    return h("button", attributes, icon(kind === "video" ? "camera" : "call"));
  }

  return {
    element,
    setLoading() {
      boards.hidden = true;
      fill(list, ...[0, 1, 2].map(() => h("div", { class: "conversation conversation--ghost", "aria-hidden": "true" })));
    },
    setProblem() {
      const again = h("button", { class: "button button--primary", type: "button", onclick: onReload }, "Try again");
      fill(list, h("div", { class: "empty" }, icon("alert"), h("p", {}, "The server can’t be reached at the moment."), again));
    },
    /** @param {boolean} next calls can only be made while we are connected */
    setOnline(next) {
      online = next;
      refreshers.forEach((refresh) => refresh());
    },
    /** @param {Person[]} people that the user has blocked */
    setBlocked(people) {
      blocked = new Set(people.map(keyOf));
      refreshers.forEach((refresh) => refresh());
    },
    /** @param {Contact[]} conversations @param {Contact[]} whiteboards */
    setContacts(conversations, whiteboards) {
      refreshers = [];
      if (conversations.length) {
        fill(list, h("ul", { class: "conversations" }, ...conversations.map((one) => row(one, `Conversation ${one.scope.id}`))));
      } else {
        const text = "Conversations from your platform appear here, and every one of them can be called.";
        fill(list, h("div", { class: "empty", "data-testid": "no-conversations" }, icon("bubble"), h("p", {}, text)));
      }
      boards.hidden = !whiteboards.length;
      const rows = whiteboards.map((one) => row(one, `Whiteboard ${one.scope.id}`));
      fill(
        boards,
        h("h2", { class: "home__heading" }, icon("board"), "Whiteboards"),
        h("ul", { class: "conversations" }, ...rows),
      );
    },
  };
}

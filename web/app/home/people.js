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
import { createGrowingList } from "../ui/growing.js";
import { icon } from "../ui/icons.js";
import { createMenu } from "../ui/menu.js";
import { createSearch, folded } from "../ui/search.js";
import { nameOf, typeText } from "../ui/names.js";

/** Rows in place of those that have not come yet. */
export function ghosts() {
  return [0, 1, 2].map(() => h("div", { class: "conversation conversation--ghost", "aria-hidden": "true" }));
}

/** With fewer people, all of them are seen at once. */
const SEARCHABLE = 8;

/**
 * @param {{onCall: (contact: Contact, kind: CallKind) => void, onReload: () => void,
 *   onBlock: (person: Person, blocked: boolean) => void}} actions
 */
export function createPeople({ onCall, onReload, onBlock }) {
  const list = h("div", { "data-testid": "conversations" });
  const boards = h("section", { class: "home__section", hidden: true, "data-testid": "whiteboards" });
  const search = createSearch("search-people", "Search people", filter);
  const element = h("div", { class: "home__list" }, search.element, list, boards);
  search.element.hidden = true;
  let online = false;
  /** @type {{conversations: Contact[], whiteboards: Contact[]}} */
  let contacts = { conversations: [], whiteboards: [] };
  /** @type {Set<string>} keys of the people that the user has blocked */
  let blocked = new Set();
  /** @type {(() => void)[]} */
  let refreshers = [];

  const people = createGrowingList({ class: "conversations" }, row);
  const shared = createGrowingList({ class: "conversations" }, row);
  fill(boards, h("h2", { class: "home__heading" }, icon("board"), "Whiteboards"), shared.element);

  /** Show those who are searched for. */
  function filter() {
    const wanted = folded(search.text);
    const fits = (/** @type {Contact} */ { other }) => folded(nameOf(other)).includes(wanted);
    const conversations = contacts.conversations.filter(fits);
    const whiteboards = contacts.whiteboards.filter(fits);
    refreshers = [];
    people.set(conversations);
    shared.set(whiteboards);
    boards.hidden = !whiteboards.length;
    if (conversations.length) return fill(list, people.element);
    if (wanted) {
      const text = `There is no one here with “${search.text}” in their name.`;
      return fill(list, !whiteboards.length && h("div", { class: "empty", "data-testid": "no-match" }, icon("search"), h("p", {}, text)));
    }
    const text = "Conversations from your platform appear here, and every one of them can be called.";
    fill(list, h("div", { class: "empty", "data-testid": "no-conversations" }, icon("bubble"), h("p", {}, text)));
  }

  /** @param {Contact} contact */
  function row(contact) {
    const { scope, other } = contact;
    const isBoard = scope.kind === "whiteboard_session";
    const detail = `${isBoard ? "Whiteboard" : "Conversation"} ${scope.id}`;
    const hook = isBoard ? `whiteboard-${scope.id}` : String(scope.id);
    const actions = h("span", { class: "conversation__actions" });
    const menu = createMenu(`menu-${hook}`, `More about ${nameOf(other)}`, {
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
      h("span", { class: "conversation__name" }, nameOf(other), mark),
      h(
        "span",
        { class: "muted" },
        h("span", { class: "conversation__type" }, `${typeText(other.type)} `),
        h("span", { class: "conversation__id" }, detail),
      ),
    );
    return h(
      "li",
      { class: "conversation", "data-scope": scope.kind, "data-testid": isBoard ? hook : `conversation-${hook}` },
      h("span", { class: "conversation__face" }, avatar(other), isBoard && h("span", { class: "conversation__board" }, icon("board"))),
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
      "aria-label": `${what} with ${nameOf(contact.other)}`,
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
      search.element.hidden = true;
      fill(list, ...ghosts());
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
      contacts = { conversations, whiteboards };
      search.element.hidden = conversations.length + whiteboards.length < SEARCHABLE;
      if (search.element.hidden) search.clear();
      filter();
    },
  };
}

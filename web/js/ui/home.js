/**
 * Your conversations, and the two ways to call.
 *
 * @typedef {import("../model.js").Person} Person
 * @typedef {import("../model.js").Conversation} Conversation
 * @typedef {import("../model.js").CallKind} CallKind
 */
import { avatar } from "./avatar.js";
import { fill, h, setText } from "./dom.js";
import { icon } from "./icons.js";
import { shortName, typeText } from "./words.js";

/**
 * @param {{onCall: (conversation: Conversation, kind: CallKind) => void, onSignOut: () => void, onReload: () => void}} actions
 */
export function createHome({ onCall, onSignOut, onReload }) {
  const who = h("div", { class: "topbar__who" });
  const signOut = h(
    "button",
    { class: "button button--quiet", type: "button", "data-testid": "sign-out", onclick: onSignOut },
    icon("swap"),
    h("span", { class: "topbar__switch" }, "Switch user"),
  );
  const logo = h("img", { src: "icon.svg", alt: "", width: 28, height: 28 });
  const brand = h("span", { class: "topbar__brand" }, logo, "Call Relay");
  const title = h("h1", { class: "home__title" });
  const lead = h("p", { class: "home__lead" });
  const list = h("div", { class: "home__list", "data-testid": "conversations" });
  const element = h(
    "div",
    { class: "home", "data-testid": "home" },
    h("header", { class: "topbar" }, brand, who, signOut),
    h("main", { class: "home__main" }, title, lead, list),
  );

  return {
    element,
    /** @param {Person} person */
    setUser(person) {
      setText(title, `${greeting(new Date().getHours())}, ${shortName(person.name)}`);
      const text = h(
        "span",
        { class: "topbar__text" },
        h("span", { class: "topbar__name", "data-testid": "me" }, person.name),
        h("span", { class: "muted" }, typeText(person.type)),
      );
      fill(who, h("span", { class: "presence" }, avatar(person, "small")), text);
    },
    /** @param {boolean} online calls can only be made while we are connected */
    setOnline(online) {
      element.toggleAttribute("data-online", online);
      for (const button of list.querySelectorAll("button")) button.disabled = !online;
    },
    setLoading() {
      setText(lead, "Loading your conversations…");
      fill(list, ...[0, 1, 2].map(() => h("div", { class: "conversation conversation--ghost", "aria-hidden": "true" })));
    },
    setProblem() {
      setText(lead, "Your conversations could not be loaded.");
      const again = h("button", { class: "button button--primary", type: "button", onclick: onReload }, "Try again");
      fill(list, h("div", { class: "empty" }, icon("alert"), h("p", {}, "The server can’t be reached at the moment."), again));
    },
    /** @param {Conversation[]} conversations */
    setConversations(conversations) {
      const online = element.hasAttribute("data-online");
      setText(lead, conversations.length ? "Who would you like to talk to?" : "Nobody to call yet.");
      if (!conversations.length) {
        const text = "Conversations from your platform appear here, and every one of them can be called.";
        fill(list, h("div", { class: "empty", "data-testid": "no-conversations" }, icon("bubble"), h("p", {}, text)));
        return;
      }
      const rows = conversations.map((conversation) => conversationRow(conversation, online, onCall));
      fill(list, h("ul", { class: "conversations" }, ...rows));
    },
  };
}

/** @param {number} hour */
function greeting(hour) {
  if (hour < 5 || hour >= 18) return "Good evening";
  return hour < 12 ? "Good morning" : "Good afternoon";
}

/**
 * @param {Conversation} conversation
 * @param {boolean} online
 * @param {(conversation: Conversation, kind: CallKind) => void} onCall
 */
function conversationRow(conversation, online, onCall) {
  const { id, other } = conversation;
  const button = (/** @type {CallKind} */ kind) =>
    h(
      "button",
      {
        class: "roundbutton",
        type: "button",
        title: kind === "video" ? "Video call" : "Voice call",
        "aria-label": `${kind === "video" ? "Video call" : "Voice call"} with ${other.name}`,
        "data-testid": `call-${kind}-${id}`,
        disabled: !online,
        onclick: () => onCall(conversation, kind),
      },
      icon(kind === "video" ? "camera" : "call"),
    );
  return h(
    "li",
    { class: "conversation", "data-testid": `conversation-${id}` },
    avatar(other),
    h(
      "span",
      { class: "conversation__text" },
      h("span", { class: "conversation__name" }, other.name),
      h("span", { class: "muted" }, typeText(other.type), h("span", { class: "conversation__id" }, ` · Conversation ${id}`)),
    ),
    h("span", { class: "conversation__actions" }, button("voice"), button("video")),
  );
}

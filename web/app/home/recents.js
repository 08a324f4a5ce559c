/**
 * The calls of the past.
 *
 * @typedef {import("../../client/history.js").PastCall} PastCall
 */
import { avatar } from "../ui/avatar.js";
import { fill, h } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { createSearch } from "../ui/search.js";
import { dayText, pastCallText } from "../ui/words.js";

/** Milliseconds after the last key until the server is asked. */
const PATIENCE = 250;

const UNKNOWN = { type: "student", id: 0, name: "Unknown", avatar: "" };

/**
 * @param {{onCallBack: (call: PastCall, kind?: import("../../client/model.js").CallKind) => void,
 *   onFilter: (missed: boolean) => void, onSearchCalls: (name: string) => void, onOpenCall: (call: PastCall) => void,
 *   onOlder: () => void} & Omit<Parameters<typeof import("./pastcall.js").createPastCall>[0], "onCloseCall">} actions
 */
export function createRecents(actions) {
  const { onCallBack, onFilter, onSearchCalls, onOpenCall, onOlder } = actions;
  const all = filter("filter-all", "All", false);
  const missed = filter("filter-missed", "Missed", true);
  const list = h("div", { "data-testid": "recent-calls" });
  const older = h(
    "button",
    { class: "button button--quiet", type: "button", hidden: true, "data-testid": "older", onclick: onOlder },
    "Show older calls",
  );
  const search = createSearch("search-calls", "Search calls", onSearchCalls, PATIENCE);
  const choices = h("div", { class: "filter", role: "group", "aria-label": "Which calls" }, all, missed);
  const overview = h(
    "div",
    {},
    h("div", { class: "recents__bar" }, choices, search.element),
    list,
    h("div", { class: "home__more" }, older),
  );
  const element = h("div", { class: "home__list" }, overview);
  let online = false;
  /** @type {ReturnType<typeof import("./pastcall.js").createPastCall> | null} none before a call was opened */
  let page = null;
  let opened = "";
  addEventListener("popstate", () => {
    if (!history.state?.pastCall) close();
  });

  /** Show the list again, with the keyboard where it was. */
  function close() {
    if (!opened) return;
    page?.hide();
    overview.hidden = false;
    const row = list.querySelector(`[data-call="${CSS.escape(opened)}"]`);
    opened = "";
    if (row instanceof HTMLElement) row.focus();
  }

  /** @param {string} testId @param {string} label @param {boolean} onlyMissed */
  function filter(testId, label, onlyMissed) {
    const onclick = () => onFilter(onlyMissed);
    return h(
      "button",
      { class: "filter__choice", type: "button", "aria-pressed": String(!onlyMissed), "data-testid": testId, onclick },
      label,
    );
  }

  let now = Date.now;

  /** @param {PastCall} call */
  function row(call) {
    const { other, scope, kind } = call;
    const name = other?.name || UNKNOWN.name;
    const back = h(
      "button",
      {
        class: "roundbutton",
        type: "button",
        title: "Call back",
        "aria-label": `${kind === "video" ? "Video call" : "Voice call"} with ${name}`,
        "data-testid": "call-back",
        "data-back": true,
        disabled: !online,
        onclick: () => onCallBack(call),
      },
      icon(kind === "video" ? "camera" : "call"),
    );
    const direction = h("span", { class: "recent__direction" }, icon(call.incoming ? "incoming" : "outgoing"));
    const text = h(
      "span",
      { class: "conversation__text" },
      h("span", { class: "conversation__name" }, name),
      h("span", { class: "muted recent__what" }, direction, `${pastCallText(call)}${call.isBoard ? " · Whiteboard" : ""}`),
      call.declineMessage && h("q", { class: "muted recent__message", "data-testid": "decline-message" }, call.declineMessage),
    );
    const attributes = {
      class: "conversation recent",
      "data-testid": "recent-call",
      "data-missed": String(call.missed),
      "data-unseen": String(call.missed && !call.seen),
    };
    const time = h("time", { class: "muted recent__time", datetime: new Date(call.at).toISOString() }, dayText(call.at, now()));
    const open = h(
      "button",
      { class: "recent__open", type: "button", "data-call": call.id, "data-testid": "open-call", onclick: () => onOpenCall(call) },
      avatar(other ?? UNKNOWN),
      text,
      time,
    );
    return h("li", attributes, open, other && scope && back);
  }

  return {
    element,
    /** @param {boolean} next calls can only be made while we are connected */
    setOnline(next) {
      online = next;
      for (const button of list.querySelectorAll("[data-back]")) button.toggleAttribute("disabled", !online);
      page?.setOnline(online);
    },
    /**
     * @param {PastCall[]} calls
     * @param {{missed: boolean, name: string, hasMore: boolean, now: () => number}} what `now`: of the server, whose times these are
     */
    setCalls(calls, { missed: onlyMissed, name, hasMore, now: clock }) {
      now = clock;
      search.element.hidden = !calls.length && !name;
      if (!name) search.clear();
      all.setAttribute("aria-pressed", String(!onlyMissed));
      missed.setAttribute("aria-pressed", String(onlyMissed));
      older.hidden = !hasMore;
      if (calls.length) return fill(list, h("ul", { class: "conversations" }, ...calls.map(row)));
      const none = onlyMissed ? "You have missed no calls." : "Your calls will be listed here.";
      const text = name ? `There are no ${onlyMissed ? "missed " : ""}calls with “${name}”.` : none;
      fill(list, h("div", { class: "empty", "data-testid": "no-calls" }, icon("clock"), h("p", {}, text)));
    },
    /**
     * Show the page of a call in place of the list.
     *
     * @param {import("../../client/history.js").CallDetail} detail
     */
    async open(detail) {
      const { createPastCall } = await import("./pastcall.js");
      page ??= createPastCall({ ...actions, onCloseCall: () => history.back() });
      if (!page.element.isConnected) element.append(page.element);
      // "Back" of the browser, or of the phone, leads to the list.
      if (!opened) history.pushState({ ...history.state, pastCall: true }, "");
      opened = detail.call.id;
      overview.hidden = true;
      page.show(detail, online);
    },
    close,
    setProblem() {
      const again = h("button", { class: "button button--primary", type: "button", onclick: () => onFilter(false) }, "Try again");
      fill(list, h("div", { class: "empty" }, icon("alert"), h("p", {}, "Your calls could not be loaded."), again));
      older.hidden = true;
    },
  };
}

/**
 * The calls of the past.
 *
 * @typedef {import("../../client/history.js").PastCall} PastCall
 */
import { avatar } from "../ui/avatar.js";
import { fill, h } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { dayText, pastCallText } from "../ui/words.js";

const UNKNOWN = { type: "student", id: 0, name: "Unknown", avatar: "" };

/**
 * @param {{onCallBack: (call: PastCall) => void, onFilter: (missed: boolean) => void, onOlder: () => void}} actions
 */
export function createRecents({ onCallBack, onFilter, onOlder }) {
  const all = filter("filter-all", "All", false);
  const missed = filter("filter-missed", "Missed", true);
  const list = h("div", { "data-testid": "recent-calls" });
  const older = h(
    "button",
    { class: "button button--quiet", type: "button", hidden: true, "data-testid": "older", onclick: onOlder },
    "Show older calls",
  );
  const bar = h("div", { class: "filter", role: "group", "aria-label": "Which calls" }, all, missed);
  const element = h("div", { class: "home__list", hidden: true }, bar, list, h("div", { class: "home__more" }, older));
  let online = false;

  /** @param {string} testId @param {string} label @param {boolean} onlyMissed */
  function filter(testId, label, onlyMissed) {
    const onclick = () => onFilter(onlyMissed);
    return h(
      "button",
      { class: "filter__choice", type: "button", "aria-pressed": String(!onlyMissed), "data-testid": testId, onclick },
      label,
    );
  }

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
      h("span", { class: "muted recent__what" }, direction, pastCallText(call)),
    );
    const attributes = {
      class: "conversation recent",
      "data-testid": "recent-call",
      "data-missed": String(call.missed),
      "data-unseen": String(call.missed && !call.seen),
    };
    const time = h("time", { class: "muted recent__time", datetime: new Date(call.at).toISOString() }, dayText(call.at));
    return h("li", attributes, avatar(other ?? UNKNOWN), text, time, other && scope && back);
  }

  return {
    element,
    /** @param {boolean} next calls can only be made while we are connected */
    setOnline(next) {
      online = next;
      for (const button of list.querySelectorAll("button")) button.disabled = !online;
    },
    /**
     * @param {PastCall[]} calls
     * @param {{missed: boolean, hasMore: boolean}} what
     */
    setCalls(calls, { missed: onlyMissed, hasMore }) {
      all.setAttribute("aria-pressed", String(!onlyMissed));
      missed.setAttribute("aria-pressed", String(onlyMissed));
      older.hidden = !hasMore;
      if (calls.length) return fill(list, h("ul", { class: "conversations" }, ...calls.map(row)));
      const text = onlyMissed ? "You have missed no calls." : "Your calls will be listed here.";
      fill(list, h("div", { class: "empty", "data-testid": "no-calls" }, icon("clock"), h("p", {}, text)));
    },
    setProblem() {
      const again = h("button", { class: "button button--primary", type: "button", onclick: () => onFilter(false) }, "Try again");
      fill(list, h("div", { class: "empty" }, icon("alert"), h("p", {}, "Your calls could not be loaded."), again));
      older.hidden = true;
    },
  };
}

/**
 * The list of recordings, and the search in it. No access of its own: it shows what it is given.
 *
 * @typedef {import("./record.js").Filter} Filter
 * @typedef {import("./record.js").RecordingFacts} RecordingFacts
 */
import { PROFILE_TYPES } from "../../client/model.js";
import { avatar } from "../ui/avatar.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { typeText } from "../ui/names.js";
import { clockText, dayText, timeText } from "../ui/words.js";
import { createProgress, stateChip, verdictChip } from "./badges.js";
import { EVERYTHING, partyName } from "./record.js";
import { STATE_NAMES, VERDICT_NAMES, endText, endedEarly, sizeText, stateText, verdictText } from "./words.js";

/**
 * @param {{onSearch: (filter: Filter) => void, onMore: () => void, onAgain: () => void}} actions
 */
export function createList({ onSearch, onMore, onAgain }) {
  const form = createSearch(onSearch);
  const found = h("p", { class: "visually-hidden", role: "status", "data-testid": "found" });
  const list = h("ul", { class: "reclist", "data-testid": "recordings" });
  const message = h("div", { class: "empty", hidden: true, "data-testid": "message" });
  const more = h(
    "button",
    { class: "button button--quiet", type: "button", hidden: true, "data-testid": "more", onclick: onMore },
    "Show older recordings",
  );
  const element = h("div", {}, form.element, found, message, list, h("div", { class: "home__more" }, more));

  /** @param {import("../ui/icons.js").IconName} iconName @param {string} text @param {string} detail @param {Node | null} [action] */
  function say(iconName, text, detail, action = null) {
    message.hidden = false;
    const texts = h("div", { class: "reclist__message" }, h("p", {}, text), h("p", { class: "muted" }, detail));
    fill(message, icon(iconName), texts, action);
  }

  return {
    element,
    setLoading() {
      more.hidden = true;
      fill(list, ...Array.from({ length: 3 }, () => h("li", { class: "recrow recrow--loading", "aria-hidden": "true" })));
      message.hidden = true;
      setText(found, "Loading…");
    },
    /** @param {RecordingFacts[]} recordings @param {{filter: Filter, hasMore: boolean}} what */
    setRecordings(recordings, { filter, hasMore }) {
      const focused = document.activeElement?.getAttribute("href");
      fill(list, ...recordings.map(row));
      // A list that is drawn anew while it is looked at keeps the keyboard's place.
      const again = focused?.startsWith("#") && list.querySelector(`[data-id="${CSS.escape(focused.slice(1))}"] a`);
      if (again instanceof HTMLElement) again.focus();
      more.hidden = !hasMore;
      message.hidden = recordings.length > 0;
      const count = recordings.length === 1 ? "One recording" : `${recordings.length} recordings`;
      setText(found, recordings.length ? `${count}${hasMore ? ", and there are more" : ""}` : "No recordings");
      if (recordings.length) return;
      const searched = Object.values(filter).some(Boolean);
      if (searched) say("film", "No recording fits this search.", "Try fewer conditions, or other days.");
      else say("film", "There are no recordings yet.", "During a call, “Record call…” is in its menu. Both must agree.");
    },
    /** @param {string} text */
    setProblem(text) {
      fill(list);
      more.hidden = true;
      const again = h("button", { class: "button button--primary", type: "button", onclick: onAgain }, "Try again");
      say("alert", "The recordings could not be loaded.", text, again);
      setText(found, `The recordings could not be loaded. ${text}`);
    },
    setOff() {
      fill(list);
      more.hidden = true;
      say("film", "This relay does not record calls.", "Its operator can allow it: RELAY_RECORDING in the settings.");
    },
    /** @param {Filter} filter */
    setFilter: (filter) => form.set(filter),
    /** @param {string} id of the recording that was shown */
    focus(id) {
      const link = list.querySelector(`[data-id="${CSS.escape(id)}"] a`);
      if (link instanceof HTMLElement) link.focus();
    },
  };
}

/** @param {RecordingFacts} recording */
function row(recording) {
  const { id, caller, callee, startedAt, duration, bytes, endReason, scope } = recording;
  const names = `${partyName(recording, "A")} → ${partyName(recording, "B")}`;
  const progress = createProgress();
  progress.render(recording);
  const where = scope ? `${scope.kind === "conversation" ? "Conversation" : "Whiteboard"} ${scope.id}` : "";
  const facts = [duration === null ? "" : clockText(Math.round(duration)), bytes ? sizeText(bytes) : "", where];
  const early = endedEarly(endReason) && h("span", { class: "recrow__early" }, icon("alert"), endText(endReason));
  const time = h("time", { datetime: new Date(startedAt).toISOString() }, whenText(startedAt));
  const faces = h(
    "span",
    { class: "recrow__faces", "aria-hidden": "true" },
    ...[caller, callee].map((one) => avatar(one ?? { type: "student", id: 0, name: "?", avatar: "" }, "small")),
  );
  return h(
    "li",
    { class: "recrow", "data-id": id, "data-testid": "recording" },
    faces,
    h(
      "div",
      { class: "recrow__text" },
      h("a", { class: "recrow__link", href: `#${id}` }, names),
      h("p", { class: "muted" }, time, ...facts.filter(Boolean).map((fact) => ` · ${fact}`)),
      early,
      progress.element,
    ),
    h("div", { class: "recrow__chips" }, stateChip(recording), recording.state === "ready" && verdictChip(recording)),
  );
}

/** @param {number} at milliseconds since 1970 */
function whenText(at) {
  const day = dayText(at);
  return day.includes(timeText(at)) ? day : `${day}, ${timeText(at)}`;
}

/** @param {(filter: Filter) => void} onSearch */
function createSearch(onSearch) {
  const attributes = { class: "field" };
  const conversation = h("input", { ...attributes, name: "conversation", inputmode: "numeric", pattern: "[0-9]{1,18}", autocomplete: "off", title: "The number of a conversation" });
  const type = h("select", { ...attributes, "aria-label": "Kind of profile" }, ...PROFILE_TYPES.map((one) => h("option", { value: one }, typeText(one))));
  const person = h("input", { ...attributes, name: "profile", inputmode: "numeric", pattern: "[0-9]{1,10}", autocomplete: "off", "aria-label": "Number of the profile", placeholder: "Any" });
  const from = h("input", { ...attributes, name: "from", type: "date" });
  const to = h("input", { ...attributes, name: "to", type: "date" });
  const states = STATE_NAMES.map((name) => h("option", { value: name }, stateText(name).label));
  const state = h("select", { ...attributes, name: "state" }, h("option", { value: "" }, "Any"), ...states);
  const verdicts = VERDICT_NAMES.map((name) => h("option", { value: name }, verdictText(name).label));
  const verdict = h("select", { ...attributes, name: "verdict" }, h("option", { value: "" }, "Any"), ...verdicts);
  const clear = h("button", { class: "button button--quiet", type: "button", hidden: true, "data-testid": "clear" }, "Clear");
  const submit = h("button", { class: "button button--primary", type: "submit", "data-testid": "search" }, "Search");
  conversation.placeholder = "Any";
  const element = h(
    "form",
    { class: "recsearch card", role: "search", "aria-label": "Recordings" },
    field("Conversation", conversation),
    h("div", { class: "recsearch__profile", role: "group" }, h("span", { class: "recsearch__label" }, "Profile"), type, person),
    field("State", state),
    field("Verification", verdict),
    field("From", from),
    field("To", to),
    h("div", { class: "recsearch__actions" }, clear, submit),
  );

  /** @returns {Filter} */
  function read() {
    const profile = person.value.trim() && `${type.value}_${person.value.trim()}`;
    const when = { from: from.value, to: to.value };
    return { conversation: conversation.value.trim(), profile, ...when, state: state.value, verdict: verdict.value };
  }

  element.addEventListener("submit", (event) => {
    event.preventDefault();
    onSearch(read());
  });
  for (const select of [state, verdict]) select.addEventListener("change", () => element.requestSubmit());
  clear.addEventListener("click", () => onSearch(EVERYTHING));

  return {
    element,
    /** @param {Filter} filter */
    set(filter) {
      const [kind, id] = filter.profile.split("_");
      conversation.value = filter.conversation;
      if (PROFILE_TYPES.includes(kind)) type.value = kind;
      person.value = id ?? "";
      from.value = filter.from;
      to.value = filter.to;
      state.value = STATE_NAMES.includes(filter.state) ? filter.state : "";
      verdict.value = VERDICT_NAMES.includes(filter.verdict) ? filter.verdict : "";
      clear.hidden = !Object.values(filter).some(Boolean);
    },
  };
}

/** @param {string} label @param {HTMLElement} input */
function field(label, input) {
  return h("label", { class: "recsearch__field" }, h("span", { class: "recsearch__label" }, label), input);
}


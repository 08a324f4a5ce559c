/**
 * The page of one call of the past: how it ended, how good it was, what was written, its recording.
 *
 * @typedef {import("../../client/history.js").CallDetail} CallDetail
 * @typedef {import("../../client/history.js").PastCall} PastCall
 * @typedef {import("../../client/model.js").CallKind} CallKind
 */
import { partsOf } from "../call/links.js";
import { createRating } from "../call/rating.js";
import { avatar } from "../ui/avatar.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { nameOf, typeText } from "../ui/names.js";
import { clockText, routeText, timeText } from "../ui/words.js";

const UNKNOWN = { type: "student", id: 0, name: "Unknown", avatar: "" };

/** @type {[number, string][]} the lower end of each class of mean opinion scores (ITU-T G.107, annex B) */
const QUALITIES = [[4.03, "Very good"], [3.6, "Good"], [3.1, "Poor"], [0, "Bad"]];

/**
 * @param {{onCallBack: (call: PastCall, kind?: CallKind) => void, onCloseCall: () => void}
 *   & Parameters<typeof createRating>[0]} actions
 */
export function createPastCall(actions) {
  const back = h("button", { class: "back", type: "button", "data-testid": "all-calls", onclick: actions.onCloseCall }, icon("arrow"), "All calls");
  const picture = h("div", {});
  const name = h("h2", { class: "pastcall__name", tabindex: -1, "data-testid": "past-name" });
  const when = h("p", { class: "muted" });
  const buttons = h("div", { class: "pastcall__buttons" });
  const facts = h("dl", { class: "pastcall__facts", "data-testid": "past-facts" });
  const recordings = h("p", { class: "pastcall__recordings" });
  const rating = createRating(actions);
  const chat = h("div", { class: "pastcall__chat", "data-testid": "past-chat" });
  const element = h(
    "article",
    { class: "pastcall", hidden: true, "aria-labelledby": "past-name", "data-testid": "past-call" },
    back,
    h("header", { class: "pastcall__head" }, picture, h("div", { class: "pastcall__title" }, name, when), buttons),
    h("section", { class: "card" }, facts, recordings),
    h("section", { class: "card pastcall__rating" }, rating.element),
    h("section", { class: "card" }, h("h3", { class: "card__title" }, "Messages"), chat),
  );
  name.id = "past-name";

  /** @param {PastCall} call @param {CallKind} kind @param {boolean} online */
  function callButton(call, kind, online) {
    const label = kind === "video" ? "Video call" : "Voice call";
    const attributes = { class: "roundbutton", type: "button", title: label, "data-call": kind, disabled: !online };
    const who = nameOf(call.other ?? UNKNOWN);
    const onclick = () => actions.onCallBack(call, kind);
    return h("button", { ...attributes, "aria-label": `${label} with ${who}`, onclick }, icon(kind === "video" ? "camera" : "call"));
  }

  return {
    element,
    /** @param {CallDetail} detail @param {boolean} online */
    show({ call, chat: messages, rating: said, recordings: recorded }, online) {
      const other = call.other ?? UNKNOWN;
      fill(picture, avatar(other, "large"));
      setText(name, nameOf(other));
      setText(when, `${call.other ? `${typeText(other.type)} · ` : ""}${call.incoming ? "Incoming" : "Outgoing"} ${call.kind} call · ${momentText(call.at)}`);
      fill(buttons, ...(call.other && call.scope ? [callButton(call, "voice", online), callButton(call, "video", online)] : []));
      fill(facts, ...factsOf(call).flatMap(([term, text]) => [h("dt", {}, term), h("dd", {}, text)]));
      const links = recorded.map((id, index) => {
        const text = recorded.length > 1 ? `Recording ${recorded.length - index}` : "Recording";
        return h("a", { class: "pastcall__recording", href: `recordings#${id}`, "data-testid": "past-recording" }, icon("film"), text);
      });
      fill(recordings, ...links);
      recordings.hidden = links.length === 0;
      rating.set(null); // what was chosen for another call is sent
      rating.set(call.duration === null ? null : { id: call.id, isBoard: call.isBoard }, said);
      const entries = messages.map(({ own, text, at }) => {
        const line = h("span", { class: "pastcall__line" }, `${own ? "You" : nameOf(other)}, ${timeText(at)}`);
        const parts = partsOf(text).map(({ text: part, url }) =>
          url ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, part) : part,
        );
        return h("li", { class: "pastcall__message", "data-own": String(own) }, h("p", {}, ...parts), line);
      });
      const none = h("p", { class: "muted" }, "No messages of this call were kept.");
      fill(chat, entries.length ? h("ol", {}, ...entries) : none);
      element.hidden = false;
      name.focus({ preventScroll: true });
      if (element.getBoundingClientRect().top < 0) element.scrollIntoView();
    },
    hide() {
      element.hidden = true;
      rating.set(null);
    },
    /** @param {boolean} online */
    setOnline(online) {
      for (const button of buttons.querySelectorAll("button")) button.disabled = !online;
    },
  };
}

/**
 * @param {PastCall} call
 * @returns {[string, string][]} term and text
 */
function factsOf(call) {
  /** @type {[string, string][]} */
  const facts = [["How it ended", endText(call)]];
  if (call.duration !== null) facts.push(["Duration", clockText(call.duration)]);
  if (call.declineMessage) facts.push([call.incoming ? "You said" : "They said", `“${call.declineMessage}”`]);
  const quality = qualityText(call);
  if (quality) facts.push(["Your connection", quality]);
  const scope = call.isBoard ? "Whiteboard" : "Conversation";
  facts.push([scope, call.scope ? String(call.scope.id) : "It does not exist any more"]);
  return facts;
}

/** @param {PastCall} call */
function endText({ incoming, missed, reason, duration, other }) {
  const who = nameOf(other ?? UNKNOWN);
  if (duration !== null) return ANSWERED_ENDS[reason ?? ""] ?? "It is over";
  if (missed && reason === "busy") return "Missed: you were in another call, or did not want to be disturbed";
  if (missed) return "Missed";
  if (reason === "rejected") return incoming ? "You declined it" : `${who} declined it`;
  if (reason === "cancelled") return incoming ? `${who} gave up calling` : "You gave up calling";
  const text = UNANSWERED_ENDS[reason ?? ""];
  return text ? text.replace("WHO", () => who) : "It was not answered";
}

/** @type {Record<string, string>} */
const ANSWERED_ENDS = {
  hangup: "One of you hung up",
  transferred: "It was transferred",
  time_limit: "It had lasted as long as calls may last",
  terminated: "Your platform ended it",
  ice_failed: "The connection could not be made",
  ice_timeout: "The connection broke",
  signaling_lost: "The connection broke",
  worker_lost: "A fault of the service",
  server_shutdown: "The service was restarted",
  expired: "The service was restarted",
};

/** @type {Record<string, string>} `WHO`: the other party */
const UNANSWERED_ENDS = {
  busy: "WHO was busy",
  offline: "WHO could not be reached",
  no_answer: "WHO did not answer",
  unavailable: "The service could not make the call",
  not_supported: "It is recorded, and one of you could not be shown that",
  ice_failed: "The connection could not be made",
};

/** @param {PastCall} call */
function qualityText({ score, route, family, roundTrip }) {
  const quality = score === null ? "" : (QUALITIES.find(([lowest]) => score >= lowest)?.[1] ?? "");
  const way = routeText({ route, family: family === "ipv4" || family === "ipv6" ? family : null }, "your")?.way ?? "";
  const trip = roundTrip === null ? "" : `${Math.round(roundTrip)} ms there and back`;
  return [quality, way, trip].filter(Boolean).join(", ");
}

/** @param {number} at milliseconds since 1970 */
function momentText(at) {
  return new Date(at).toLocaleString([], { weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "numeric", minute: "2-digit" });
}

/**
 * All texts of the page about calls.
 *
 * @typedef {import("../../client/model.js").Outcome} Outcome
 * @typedef {import("../../client/model.js").CallKind} CallKind
 */
import { shortName } from "./names.js";

/**
 * `1:07`, or `1:02:07`.
 *
 * @param {number} seconds
 */
export function clockText(seconds) {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/**
 * `14:05`, as the user's country writes it.
 *
 * @param {number} at milliseconds since 1970
 */
export function timeText(at) {
  return new Date(at).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
}

/**
 * The day and the time, as far as they need saying.
 *
 * @param {number} at milliseconds since 1970
 * @param {number} [now] likewise, by the clock that `at` comes from: that of this device may be wrong
 */
export function dayText(at, now = Date.now()) {
  const [day, today] = [new Date(at), new Date(now)];
  if (day.toDateString() === today.toDateString()) return timeText(at);
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (day.toDateString() === yesterday.toDateString()) return `Yesterday, ${timeText(at)}`;
  const sameYear = day.getFullYear() === today.getFullYear();
  return day.toLocaleDateString([], { day: "numeric", month: "short", year: sameYear ? undefined : "numeric" });
}

/**
 * What a call is doing now.
 *
 * @param {Pick<import("../call/callscreen.js").CallView, "phase" | "kind" | "other" | "otherIsAway" | "moving" | "leg" | "talk">} call
 */
export function statusText(call) {
  switch (call.phase) {
    case "preparing":
      if (call.leg.localStream) return "One moment…";
      return `If your browser asks, allow your ${call.kind === "video" ? "camera and microphone" : "microphone"}.`;
    case "calling":
      return "Calling…";
    case "ringing":
      return "Ringing…";
    case "incoming":
      return incomingText(call.kind);
    case "connecting":
      return "Connecting…";
    case "connected":
      return call.talk.isHeld ? holdText(call) : receptionText(call);
    case "reconnecting":
      if (call.moving) return "Asking your other device…";
      return call.otherIsAway ? `${shortName(call.other.name)} is reconnecting…` : "Reconnecting…";
    case "ended":
      return "Call ended";
  }
}

/**
 * What is missing of what should arrive.
 *
 * @param {Pick<import("../call/callscreen.js").CallView, "kind" | "other" | "leg" | "talk">} call
 */
function receptionText({ kind, other, leg, talk }) {
  const who = shortName(other.name);
  const { muted, cameraOff } = talk.otherMedia;
  const sendsVideo = kind === "video" && !cameraOff;
  if (leg.isSilent && (sendsVideo || !muted)) return sendsVideo ? `No sound or picture from ${who}` : `No sound from ${who}`;
  const isMissing = sendsVideo && (leg.remoteVideo === "stalled" || leg.remoteVideo === "paused");
  return isMissing ? `No picture from ${who}` : "Connected";
}

/**
 * @param {Pick<import("../call/callscreen.js").CallView, "other" | "talk">} call that is on hold
 */
function holdText({ other, talk }) {
  if (!talk.heldBy.you) return `${shortName(other.name)} has put the call on hold`;
  return talk.heldBy.other ? "Both of you have put the call on hold" : "On hold: the other side can’t hear or see you";
}

/** @param {CallKind} kind */
export function incomingText(kind) {
  return `Incoming ${kind} call`;
}

/**
 * How a call ended: a headline, and a sentence where the headline is not enough.
 *
 * @param {Outcome} outcome
 * @param {string} name of the other person
 * @returns {{title: string, detail: string}}
 */
export function outcomeText(outcome, name) {
  const who = shortName(name);
  /** @type {Record<Outcome, [string, string?]>} */
  const texts = {
    completed: ["Call ended"],
    declined: ["Call declined", `${who} can’t talk right now.`],
    busy: [`${who} is busy`, "They are in another call. Try again in a while."],
    offline: [`${who} is offline`, "They can’t be reached at the moment."],
    no_answer: ["No answer", `${who} didn’t pick up.`],
    unavailable: ["Call not possible", `${who} can’t be reached at the moment.`],
    cancelled: ["Call cancelled"],
    dismissed: ["Call declined"],
    missed: ["Missed call", `${who} called you.`],
    answered_elsewhere: ["Answered on another device"],
    declined_elsewhere: ["Declined on another device"],
    moved: ["Call moved", "It goes on on your other device."],
    kept_elsewhere: ["The call stays where it is", "Your other device keeps it."],
    unanswered_elsewhere: ["The call stays where it is", "Your other device did not answer."],
    transferred: ["Call transferred", `${who} is being connected with someone else.`],
    lost: ["Connection lost", "The call ended because the connection broke."],
    failed: ["Couldn’t connect", "The call could not be set up. Please try again."],
    not_supported: ["Call not possible", "Calls are recorded here, and the other side’s app can’t show that."],
    media_unavailable: ["Couldn’t connect", `${who} wanted to answer, but their device couldn’t. Please try again.`],
  };
  const [title, detail = ""] = texts[outcome];
  return { title, detail };
}

/** @type {Record<string, string>} */
const UPDATE_PROBLEMS = {
  unsupported: "The other side’s app can’t do that in mid-call.",
  rejected: "The other side’s browser didn’t take it.",
  update_timeout: "The other side didn’t answer in time. Try again in a moment.",
  offline: "You are not connected right now. Try again in a moment.",
};

/** @param {string} problem why a call could not be changed */
export function updateProblemText(problem) {
  return UPDATE_PROBLEMS[problem] ?? "That didn’t work. Try again in a moment.";
}

/** @type {Record<string, {way: string, because?: string}>} */
const ROUTES = {
  udp: { way: "over UDP" },
  tcp: { way: "over TCP", because: "lets no UDP through" },
  "turn-udp": { way: "through TURN over UDP", because: "lets only some UDP through" },
  "turn-tcp": { way: "through TURN over TCP", because: "lets no UDP through" },
  "turn-tls": { way: "through TURN over TLS", because: "lets nothing else through" },
};

/**
 * The path by which a party is connected to the relay.
 *
 * @param {Pick<import("../../client/quality.js").PathQuality, "route" | "family">} path
 * @param {"your" | "their"} whose
 * @returns {{way: string, reason: string} | null} `over TCP (IPv4)`, and `Your network lets no UDP through.` where there is a
 *   reason; null: unknown, or a path that this page does not know.
 */
export function routeText({ route, family }, whose) {
  const known = ROUTES[route ?? ""];
  if (!known) return null;
  const reason = known.because ? `${whose === "your" ? "Your" : "Their"} network ${known.because}.` : "";
  const addresses = { ipv4: " (IPv4)", ipv6: " (IPv6)" };
  return { way: known.way + (family ? addresses[family] : ""), reason };
}

/**
 * How a call of the past went.
 *
 * @param {import("../../client/history.js").PastCall} call
 */
export function pastCallText({ incoming, missed, kind, reason, duration }) {
  const what = kind === "video" ? "video call" : "voice call";
  if (duration !== null) return `${incoming ? "Incoming" : "Outgoing"} ${what} · ${clockText(duration)}`;
  if (missed) return `Missed ${what}`;
  /** @type {Record<string, string>} */
  const ends = {
    rejected: "declined",
    busy: "busy",
    offline: "offline",
    no_answer: "no answer",
    cancelled: "cancelled",
    media_unavailable: "could not connect",
  };
  const end = ends[reason ?? ""];
  return `${incoming ? "Incoming" : "Outgoing"} ${what}${end ? ` · ${end}` : ""}`;
}

/**
 * Everything that the page says about calls, in one place.
 *
 * @typedef {import("../model.js").Outcome} Outcome
 * @typedef {import("../model.js").CallKind} CallKind
 */

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
 * `Student`, for `student`.
 *
 * @param {string} type
 */
export function typeText(type) {
  return type.charAt(0).toUpperCase() + type.slice(1);
}

/**
 * The name that is short enough to be said in a sentence.
 *
 * @param {string} name
 */
export function shortName(name) {
  return name.trim().split(/\s+/u)[0] || name;
}

/**
 * What a call is doing now.
 *
 * @param {Pick<import("./callscreen.js").CallView,
 *   "phase" | "kind" | "other" | "otherIsAway" | "localStream" | "remoteVideo">} call
 */
export function statusText(call) {
  switch (call.phase) {
    case "preparing":
      if (call.localStream) return "One moment…";
      return call.kind === "video" ? "Allow the camera and microphone to go on" : "Allow the microphone to go on";
    case "calling":
      return "Calling…";
    case "ringing":
      return "Ringing…";
    case "incoming":
      return incomingText(call.kind);
    case "connecting":
      return "Connecting…";
    case "connected":
      return call.remoteVideo === "paused" ? "Video paused" : "Connected";
    case "reconnecting":
      return call.otherIsAway ? `${shortName(call.other.name)} is reconnecting…` : "Reconnecting…";
    case "ended":
      return "Call ended";
  }
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
 * @param {CallKind} kind
 * @returns {{title: string, detail: string}}
 */
export function outcomeText(outcome, name, kind) {
  const who = shortName(name);
  const what = kind === "video" ? "camera and microphone" : "microphone";
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
    lost: ["Connection lost", "The call ended because the connection broke."],
    failed: ["Couldn’t connect", "The call could not be set up. Please try again."],
    media_denied: [`No access to your ${what}`, "Allow it in your browser’s site settings, then call again."],
    media_missing: ["No microphone found", "Connect one, then call again."],
    media_busy: [`Your ${what} can’t be used`, "Another program may be using it. Close that, then call again."],
    media_insecure: ["Calls need a secure page", "Open this page over https, or on this computer as localhost."],
  };
  const [title, detail = ""] = texts[outcome];
  return { title, detail };
}

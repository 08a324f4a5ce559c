/**
 * How a call ended, from the server's reason and the phase that this side had reached. Pure.
 *
 * @typedef {import("../model.js").Outcome} Outcome
 */

/** @type {Record<string, Outcome>} of a call that was never answered, as its caller sees it */
const UNANSWERED = {
  rejected: "declined",
  busy: "busy",
  offline: "offline",
  no_answer: "no_answer",
  cancelled: "cancelled",
  media_unavailable: "media_unavailable",
};

/** @type {Record<string, Outcome>} for either direction */
const BROKEN = {
  not_supported: "not_supported",
  ice_failed: "failed",
  ice_timeout: "lost",
  signaling_lost: "lost",
  worker_lost: "lost",
  server_shutdown: "lost",
  expired: "lost",
};

/**
 * @param {string} reason the server's; one that is not known here is a later addition
 * @param {{isAnswered: boolean, isIncoming: boolean}} call as it was until now
 * @returns {Outcome}
 */
export function outcomeOf(reason, { isAnswered, isIncoming }) {
  if (reason === "answered_elsewhere") return isAnswered ? "moved" : reason;
  if (reason === "transferred") return reason;
  if (isAnswered) return BROKEN[reason] ?? "completed";
  if (!isIncoming) return UNANSWERED[reason] ?? BROKEN[reason] ?? "unavailable";
  return reason === "rejected" ? "declined_elsewhere" : "missed";
}

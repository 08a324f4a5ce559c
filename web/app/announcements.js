/**
 * What is said of calls in passing, in the words of the page.
 *
 * @typedef {import("../client/calls/call.js").Call} Call
 * @typedef {import("../client/calls/calls.js").Notice} Notice
 * @typedef {import("../client/model.js").Outcome} Outcome
 */

/** @type {Partial<Record<Outcome, (call: Call) => string | null>>} ends without a card, unless null; empty: no toast either */
const BRIEF_ENDS = {
  cancelled: () => "",
  dismissed: () => "",
  missed: (call) => `Missed call from ${call.other.name}`,
  answered_elsewhere: () => "Answered on another device",
  declined_elsewhere: () => "Declined on another device",
  moved: () => "The call goes on on your other device",
  kept_elsewhere: () => "Your other device keeps the call",
  unanswered_elsewhere: () => "Your other device did not answer: the call stays there",
  transferred: ({ successor }) => (successor ? `You are being connected with ${successor.other.name}` : null),
};

/** @type {Record<Notice, string>} */
export const NOTICES = {
  not_connected: "You are not connected right now. Try again in a moment.",
  file_offered: "You are offered a file: open the chat to save or decline it.",
  in_call_elsewhere: "You are in a call on another device. Move it here, or end it there first.",
  chat_failed: "A message could not be sent.",
  transfer_declined: "They would rather stay with you: the call was not transferred.",
  transfer_failed: "The call can’t be transferred there now.",
};

/**
 * What is said of a call's end in passing. Null: it has a card instead; empty: nothing.
 *
 * @param {Call} call
 * @returns {string | null}
 */
export function briefEnd(call) {
  return (call.outcome && BRIEF_ENDS[call.outcome]?.(call)) ?? null;
}

/** @param {number} count of calls that came while the user was away */
export function missedText(count) {
  return count === 1 ? "You missed a call" : `You missed ${count} calls`;
}

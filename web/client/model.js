/**
 * The few words that every other module shares. No wire names, no DOM.
 *
 * @typedef {"voice" | "video"} CallKind
 *
 * @typedef {object} ProfileName A profile.
 * @property {string} type `student`, `tutor`, `parent` or `advertiser`.
 * @property {number} id
 *
 * @typedef {ProfileName & {name: string, avatar: string}} Person `avatar` is a URL, or empty.
 *
 * @typedef {object} Scope The scope of a call: a conversation or a whiteboard session.
 * @property {"conversation" | "whiteboard_session"} kind
 * @property {number} id
 *
 * @typedef {object} Contact A person who can be called, and in which scope.
 * @property {Scope} scope
 * @property {Person} other
 *
 * @typedef {object} MediaState What a party says of its own media.
 * @property {boolean} muted
 * @property {boolean} cameraOff
 * @property {boolean} sharing Its screen.
 * @property {boolean} noMicrophone It has none that works: it cannot be heard.
 * @property {boolean} noCamera It would show itself, and has none that works.
 *
 * @typedef {"preparing" | "calling" | "ringing" | "incoming" | "connecting" | "connected" | "reconnecting" | "ended"} Phase
 *   `preparing`: waiting for microphone and camera. `calling`: invited, but no telephone rings yet. `incoming`: ours rings.
 *
 * @typedef {"completed" | "declined" | "busy" | "offline" | "no_answer" | "unavailable" | "cancelled" | "dismissed" | "missed"
 *   | "answered_elsewhere" | "declined_elsewhere" | "moved" | "kept_elsewhere" | "unanswered_elsewhere" | "transferred" | "lost"
 *   | "failed" | "not_supported" | "media_unavailable"} Outcome How a call ended, as this side lived it.
 */

/** The profile types of the platform, in the order in which forms offer them. */
export const PROFILE_TYPES = ["student", "tutor", "parent", "advertiser"];

/**
 * A profile as one string, for storage and comparisons.
 *
 * @param {ProfileName} profile
 */
export function keyOf(profile) {
  return `${profile.type}_${profile.id}`;
}

/**
 * The profile named by `key`, or null when it names none (storage is the user's to edit).
 *
 * @param {string | null} key
 * @returns {ProfileName | null}
 */
export function profileOf(key) {
  const match = /^([a-z]+)_([1-9][0-9]{0,9})$/.exec(key ?? "");
  return match && PROFILE_TYPES.includes(match[1]) ? { type: match[1], id: Number(match[2]) } : null;
}

/**
 * @param {Scope} one
 * @param {Scope} other
 */
export function sameScope(one, other) {
  return one.kind === other.kind && one.id === other.id;
}

/**
 * A unique random id. (`crypto.randomUUID` exists on secure pages only.)
 *
 * @returns {string} 32 hexadecimal digits
 */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Who can be called, as the server lists it. Pure.
 *
 * @typedef {import("./model.js").Contact} Contact
 * @typedef {import("./model.js").ProfileName} ProfileName
 * @typedef {import("./model.js").Scope} Scope
 * @typedef {import("./protocol.js").WireProfile} WireProfile
 *
 * @typedef {{conversation_id: number, members: WireProfile[]}[]} WireConversations
 * @typedef {{whiteboard_session_id: number, members: WireProfile[]}[]} WireWhiteboards
 *
 * @typedef {object} Contacts
 * @property {Contact[]} conversations Each by its other member.
 * @property {Contact[]} whiteboards Those that a whiteboard is shared with.
 */
import { keyOf } from "./model.js";
import { personOf } from "./protocol.js";

/**
 * @param {WireConversations} conversations
 * @param {ProfileName} me
 * @returns {Contact[]}
 */
export function conversationsOf(conversations, me) {
  return conversations.flatMap(({ conversation_id: id, members }) => contactsIn({ kind: "conversation", id }, members, me).slice(0, 1));
}

/**
 * @param {WireWhiteboards} sessions
 * @param {ProfileName} me
 * @returns {Contact[]}
 */
export function whiteboardsOf(sessions, me) {
  return sessions.flatMap(({ whiteboard_session_id: id, members }) => contactsIn({ kind: "whiteboard_session", id }, members, me));
}

/**
 * @param {Scope} scope
 * @param {WireProfile[]} members
 * @param {ProfileName} me
 * @returns {Contact[]}
 */
function contactsIn(scope, members, me) {
  const others = members.map(personOf).filter((member) => keyOf(member) !== keyOf(me));
  return others.map((other) => ({ scope, other }));
}

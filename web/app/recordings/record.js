/**
 * A recording as the relay's API describes it, and as the page of recordings knows it. Pure.
 *
 * @typedef {import("../../client/model.js").Person} Person
 * @typedef {import("../../client/model.js").Scope} Scope
 * @typedef {import("../../client/protocol.js").WireProfile} WireProfile
 *
 * @typedef {object} RecordedFile
 * @property {string} name
 * @property {number} size Bytes.
 *
 * @typedef {object} Job
 * @property {"assemble" | "verify"} kind
 * @property {"queued" | "running"} state
 * @property {number | null} progress From 0 to 1; null: unknown.
 * @property {string} step What it does now; empty: unknown.
 *
 * @typedef {"assemble" | "mp4" | "verify"} Work What can be asked for: `mp4` is to assemble it with one video of both parties.
 *
 * @typedef {object} RecordingFacts
 * @property {string} id
 * @property {string} callId
 * @property {Scope | null} scope Null: it was deleted.
 * @property {Person | null} caller
 * @property {Person | null} callee
 * @property {string} state
 * @property {string | null} endReason
 * @property {number} startedAt Milliseconds since 1970.
 * @property {number | null} duration Seconds.
 * @property {number} packets
 * @property {number} bytes
 * @property {number} dropped Packets that were not written.
 * @property {RecordedFile[]} files
 * @property {string} verdict
 * @property {string} policy
 * @property {boolean} consented
 * @property {boolean} legalHold
 * @property {Job | null} job Work on it that waits or goes on.
 * @property {string} note What went wrong or is missing; empty: nothing.
 * @property {boolean} canDelete
 *
 * @typedef {object} Filter What is searched for; empty texts: anything.
 * @property {string} conversation
 * @property {string} profile `student_456`
 * @property {string} from A day, `2026-11-27`.
 * @property {string} to A day; that day counts too.
 * @property {string} state
 * @property {string} verdict
 */
import { personOf, scopeOf } from "../../client/protocol.js";

/** @type {Filter} */
export const EVERYTHING = { conversation: "", profile: "", from: "", to: "", state: "", verdict: "" };

/**
 * @param {any} wire
 * @returns {RecordingFacts}
 */
export function recordingOf(wire) {
  const scope = wire.conversation_id ?? wire.whiteboard_session_id;
  return {
    id: wire.recording_id,
    callId: wire.call_id,
    scope: typeof scope === "number" ? scopeOf(wire.conversation_id === null ? { ...wire, conversation_id: undefined } : wire) : null,
    caller: wire.caller ? personOf(wire.caller) : null,
    callee: wire.callee ? personOf(wire.callee) : null,
    state: wire.state,
    endReason: wire.end_reason ?? null,
    startedAt: wire.started_at,
    duration: wire.duration_seconds ?? null,
    packets: wire.packets ?? 0,
    bytes: wire.bytes ?? 0,
    dropped: wire.dropped ?? 0,
    files: wire.files ?? [],
    verdict: wire.verdict ?? "none",
    policy: wire.policy ?? "",
    consented: wire.consented ?? false,
    legalHold: wire.legal_hold ?? false,
    job: wire.job ? { progress: null, step: "", ...wire.job } : null,
    note: wire.note ?? "",
    canDelete: wire.can_delete ?? false,
  };
}

/**
 * Whether what is known of it changes without anything that the user does.
 *
 * @param {RecordingFacts} recording
 */
export function isInWork({ state, job }) {
  return job !== null || ["capturing", "captured", "assembling", "deleting"].includes(state);
}

/**
 * What a party is called on this page.
 *
 * @param {RecordingFacts} recording
 * @param {"A" | "B"} party `A` is the caller
 */
export function partyName({ caller, callee }, party) {
  return party === "A" ? (caller?.name ?? "Caller") : (callee?.name ?? "Callee");
}

/**
 * The file that a browser plays of a party.
 *
 * @param {RecordingFacts} recording
 * @param {"A" | "B"} party
 * @returns {string | null} null: there is none
 */
export function playable({ files }, party) {
  return [`${party}.webm`, `${party}.mkv`].find((name) => files.some((file) => file.name === name)) ?? null;
}

/** Milliseconds. */
const DAY = 86_400_000;

/**
 * As the query of the API.
 *
 * @param {Filter} filter
 * @returns {URLSearchParams}
 */
export function queryOf({ conversation, profile, from, to, state, verdict }) {
  const query = new URLSearchParams();
  if (conversation) query.set("conversation_id", conversation);
  if (profile) query.set("profile", profile);
  // Without a `Z`, a date and time is the user's own.
  const [first, last] = [Date.parse(`${from}T00:00`), Date.parse(`${to}T00:00`)];
  if (!Number.isNaN(first)) query.set("from", String(first));
  if (!Number.isNaN(last)) query.set("to", String(last + DAY)); // began before
  if (state) query.set("state", state);
  if (verdict) query.set("verdict", verdict);
  return query;
}

/**
 * From the page's own address, so that a search can be kept as a bookmark or sent.
 *
 * @param {URLSearchParams} query
 * @returns {Filter}
 */
export function filterOf(query) {
  const names = /** @type {(keyof Filter)[]} */ (Object.keys(EVERYTHING));
  return { ...EVERYTHING, ...Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""])) };
}

/**
 * @param {Filter} filter
 * @returns {string} the query of the page's own address: empty, or with its `?`
 */
export function addressOf(filter) {
  const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
  return query.size ? `?${query}` : "";
}

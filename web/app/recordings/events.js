/**
 * What happened in a recorded call, from its sidecar: for the time line and its captions. Pure.
 *
 * @typedef {"call" | "A" | "B"} Lane
 *
 * @typedef {object} Occurrence
 * @property {number} at Seconds from the beginning of the recording.
 * @property {number} length Seconds; 0: a moment.
 * @property {Lane} lane Whom it concerns.
 * @property {string} name As `eventText` of `words.js` knows it.
 *
 * @typedef {{event?: string, time?: number, party?: string, on?: boolean, [more: string]: unknown}} SidecarEvent
 * @typedef {{party?: string, kind?: string, inserted?: [number, number][], [more: string]: unknown}} SidecarTrack
 */

/** Seconds of silence that are worth a mark; what is shorter is not heard. */
const HEARD = 0.2;
/** Seconds between two silences that are shown as one. */
const NEAR = 0.5;
/** Events of the capture that say nothing to a listener. */
const TECHNICAL = ["keyframe_requested", "transport"];

/**
 * @param {any} sidecar
 * @returns {Occurrence[]} in their order
 */
export function occurrencesIn(sidecar) {
  const events = /** @type {SidecarEvent[]} */ (listIn(sidecar?.events));
  const tracks = /** @type {SidecarTrack[]} */ (listIn(sidecar?.tracks));
  const found = [...events.flatMap(fromEvent), ...tracks.flatMap(silencesOf)];
  return found.sort((one, other) => one.at - other.at);
}

/**
 * @param {SidecarEvent} event
 * @returns {Occurrence[]}
 */
function fromEvent({ event, time: at, party, on }) {
  if (typeof event !== "string" || typeof at !== "number" || TECHNICAL.includes(event)) return [];
  const name = typeof on === "boolean" ? `${event}_${on ? "on" : "off"}` : event;
  return [{ at: Math.max(0, at), length: 0, lane: laneOf(party), name }];
}

/**
 * Audio that was not there, and whose place was filled: lost, muted, or not sent.
 *
 * @param {SidecarTrack} track
 * @returns {Occurrence[]}
 */
function silencesOf({ party, kind, inserted }) {
  if (kind !== "audio") return [];
  /** @type {Occurrence[]} */
  const merged = [];
  for (const [at, length] of listIn(inserted)) {
    const last = merged.at(-1);
    if (last && at - (last.at + last.length) < NEAR) last.length = at + length - last.at;
    else merged.push({ at, length, lane: laneOf(party), name: "silence" });
  }
  return merged.filter(({ length }) => length >= HEARD);
}

/**
 * What is the case at a moment, or was just before.
 *
 * @param {Occurrence[]} occurrences
 * @param {number} now seconds
 */
export function currentOccurrences(occurrences, now) {
  return occurrences.filter(({ at, length }) => at <= now && now < at + Math.max(length, LINGER));
}

/** Seconds for which a moment stays in the caption. */
const LINGER = 3;

/** @param {unknown} party @returns {Lane} */
function laneOf(party) {
  return party === "A" || party === "B" ? party : "call";
}

/** @param {any} value @returns {any[]} */
function listIn(value) {
  return Array.isArray(value) ? value : [];
}

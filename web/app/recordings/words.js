/**
 * All texts about recordings, of the call's page and of the page of recordings: what each of the relay's words means. Pure.
 *
 * @typedef {import("../../client/recording.js").RecordingState} RecordingState
 *
 * @typedef {object} SignView What the sign of a call needs to know.
 * @property {RecordingState} state
 * @property {string | null} reason
 * @property {"party" | "service"} by
 * @property {boolean} yours
 */

/** @type {Record<string, string>} why there is no recording; `{who}` is the other party */
const REFUSALS = {
  declined: "{who} does not want this call to be recorded.",
  expired: "{who} did not answer in time.",
  cancelled: "You took the request back.",
  not_supported: "{who}’s app cannot show that a call is recorded.",
  not_allowed: "Calls of this conversation are not recorded.",
  wrong_state: "This call cannot be recorded just now.",
  disk_full: "The server has no room for recordings.",
  write_failed: "The server cannot write recordings at the moment.",
  unavailable: "The server cannot record at the moment.",
};

/** @type {Record<string, string>} the same for the party that was asked */
const OWN_REFUSALS = {
  declined: "You declined.",
  expired: "You did not answer in time.",
  cancelled: "{who} took the request back.",
};

/** @type {Record<string, string>} why a recording ended, during a call */
const STOPS = {
  stopped: "",
  call_ended: "",
  consent_withdrawn: "Consent was withdrawn.",
  disk_full: "The server has no more room. What came before is kept.",
  write_failed: "The server could not write it. What came before is kept.",
  too_long: "It has reached the longest time that a recording may have.",
  worker_lost: "A part of the server failed. What came before is kept.",
  server_lost: "The server failed. What came before is kept.",
};

/** @type {Record<string, string>} why nothing is written for the moment */
const PAUSES = {
  hold: "While the call is on hold, nothing is recorded.",
  consent: "Another device has joined, and has not agreed yet.",
};

/**
 * What the sign says: its words, and a sentence where they are not enough.
 *
 * @param {SignView} recording
 * @param {string} who the other party's short name
 * @returns {{words: string, detail: string}}
 */
export function signText({ state, reason, by, yours }, who) {
  const starter = by === "service" ? "by the service" : yours ? "you started it" : `${who} started it`;
  const because = (/** @type {Record<string, string>} */ texts, /** @type {string} */ otherwise) =>
    (texts[reason ?? ""] ?? otherwise).replaceAll("{who}", who);
  const refused = "The server refused the recording.";
  switch (state) {
    case "announced":
      return { words: "This call will be recorded", detail: by === "service" ? starter : "" };
    case "asked":
      return { words: `Waiting for ${who}’s consent`, detail: "to record this call" };
    case "recording":
      return { words: "Recording", detail: starter };
    case "paused":
      return { words: "Recording paused", detail: because(PAUSES, "") };
    case "stopped":
      return { words: "Recording stopped", detail: because(STOPS, "The server ended it.") };
    case "declined":
      return { words: "Not recorded", detail: because(yours ? REFUSALS : { ...REFUSALS, ...OWN_REFUSALS }, refused) };
    case "idle":
      return { words: "", detail: "" };
  }
}

/**
 * What a party is asked, and what it agrees to: this text is what its consent is kept with.
 *
 * @param {string} who the other party's short name
 * @param {boolean} goesOn whether the call is recorded already, and waits for this device
 * @returns {{title: string, consequence: string, right: string}}
 */
export function consentText(who, goesOn) {
  return {
    title: goesOn ? "This call is being recorded" : `${who} asks to record this call`,
    consequence: goesOn
      ? "Nothing is recorded until you answer. If you decline, the recording ends, and the call goes on."
      : "If you allow it, the audio and video of both of you are recorded and kept. If you decline, the call goes on as it is.",
    right: "You can withdraw your consent at any time during the call.",
  };
}

/** @type {Record<string, [label: string, detail: string]>} a recording's state on the page of recordings */
const STATES = {
  capturing: ["Recording", "The call goes on. It can be played once the call is over."],
  captured: ["Captured", "Complete on disk, and waiting to be assembled."],
  assembling: ["Assembling", "The captured packets are being made into files that can be played."],
  ready: ["Ready", ""],
  failed: ["Failed", "The captured packets are kept, but no files could be made from them."],
  deleting: ["Being deleted", ""],
};

/** The states that can be searched for, in their order. */
export const STATE_NAMES = Object.keys(STATES);

/** @param {string} state */
export function stateText(state) {
  const [label, detail] = STATES[state] ?? [sentence(state), ""];
  return { label, detail };
}

/** @type {Record<string, [label: string, detail: string]>} */
const VERDICTS = {
  none: ["Not verified", "Whether audio and video are whole has not been checked yet."],
  passed: ["Verified", "Within all limits of the verification."],
  failed: ["Verification failed", "Beyond a limit of the verification."],
  unreadable: ["Unreadable", "The verification could not read this recording."],
};

/** @param {string} verdict */
export function verdictText(verdict) {
  const [label, detail] = VERDICTS[verdict] ?? [sentence(verdict), ""];
  return { label, detail };
}

/** The verdicts that can be searched for, in their order. */
export const VERDICT_NAMES = Object.keys(VERDICTS);

/** @param {string} kind of work on a recording */
export function workText(kind) {
  return { assemble: "Assembling", verify: "Verifying" }[kind] ?? "";
}

/** @type {Record<string, string>} why a recording ended, afterwards */
const ENDS = {
  stopped: "Stopped by a party",
  call_ended: "Ended with the call",
  consent_withdrawn: "Ended because consent was withdrawn",
  disk_full: "Ended early: the disk was full",
  write_failed: "Ended early: the file could not be written",
  too_long: "Ended at the longest time that is allowed",
  worker_lost: "Ended early: a worker process failed",
  server_lost: "Ended early: the server failed",
};

/** @param {string | null} reason */
export function endText(reason) {
  return reason === null ? "" : (ENDS[reason] ?? `Ended: ${sentence(reason).toLowerCase()}`);
}

/** Reasons for which the end of the call is missing in the recording. */
const EARLY = ["disk_full", "write_failed", "worker_lost", "server_lost"];

/** @param {string | null} reason */
export function endedEarly(reason) {
  return EARLY.includes(reason ?? "");
}

/** @type {Record<string, string>} a sentence for each refusal of the API */
const PROBLEMS = {
  busy: "This is being worked on already. Wait until it is done.",
  legal_hold: "It is under legal hold, and cannot be deleted.",
  not_found: "There is no such recording, or it is not yours to see.",
  too_many_requests: "Too much at once. Wait a moment, then try again.",
  unavailable: "The server cannot do this at the moment. Try again soon.",
  unauthorized: "You are not signed in any more.",
};

/**
 * @param {string} code of the API's error
 * @param {string} [message] the server's own words
 */
export function problemText(code, message = "") {
  return PROBLEMS[code] ?? (message ? `The server refused: ${message}` : "The server can’t be reached. Try again in a moment.");
}

/** @type {Record<string, string>} what happened in a call; `{party}` is the party that it concerns */
const EVENTS = {
  started: "Recording started",
  ended: "Recording ended",
  hold_on: "On hold",
  hold_off: "Hold ended",
  paused_on: "Recording paused",
  paused_off: "Recording goes on",
  mute_on: "{party} muted",
  mute_off: "{party} unmuted",
  camera_off_on: "{party}’s camera off",
  camera_off_off: "{party}’s camera on",
  dropped: "Packets were not written: the disk was too slow",
  failed: "Packets are missing: the recording failed",
  transport: "{party} connected",
  loss: "Packets of {party} lost",
  silence: "No audio of {party}",
  freeze: "{party}’s video stands still",
};

/**
 * @param {string} name
 * @param {string} party the name of the party that it concerns; empty: the call
 */
export function eventText(name, party) {
  return (EVENTS[name] ?? sentence(name)).replaceAll("{party}", party || "A party");
}

/**
 * `Worker lost`, for `worker_lost`: a word that came after this page.
 *
 * @param {string} word
 */
function sentence(word) {
  const spaced = word.replaceAll("_", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/**
 * `3.4 MB`.
 *
 * @param {number} bytes
 */
export function sizeText(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** @type {Record<string, string>} */
const FILES = {
  "A.webm": "Caller",
  "A.mkv": "Caller",
  "B.webm": "Callee",
  "B.mkv": "Callee",
  "call.mkv": "Whole call, all tracks",
  "call.mp4": "Whole call, side by side",
  "sidecar.json": "Facts and times of each track",
  "report.json": "Report, for programs",
  "report.html": "Report",
};

/** @param {string} name of a file of a recording */
export function fileText(name) {
  return FILES[name] ?? (name.endsWith(".pcapng") ? "Captured packets" : "");
}

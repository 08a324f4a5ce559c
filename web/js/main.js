/**
 * Joins the parts: what the user does goes to the calls, what the calls do goes to the screen.
 *
 * @typedef {import("./call.js").Call} Call
 * @typedef {import("./calls.js").Notice} Notice
 * @typedef {import("./model.js").Outcome} Outcome
 * @typedef {import("./model.js").ProfileName} ProfileName
 * @typedef {import("./session.js").Session} Session
 */
import { ApiError } from "./api.js";
import { MediaUnavailable } from "./media.js";
import { close, remember, remembered, signIn } from "./session.js";
import { Sounds } from "./sounds.js";
import { createShell } from "./ui/shell.js";
import { outcomeText, shortName } from "./ui/words.js";

/** @type {Session | null} */
let session = null;
/** @type {Call | null} the call that is over, and whose card is still on the screen */
let finished = null;
/** Aborted when the user signs out: nothing of the old session reaches the screen after that. */
let listening = new AbortController();

const sounds = new Sounds();
const root = /** @type {HTMLElement} */ (document.getElementById("app"));
const shell = createShell(root, {
  onChoose: (profile) => void enter(profile),
  onSignOut: () => leave(),
  onReload: () => void loadConversations(),
  onCall: ({ id, other }, kind) => session?.calls.start(id, other, kind),
  onAccept: () => void session?.calls.current?.accept(),
  onDecline: () => session?.calls.current?.end(),
  onEnd: () => session?.calls.current?.end(),
  onMute: () => session?.calls.current?.toggleMute(),
  onCamera: () => void toggleCamera(),
  onAgain: () => callAgain(),
  onClose: () => {
    finished = null;
    render();
  },
});

/** @type {Partial<Record<Outcome, (call: Call) => string>>} ends that need no card; an empty text needs no word at all */
const BRIEF_ENDS = {
  cancelled: () => "",
  dismissed: () => "",
  missed: (call) => `Missed call from ${call.other.name}`,
  answered_elsewhere: () => "Answered on another device",
  declined_elsewhere: () => "Declined on another device",
};

/** @type {Record<Notice, string>} */
const NOTICES = {
  left_over_call_ended: "Your call ended because this page was reloaded.",
  not_connected: "You are not connected right now. Try again in a moment.",
};

/** @param {ProfileName} profile */
async function enter(profile) {
  shell.signIn.setProblem("");
  shell.signIn.setBusy(profile);
  try {
    const opened = await signIn(document.baseURI, profile);
    remember(profile);
    start(opened);
  } catch (error) {
    remember(null);
    shell.showBase("signIn");
    shell.signIn.setProblem(signInProblem(error));
  } finally {
    shell.signIn.setBusy(null);
  }
}

/** @param {Session} opened */
function start(opened) {
  session = opened;
  listening = new AbortController();
  const { connection, calls, person } = opened;
  const options = { signal: listening.signal };
  connection.addEventListener("state", connectionChanged, options);
  connection.addEventListener("refused", () => leave("Your sign-in has expired. Please sign in again."), options);
  calls.addEventListener("change", render, options);
  calls.addEventListener("ended", (event) => ended(detailOf(event)), options);
  calls.addEventListener("notice", (event) => shell.toast(NOTICES[/** @type {Notice} */ (detailOf(event))]), options);
  calls.addEventListener("refusal", (event) => shell.toast(`The server refused: ${detailOf(event)}`, "problem"), options);
  shell.home.setUser(person);
  shell.home.setOnline(false);
  shell.home.setLoading();
  shell.showBase("home");
  connection.open();
  void loadConversations();
}

/** @param {string} [problem] why, if it was not the user who wanted it */
function leave(problem = "") {
  listening.abort();
  if (session) close(session);
  session = finished = null;
  remember(null);
  sounds.silence();
  render();
  shell.connection.show("closed");
  shell.signIn.setProblem(problem);
  shell.showBase("signIn");
}

async function loadConversations() {
  const asker = session;
  if (!asker) return;
  try {
    const conversations = await asker.api.conversations();
    if (session === asker) shell.home.setConversations(conversations);
  } catch {
    if (session === asker) shell.home.setProblem();
  }
}

function connectionChanged() {
  if (!session) return;
  const { state } = session.connection;
  shell.connection.show(state);
  shell.home.setOnline(state === "online");
}

/** Put on the screen what is the case. */
function render() {
  const call = session?.calls.current ?? null;
  if (call) finished = null;
  const ringing = call?.phase === "incoming";
  shell.showCalls(ringing ? call : null, ringing ? null : (call ?? finished));
  if (ringing) sounds.ring();
  else if (call?.phase === "ringing") sounds.ringback();
  else if (call) sounds.silence();
  if (call) warnWithoutCamera(call);
}

/** @param {Call} call */
function ended(call) {
  const brief = call.outcome && BRIEF_ENDS[call.outcome];
  if (brief) {
    const text = brief(call);
    if (text) shell.toast(text);
    sounds.silence();
  } else {
    finished = call;
    sounds.farewell();
  }
}

function callAgain() {
  const call = finished;
  if (call) session?.calls.start(call.conversationId, call.other, call.kind);
}

async function toggleCamera() {
  const call = session?.calls.current;
  try {
    await call?.toggleCamera();
  } catch (error) {
    if (!(error instanceof MediaUnavailable) || !call) throw error;
    shell.toast(outcomeText(`media_${error.problem}`, call.other.name, "video").title, "problem");
  }
}

/** @type {WeakSet<Call>} */
const warned = new WeakSet();

/** @param {Call} call */
function warnWithoutCamera(call) {
  if (call.kind !== "video" || !call.localStream || call.hasCamera || warned.has(call)) return;
  warned.add(call);
  shell.toast(`No camera can be used here: ${shortName(call.other.name)} will hear you, but not see you.`);
}

/** @param {unknown} error */
function signInProblem(error) {
  if (!(error instanceof ApiError)) return "The server can’t be reached. Check your connection and try again.";
  if (error.status !== 404) return `The server refused: ${error.message}`;
  return "This relay is not in development mode, so signing in is up to your platform. Please sign in there.";
}

/** @param {Event} event */
function detailOf(event) {
  return /** @type {CustomEvent} */ (event).detail;
}

// A page that goes away says good-bye, so that the other party does not wait for a reconnection that never comes.
addEventListener("pagehide", () => session?.calls.leave());
addEventListener("online", () => session?.connection.retryNow());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) session?.connection.retryNow();
});

/**
 * The page's only global, for diagnosis: `relayCall.peerConnection.getStats()` in the browser's console, or in a test, tells
 * what the screen cannot (packets, codecs, round-trip times). It can be read and nothing else.
 */
Object.defineProperty(window, "relayCall", {
  value: Object.freeze({
    /** @returns {RTCPeerConnection | null} of the call that goes on */
    get peerConnection() {
      return session?.calls.current?.peerConnection ?? null;
    },
    /** @returns {string} `signed_out`, `idle`, or the phase of the call */
    get state() {
      return session ? (session.calls.current?.phase ?? "idle") : "signed_out";
    },
  }),
});

const lastUser = remembered();
if (lastUser) void enter(lastUser);
else shell.showBase("signIn");

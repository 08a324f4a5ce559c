/**
 * Joins the parts: what the user does goes to the calls, what the calls do goes to the screen.
 *
 * @typedef {import("../client/calls/call.js").Call} Call
 * @typedef {import("../client/calls/calls.js").Notice} Notice
 * @typedef {import("../client/model.js").ProfileName} ProfileName
 * @typedef {import("../client/protocol.js").MissedCall} MissedCall
 * @typedef {import("../client/session.js").Session} Session
 */
import { Api, ApiError } from "../client/api.js";
import { Credentials } from "../client/credentials.js";
import { NOTICES, briefEnd, missedText } from "./announcements.js";
import { publishDiagnosis } from "./diagnosis.js";
import { Entrance } from "./entrance/entrance.js";
import { ContactBook } from "./home/contactbook.js";
import { credentialText } from "./entrance/gate.js";
import { createShell } from "./shell.js";
import { nameIn } from "../client/protocol.js";

/** Milliseconds after a link has led to a call in which the server mentions it, if it still rings. */
const RINGING_WINDOW = 4_000;

const base = new URL("./", document.baseURI).href;
const credentials = new Credentials(base);
/** @type {Session | null} */
let session = null;
/** @type {Promise<typeof import("./calling.js")> | null} */
let loading = null;
/** @type {typeof import("./calling.js") | null} */
let calling = null;
/** @type {import("./ringing/ringer.js").Ringer | null} */
let sounds = null;
/** @type {import("./devices/desk.js").DeviceDesk | null} */
let desk = null;
/** @type {ContactBook | null} */
let contacts = null;
/** @type {import("./lobby.js").Lobby | null} */
let lobby = null;
/** @type {Call | null} the call that is over, and whose card is still on the screen */
let finished = null;
/** Aborted when the user signs out: nothing of the old session reaches the screen after that. */
let listening = new AbortController();

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
const shell = createShell(root, {
  onChoose: (profile) => void choose(profile),
  onSignOut: () => void signOut(),
  onReload: () => void contacts?.load(),
  onTab: (name) => void lobby?.visit(name),
  onFilter: (missed) => void lobby?.filterCalls(missed),
  onSearchCalls: (name) => void lobby?.searchCalls(name),
  onOpenCall: (call) => void lobby?.openCall(call),
  onRate: async (call, rating) => (await lobby?.rate(call, rating)) ?? false,
  onOlder: () => void lobby?.showOlder(),
  onPreferences: (preferences) => void lobby?.savePreferences(preferences),
  onBlock: (person, blocked) => void lobby?.block(person, blocked),
  onPush: (on) => void lobby?.setPush(on),
  onCall: (contact, kind) => session?.calls.start(contact, kind),
  onDismissOffer: () => shell.home.setOffer(null),
  onCallBack: ({ scope, other, kind }, wanted = kind) => scope && other && session?.calls.start({ scope, other }, wanted),
  onTakeOver: () => session?.calls.takeOver(),
  onAccept: (kind) => void calling?.answer(current(), kind, change),
  onDecline: (message) => current()?.decline(message),
  onEnd: () => current()?.end(),
  onMute: () => (current()?.leg.problems.microphone ? restore("microphone") : current()?.leg.toggleMute()),
  onRestore: (input) => restore(input),
  onFlip: () => void change((call) => call.leg.media.flipCamera()),
  canFlip: () => desk?.canFlip ?? false,
  onDevices: (/** @type {"background" | undefined} */ part = undefined) => void openDevices(part),
  onBackground: (background) => desk?.setBackground(background),
  onUse: (parts) => void desk?.use(parts),
  onTalk: (talking) => {
    if (current()?.leg.muted === talking) current()?.leg.toggleMute();
  },
  onCamera: () => void change((call) => call.toggleCamera(), "camera"),
  onPauseVideo: () => current()?.care.pauseVideo(),
  onSendVideo: () => current()?.care.sendVideo(),
  onDeclineOffer: () => current()?.care.declineOffer(),
  onShare: () => void change((call) => call.leg.toggleSharing()),
  onHold: () => current()?.talk.hold(!current()?.talk.heldBy.you),
  onWrite: (text) => current()?.talk.write(text),
  onWriteAgain: (id) => current()?.talk.writeAgain(id),
  onReadChat: () => {
    current()?.talk.readChat();
    current()?.leg.files.read();
  },
  onAudioMode: (mode) => void change((call) => call.leg.setAudioMode(mode, call.kind)),
  onSendFiles: (files) => void change((call) => call.leg.sendFiles(files, call.kind)),
  onAcceptFile: (key) => current()?.leg.files.accept(key),
  onDeclineFile: (key) => current()?.leg.files.decline(key),
  onCancelFile: (key) => current()?.leg.files.cancel(key),
  onTransfer: () => {
    const call = current();
    if (!call || !contacts) return;
    shell.calls?.transferChooser.open(call.other, contacts.people);
    call.talk.askForTargets();
  },
  onTransferTo: (person) => current()?.talk.transferTo(person),
  onTransferAnswer: (accepted) => current()?.talk.answerTransfer(accepted),
  onMoveAnswer: (accepted) => current()?.talk.answerMove(accepted),
  onRecord: () => record(),
  onStopRecording: () => current()?.talk.recording.stop(),
  onConsent: (accepted, shown) => void current()?.talk.recording.answer(accepted, shown),
  onAgain: () => callAgain(),
  onClose: () => {
    finished = null;
    render();
  },
});

const entrance = new Entrance({
  base,
  credentials,
  enter: (state) => void enter(state),
  leave,
  showGate: (view) => {
    shell.gate.show(view);
    shell.showBase("gate");
  },
  showChooser: (problem) => void showChooser(problem),
  warn: (problem) => shell.toast(credentialText(problem), "problem"),
  intend: (intent) => void intend(intent),
});
credentials.addEventListener("expiring", () => shell.renewal.show(entrance.link));
credentials.addEventListener("renewed", () => shell.renewal.hide());

function current() {
  return session?.calls.current ?? null;
}

/** @param {import("./entrance/entrance.js").GateProblem} problem */
async function showChooser(problem) {
  try {
    const { createSignIn } = await import("./entrance/signin.js");
    shell.addSignIn(createSignIn).setProblem(problem ? credentialText(problem) : "");
    shell.showBase("signIn");
  } catch (error) {
    notLoaded(error);
  }
}

/** @param {unknown} error for which a part of the page did not come: without a network, or from a server that has another version now */
function notLoaded(error) {
  console.info("the page could not be loaded:", error);
  // Browsers do not ask again for a module that has failed: only the next load of the page does.
  shell.gate.show({ problem: "unreachable", link: "", question: null, onRetry: () => location.reload() });
  shell.showBase("gate");
}

/** @param {ProfileName} profile of development mode */
async function choose(profile) {
  shell.signIn?.setProblem("");
  shell.signIn?.setBusy(profile);
  try {
    await entrance.choose(profile);
  } catch (error) {
    const refused = error instanceof ApiError ? `The server refused: ${error.message}` : "";
    shell.signIn?.setProblem(refused || "The server can’t be reached. Check your connection and try again.");
  } finally {
    shell.signIn?.setBusy(null);
  }
}

/** @param {import("../client/credentials.js").SessionState} state */
async function enter({ iceServers, development, contacts: known }) {
  const { person } = credentials;
  if (!person) return;
  listening = new AbortController();
  const { signal } = listening;
  const api = new Api(base, credentials);
  const entered = (contacts = new ContactBook(api, shell.home.people));
  shell.home.setUser(person, development ? "Switch user" : "Sign out");
  shell.home.setOnline(false);
  shell.home.setElsewhere(null);
  shell.home.tabs.show("people");
  shell.showBase("home");
  shell.connection.show("connecting");
  const loaded = known ? entered.take(known) : entered.load();
  try {
    const { openSession, close, Lobby, createRecents, createSettings } = await loadCalling();
    if (signal.aborted) return;
    const rest = shell.home.addRest({ createRecents, createSettings });
    lobby = new Lobby(api, base, shell.home, rest, shell.toast, () => session?.clock.now() ?? Date.now());
    void lobby.load();
    void lobby.visit(shell.home.tabs.current);
    const opened = await openSession(api, credentials, iceServers);
    if (signal.aborted) return close(opened);
    listen(opened, signal);
  } catch (error) {
    return notLoaded(error);
  }
  await loaded;
  const intent = signal.aborted ? null : entrance.takeIntent();
  if (intent) await intend(intent);
}

/** @param {"background"} [part] that the dialog is opened for */
async function openDevices(part) {
  // The first screen has the button before there is the dialog; where it does not come, `enter` says so.
  const loaded = await loadCalling().catch(() => null);
  if (loaded) await desk?.open(part);
}

/** What it takes to call, once it has come. */
function loadCalling() {
  loading ??= (async () => {
    const styled = shell.loadStyles();
    const parts = await import("./calling.js");
    await shell.addCalls(parts, styled);
    sounds = new parts.Ringer(base);
    desk = new parts.DeviceDesk({
      current,
      toast: shell.toast,
      offer: (devices) => shell.calls?.callScreen.offerDevice(devices),
      playOn: (speaker) => shell.calls?.callScreen.hearOn(speaker),
    });
    root.append(desk.panel.element);
    return (calling = parts);
  })();
  return loading;
}

/** @param {Session} opened @param {AbortSignal} signal */
function listen(opened, signal) {
  session = opened;
  const { connection, calls } = opened;
  const options = { signal };
  connection.addEventListener("state", connectionChanged, options);
  connection.addEventListener("slowed", () => shell.toast("Too much at once: waiting a little."), options);
  connection.addEventListener("refused", () => entrance.lost(), options);
  calls.addEventListener("change", render, options);
  calls.addEventListener("ended", (event) => ended(detailOf(event)), options);
  calls.addEventListener("lost", (event) => desk?.lost(detailOf(event)), options);
  calls.addEventListener("notice", (event) => notice(detailOf(event)), options);
  calls.addEventListener("refusal", (event) => shell.toast(`The server refused: ${detailOf(event)}`, "problem"), options);
  calls.addEventListener("missed", (event) => missed(detailOf(event)), options);
  calls.addEventListener("unseen", (event) => void missedBefore(detailOf(event)), options);
  calls.comeBack();
  connection.open();
}

/** The session is over, or another one begins. */
function leave() {
  listening.abort();
  if (session) calling?.close(session);
  contacts?.close();
  lobby?.close();
  shell.home.rest?.recents.close();
  shell.home.setUnseen(0);
  shell.home.setDoNotDisturb(false);
  session = contacts = lobby = finished = null;
  sounds?.silence();
  render();
  shell.home.setOffer(null);
  shell.renewal.hide();
  shell.connection.show("closed");
}

async function signOut() {
  // A browser that others use as well must not go on to announce the calls of this profile.
  if (!entrance.isDevelopment) await lobby?.forgetPush();
  await entrance.signOut();
}

/**
 * Do what a link wanted: one more click calls, and a call that rings is shown by itself.
 *
 * @param {import("./entrance/address.js").Intent} intent
 */
async function intend(intent) {
  const entered = contacts;
  if (intent.action === "call") {
    const contact = entered?.contactIn(intent.scope);
    if (!contact) return shell.toast("The link leads to a conversation that is not among yours.", "problem");
    return shell.home.setOffer({ contact, kind: intent.kind });
  }
  await new Promise((resolve) => setTimeout(resolve, RINGING_WINDOW));
  if (entered === null || contacts !== entered || session?.calls.hasSeen(intent.callId)) return;
  shell.toast("The call that the link leads to does not ring any more.");
}

function connectionChanged() {
  if (!session) return;
  const { state } = session.connection;
  shell.connection.show(state);
  shell.home.setOnline(state === "online");
}

/** @param {Notice} what */
function notice(what) {
  if (what === "file_offered" && shell.calls?.callScreen.chatIsOpen()) return; // it is on the screen
  shell.toast(NOTICES[what]);
}

/** Put on the screen what is the case. */
function render() {
  const call = current();
  if (call) finished = null;
  const elsewhere = session?.calls.elsewhere;
  const lost = elsewhere?.type === "call_state";
  const canMove = elsewhere?.type === "call_elsewhere" ? elsewhere.can_move : lost;
  shell.home.setElsewhere(elsewhere ? { name: nameIn(elsewhere.from_name), lost, canMove } : null);
  const ringing = call?.phase === "incoming";
  shell.showCalls(ringing ? call : null, ringing ? null : (call ?? finished));
  if (call) shell.home.setOffer(null);
  if (ringing) sounds?.ring(call);
  else if (call?.phase === "ringing") sounds?.ringback();
  else if (call) sounds?.silence();
  desk?.callChanged(call);
}

/** @param {Call} call */
function ended(call) {
  shell.home.refreshDeviceCheck();
  void lobby?.callsChanged();
  const text = briefEnd(call);
  if (text === null) {
    finished = call;
    sounds?.farewell();
  } else {
    if (text) shell.toast(text);
    sounds?.silence();
  }
}

/** The entry of the call's menu: asks for a recording, or ends the one that there is. */
function record() {
  const recording = current()?.talk.recording;
  if (recording?.canStop) recording.stop();
  else recording?.start();
}

function callAgain() {
  if (finished) session?.calls.start(finished, finished.kind);
}

/** @param {MissedCall} call that came while we were busy, did not answer, or did not want to be disturbed */
function missed(call) {
  void lobby?.callsChanged();
  if (call.reason === "busy" && !lobby?.doNotDisturb) shell.toast(`${nameIn(call.from_name)} tried to call you`);
}

/** @param {number} count of calls that came while we were away */
async function missedBefore(count) {
  lobby?.setUnseen(count);
  await lobby?.loaded; // whether the user wants to be left alone
  if (!lobby || current() || lobby.doNotDisturb) return; // the number at the tab says it, and covers no call
  shell.toast(missedText(count));
}

/**
 * Change what we send. Where that fails, the user hears why.
 *
 * @param {(call: Call) => Promise<void>} step
 * @param {string} [shown] the device whose problem a video call shows by itself
 */
async function change(step, shown) {
  const call = current();
  if (!call) return;
  try {
    await step(call);
  } catch (error) {
    if (call.isOver) return;
    if (calling && error instanceof calling.UpdateFailed) shell.toast(calling.updateProblemText(error.problem), "problem");
    else if (!calling || !(error instanceof calling.MediaUnavailable)) throw error;
    else if (error.device !== shown || call.kind === "voice") {
      const { title, help } = calling.problemText(error.device, error.problem);
      shell.toast(`${title}. ${help}`, "problem");
    }
  }
}

/** @param {import("../client/media/media.js").InputKind} input that could not be had before */
function restore(input) {
  void change((call) => call.leg.restore(input));
}

/** @param {Event} event */
function detailOf(event) {
  return /** @type {CustomEvent} */ (event).detail;
}

// The server notices at once that a page is gone. Whether it was closed or is being reloaded, it finds out by waiting.
addEventListener("pagehide", () => session?.calls.leave());
// A page that a browser had kept, to show it again by "Back", has lost its connections.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
addEventListener("online", networkChanged);
/** @type {any} not in every browser */ (navigator).connection?.addEventListener("change", networkChanged);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) session?.connection.retryNow();
});

function networkChanged() {
  session?.connection.retryNow();
  current()?.leg.networkChanged();
}

publishDiagnosis({ call: current, session: () => session });

void entrance.begin();

/**
 * The call itself: from "Calling…" to the card that says how it ended.
 *
 * @typedef {import("../../client/model.js").Person} Person
 *
 * @typedef {object} LegView Our leg of the call.
 * @property {MediaStream | null} localStream
 * @property {MediaStream} remoteStream
 * @property {MediaStream} remoteScreen
 * @property {import("../../client/media/reception.js").Picture} remoteVideo
 * @property {number} remoteLevel loudness from 0 to 1
 * @property {boolean} muted
 * @property {boolean} cameraOn
 * @property {boolean} hasCamera
 * @property {import("../../client/media/media.js").InputProblems} problems
 * @property {import("../../client/media/background.js").FilterState | null} backgroundState
 * @property {boolean} sharing
 * @property {boolean} isAgreed
 * @property {import("../../client/media/audiomode.js").AudioMode} audioMode
 * @property {boolean} isConnected
 * @property {boolean} isSilent the line works, and no media comes
 * @property {boolean} videoPaused our video is not sent, although the camera is on
 * @property {{entries: import("../../client/files/exchange.js").FileEntry[], unread: number}} files
 *
 * @typedef {Pick<import("../../client/calls/callcare.js").CallCare, "speaksMuted" | "isPoor" | "otherIsPoor" | "video">} CareView
 *
 * @typedef {object} TalkView The state that the two parties exchange.
 * @property {{entries: import("../../client/calls/chat.js").ChatEntry[], unread: number}} chat
 * @property {import("../../client/model.js").MediaState} otherMedia
 * @property {{you: boolean, other: boolean}} heldBy
 * @property {boolean} isHeld
 * @property {import("../../client/quality.js").CallQualities} qualities
 * @property {{target: Person} | null} transferRequest
 * @property {Person | null} transferringTo
 * @property {import("../../client/calls/talk.js").TransferTarget[] | "unknown" | null} transferTargets
 * @property {{id: string, lasts: number} | null} moveRequest
 * @property {boolean | null} chatKept
 * @property {import("./recording.js").RecordingView} recording
 *
 * @typedef {object} CallView What this screen needs to know of a call; it only reads.
 * @property {import("../../client/model.js").CallKind} kind
 * @property {import("../../client/model.js").Phase} phase
 * @property {import("../../client/model.js").Outcome | null} outcome
 * @property {string | null} id the server's name for it
 * @property {import("../../client/model.js").Scope} scope
 * @property {Person} other
 * @property {boolean} otherIsAway
 * @property {boolean} moving another device of ours is in the call, and is being asked for it
 * @property {boolean} isOver
 * @property {boolean} isAnswered
 * @property {number | null} elapsed seconds since the answer
 * @property {number | null} duration seconds, of a call that is over
 * @property {string | null} declineMessage
 * @property {LegView} leg
 * @property {TalkView} talk
 * @property {CareView} care
 */
import { avatar, toneOf } from "../ui/avatar.js";
import { createBadges } from "../home/badges.js";
import { createChatPanel } from "./chatpanel.js";
import { createControls } from "./controls.js";
import { createDeviceAlerts } from "../devices/alerts.js";
import { fill, h, setText } from "../ui/dom.js";
import { createEndedCard } from "./endedcard.js";
import { createKeyboard } from "./keyboard.js";
import { createLeaveGuard } from "./leaveguard.js";
import { createLineNotice } from "./linenotice.js";
import { createLocalVideo, createRemoteVideo } from "./videos.js";
import { createMutedSign } from "./mutedsign.js";
import { createQualityMeter } from "./qualitymeter.js";
import { createConsentDialog, createRecordingSign } from "./recording.js";
import { createMoveRequest } from "./move.js";
import { createTransferRequest } from "./transfer.js";
import { createView } from "./view.js";
import { createWakeLock } from "./wakelock.js";
import { clockText, statusText } from "../ui/words.js";
import { createZoom } from "./zoom.js";

/** Milliseconds between two looks at clock and loudness. */
const TICK = 120;
/** Milliseconds without a movement until a video is left alone on the screen. */
const IDLE_AFTER = 4_000;

/**
 * @typedef {Omit<Parameters<typeof createControls>[0], "onChat"> & Omit<Parameters<typeof createChatPanel>[0], "onChat">
 *   & Parameters<typeof createEndedCard>[0] & Parameters<typeof createTransferRequest>[0]
 *   & Parameters<typeof createMoveRequest>[0] & Parameters<typeof createRecordingSign>[0] & Parameters<typeof createConsentDialog>[0]
 *   & import("../devices/alerts.js").DeviceActions
 *   & Parameters<typeof createLineNotice>[0] & {onReadChat: () => void, onTalk: (talking: boolean) => void}} CallActions
 */

/** @param {CallActions} actions */
export function createCallScreen(actions) {
  /** @type {CallView | null} */
  let call = null;
  let chatIsOpen = false;
  const person = createRemoteVideo("remote-video", () => render());
  const screen = createRemoteVideo("remote-screen", () => render());
  const zoom = createZoom(screen.element);
  const own = createLocalVideo();
  const persona = h("div", { class: "pulse call__persona" });
  const name = h("h2", { class: "call__name", "data-testid": "call-name" });
  const status = h("p", { class: "call__status", role: "status", "aria-live": "polite", "data-testid": "call-status" });
  const timer = h("p", { class: "call__timer", role: "timer", "aria-live": "off", "data-testid": "call-timer" });
  const badges = createBadges(actions);
  const title = h("div", { class: "call__title" }, name, h("div", { class: "call__line" }, status, timer), badges.element);
  const quality = createQualityMeter();
  const controls = createControls({ ...actions, onChat: toggleChat });
  const chat = createChatPanel({ ...actions, onChat: toggleChat });
  const ended = createEndedCard(actions);
  const request = createTransferRequest(actions);
  const move = createMoveRequest(actions);
  const sign = createRecordingSign(actions);
  const consent = createConsentDialog(actions);
  const muted = createMutedSign(actions);
  const line = createLineNotice(actions);
  const guard = createLeaveGuard(actions);
  const wakeLock = createWakeLock();
  const alerts = createDeviceAlerts(actions);
  const stage = h(
    "div",
    { class: "call__stage" },
    h("div", { class: "call__backdrop", "aria-hidden": "true" }),
    screen.element,
    person.element,
    h("div", { class: "call__shade", "aria-hidden": "true" }),
    h("div", { class: "call__centre" }, persona, title),
    own.element,
    h("div", { class: "notices" }, sign.element, badges.sharing, line.element, muted.element, alerts.element),
    quality.element,
    zoom.element,
    controls.element,
    ended.element,
  );
  const attributes = { class: "call", hidden: true, tabindex: -1, "aria-label": "Call", "data-testid": "call-screen" };
  const element = h("section", attributes, stage, chat.element, request.element, move.element, consent.element, guard.element);
  const view = createView(element, controls.menu, person, own, { ...actions, onChange: render, onKeys: () => keyboard.openList() });
  const keyboard = createKeyboard(
    element,
    { ...actions, onFullScreen: view.toggleFullScreen, onEscape: () => chatIsOpen && toggleChat() },
    { on: () => view.choice.keys, set: (keys) => view.choose({ keys }) },
  );
  element.append(keyboard.list);
  const watchIdleness = idleWatcher(element);
  let ticking = 0;

  function toggleChat() {
    chatIsOpen = !chatIsOpen;
    render();
    if (!chatIsOpen) controls.focusChat();
  }

  function render() {
    if (!call) return;
    const { leg, talk } = call;
    if (!call.isAnswered || call.moving) chatIsOpen = false;
    element.dataset.phase = call.phase;
    element.dataset.view = viewOf(call);
    element.toggleAttribute("data-picture", ["video", "screen"].includes(element.dataset.view));
    element.toggleAttribute("data-face", personIsSeen(call));
    element.toggleAttribute("data-chat", chatIsOpen);
    element.toggleAttribute("data-stalled", leg.remoteVideo === "stalled");
    // Hidden without being gone: the status is what a screen reader hears, the clock is what the eye follows.
    const text = statusText(call);
    const plain = text === "Connected";
    status.classList.toggle("visually-hidden", plain);
    setText(status, text);
    own.render(leg.localStream, {
      shown: call.kind === "video" && leg.hasCamera && !call.isOver && !talk.isHeld && view.ownIsShown(call),
      on: leg.cameraOn,
    });
    person.play(leg.remoteStream);
    screen.play(leg.remoteScreen);
    badges.render(call);
    quality.render(call);
    controls.render(call, chatIsOpen);
    view.render(call, element.dataset.view ?? "");
    const held = keyboard.isTalking;
    muted.render(call, { ownIsShown: !own.element.hidden, held, keys: view.choice.keys });
    line.render(call);
    keyboard.watch(call.isOver || element.inert ? null : call);
    guard.watch(call.isOver ? null : call);
    wakeLock.keep(call.isAnswered);
    const canSend = leg.isAgreed && !call.isOver;
    chat.render(talk.chat.entries, leg.files.entries, { isKept: talk.chatKept, other: call.other.name, canSend });
    chat.show(chatIsOpen);
    if (chatIsOpen && (talk.chat.unread || leg.files.unread)) actions.onReadChat();
    zoom.render(element.dataset.view === "screen");
    request.render(talk.transferRequest && { other: call.other, target: talk.transferRequest.target });
    move.render(call.isOver ? null : talk.moveRequest);
    sign.render(talk.recording, call.other, call.isOver);
    consent.render(call.isAnswered ? talk.recording : null, call.other);
    alerts.render(call);
    ended.render(call);
    watchIdleness(element.hasAttribute("data-picture") && plain && !chatIsOpen);
    tick();
  }

  /** @param {CallView} shown */
  function personIsSeen({ kind, isAnswered, leg, talk }) {
    const sends = kind === "video" && isAnswered && person.hasFrame();
    return sends && leg.remoteVideo !== "paused" && !talk.otherMedia.cameraOff && !talk.isHeld;
  }

  /** @param {CallView} shown */
  function viewOf(shown) {
    const { kind, phase, leg, talk } = shown;
    if (shown.isOver) return "ended";
    if (shown.isAnswered && talk.otherMedia.sharing && screen.hasFrame() && !talk.isHeld) return "screen";
    if (personIsSeen(shown)) return "video";
    const waiting = !["connected", "reconnecting"].includes(phase);
    return kind === "video" && waiting && leg.cameraOn ? "preview" : "persona";
  }

  function tick() {
    if (!call) return;
    const shown = call.phase === "connected" || call.phase === "reconnecting";
    sign.tick(call.talk.recording);
    consent.tick(call.talk.recording);
    setText(timer, shown && call.elapsed !== null ? clockText(call.elapsed) : "");
    // On the ring alone: whatever is below an element inherits its custom properties, and gets new styles eight times a second.
    if (element.dataset.view === "persona") {
      persona.style.setProperty("--level", call.phase === "connected" ? call.leg.remoteLevel.toFixed(2) : "0");
    }
  }

  return {
    element,
    /** Whether it shows how the last call ended. */
    get showsEnd() {
      return element.dataset.view === "ended";
    },
    chatIsOpen: () => chatIsOpen,
    offerDevice: alerts.offer,
    /** @param {string} id of a speaker; empty: the one that the system prefers */
    hearOn(id) {
      person.hearOn(id);
      screen.hearOn(id);
    },
    /**
     * Show a call, or show what has changed of the one that is shown.
     *
     * @param {CallView} next
     */
    show(next) {
      const isNew = call !== next;
      call = next;
      if (isNew) {
        fill(persona, avatar(next.other, "huge"));
        element.dataset.tone = String(toneOf(next.other));
        element.setAttribute("aria-label", `Call with ${next.other.name}`);
        setText(name, next.other.name);
        person.clear();
        screen.clear();
        chat.clear();
        chatIsOpen = false;
        element.hidden = false;
        element.focus();
        clearInterval(ticking);
        ticking = setInterval(tick, TICK);
      }
      const wasOver = element.dataset.view === "ended";
      render();
      if (next.isOver) {
        clearInterval(ticking);
        if (isNew || !wasOver) ended.focus();
      }
    },
    hide() {
      if (call) ended.leave();
      call = null;
      clearInterval(ticking);
      watchIdleness(false);
      element.hidden = true;
      delete element.dataset.view;
      person.clear();
      screen.clear();
      own.render(null, { shown: false, on: false });
      view.close();
      keyboard.watch(null);
      guard.watch(null);
      wakeLock.keep(false);
      request.render(null);
      move.render(null);
      consent.render(null, null);
    },
  };
}

/**
 * Marks the screen as idle, so that the style sheet can hide what covers the video. Keyboard focus on a control keeps
 * the controls (the style sheet sees to it).
 *
 * @param {HTMLElement} element
 * @returns {(active: boolean) => void}
 */
function idleWatcher(element) {
  let timer = 0;
  let watching = false;
  const wake = () => {
    clearTimeout(timer);
    element.removeAttribute("data-idle");
    if (watching) timer = setTimeout(() => element.setAttribute("data-idle", ""), IDLE_AFTER);
  };
  for (const event of ["pointermove", "pointerdown", "keydown"]) element.addEventListener(event, wake);
  return (active) => {
    if (active === watching) return;
    watching = active;
    wake();
  };
}

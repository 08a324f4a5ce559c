/**
 * What is wrong with the own microphone and camera during a call, and what was just plugged in. Shown until it is put right, or put
 * away.
 *
 * @typedef {import("../../client/media/media.js").InputKind} InputKind
 * @typedef {import("../../client/media/devices.js").Device} Device
 *
 * @typedef {object} DeviceActions
 * @property {(input: InputKind) => void} onRestore
 * @property {(parts: Device[]) => void} onUse
 * @property {(background: "none") => void} onBackground
 */
import { troubleText } from "../background/words.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { shortName } from "../ui/names.js";
import { arrivalText, problemText, useText } from "./words.js";

/** @type {Record<InputKind, string>} */
const CONSEQUENCES = { microphone: "can’t hear you.", camera: "can’t see you." };

/** @param {DeviceActions} actions */
export function createDeviceAlerts({ onRestore, onUse, onBackground }) {
  const alerts = {
    microphone: createAlert("microphone-problem", "microphoneOff", () => onRestore("microphone")),
    camera: createAlert("camera-problem", "cameraOff", () => onRestore("camera")),
  };
  const background = createAlert("background-problem", "backdrop", () => onBackground("none"));
  /** @type {Device[] | null} */
  let parts = null;
  const arrival = createAlert("device-arrived", "plug", () => {
    if (parts) onUse(parts);
    parts = null;
    arrival.show(null);
  });
  // Present from the beginning: a live region that appears together with its text is not read out.
  const element = h(
    "div",
    { class: "alerts", role: "status", "data-testid": "device-alerts" },
    alerts.microphone.element,
    alerts.camera.element,
    background.element,
    arrival.element,
  );

  /** @param {InputKind} input @param {import("../call/callscreen.js").CallView} call */
  function showProblem(input, { leg, other, isOver, kind }) {
    const problem = leg.problems[input];
    const wanted = input === "microphone" || (kind === "video" && !leg.cameraOn);
    if (!problem || isOver || !wanted) return alerts[input].show(null);
    const { title, help } = problemText(input, problem);
    const consequence = `${shortName(other.name)} ${CONSEQUENCES[input]}`;
    // What the system has silenced comes back by itself.
    alerts[input].show({ title: `${title}. ${consequence}`, help, action: problem === "silenced" ? "" : "Try again" });
  }

  return {
    element,
    /** @param {import("../call/callscreen.js").CallView} call */
    render(call) {
      showProblem("microphone", call);
      showProblem("camera", call);
      background.show(call.isOver || !call.leg.cameraOn ? null : troubleText(call.leg.backgroundState));
      if (!call.isOver) return;
      parts = null;
      arrival.show(null);
    },
    /** @param {Device[]} next that were just plugged in */
    offer(next) {
      parts = next;
      arrival.show({ title: arrivalText(next), help: "", action: useText(next) });
    },
  };
}

/**
 * @param {string} testId
 * @param {import("../ui/icons.js").IconName} iconName
 * @param {() => void} onclick
 */
function createAlert(testId, iconName, onclick) {
  const title = h("p", { class: "alert__title" });
  const help = h("p", { class: "alert__help" });
  const action = h("button", { class: "alert__action", type: "button", "data-testid": `${testId}-action`, onclick });
  let [shown, away] = ["", ""];
  const dismiss = () => {
    away = shown;
    element.hidden = true;
  };
  const close = h("button", { class: "alert__close", type: "button", "aria-label": "Dismiss", onclick: dismiss }, icon("close"));
  const element = h(
    "div",
    { class: "alert", hidden: true, "data-testid": testId },
    icon(iconName),
    h("div", { class: "alert__text" }, title, help),
    h("div", { class: "alert__buttons" }, action, close),
  );
  return {
    element,
    /** @param {{title: string, help: string, action: string} | null} next */
    show(next) {
      shown = next?.title ?? "";
      if (shown !== away) away = "";
      element.hidden = !next || shown === away;
      if (!next) return;
      setText(title, next.title);
      setText(help, next.help);
      help.hidden = !next.help;
      action.hidden = !next.action;
      if (action.textContent !== next.action) fill(action, next.action);
    },
  };
}

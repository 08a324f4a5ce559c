/**
 * The recording of a call: the sign that says what is the case, and the question for consent.
 *
 * @typedef {import("../../client/model.js").Person} Person
 *
 * @typedef {object} RecordingView
 * @property {import("../../client/recording.js").RecordingState} state
 * @property {string | null} reason
 * @property {"party" | "service"} by
 * @property {boolean} yours
 * @property {boolean} isActive
 * @property {boolean} isShown
 * @property {boolean} canStart
 * @property {boolean} canStop
 * @property {number | null} secondsLeft
 * @property {import("../../client/recording.js").ConsentRequest | null} request
 */
import { consentText, signText } from "../recordings/words.js";
import { h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { shortName } from "../ui/names.js";
import { clockText } from "../ui/words.js";

/**
 * @param {{onStopRecording: () => void}} actions
 */
export function createRecordingSign({ onStopRecording }) {
  const dot = h("span", { class: "recsign__dot", "aria-hidden": "true", hidden: true });
  const words = h("strong", { class: "recsign__words", "data-testid": "recording-words" });
  const detail = h("span", { class: "recsign__detail", "data-testid": "recording-detail" });
  // Never hidden: a live region that appears together with its text is not read out. Empty, it has no size.
  const status = h("span", { class: "recsign__status", role: "status", "aria-atomic": "true" }, words, detail);
  const left = h("span", { class: "recsign__left", role: "timer", "aria-live": "off" });
  const stop = h("button", { class: "recsign__stop", type: "button", "data-testid": "stop-recording", onclick: onStopRecording });
  const element = h("div", { class: "recsign", "data-testid": "recording-sign" }, dot, status, left, stop);

  return {
    element,
    /** @param {RecordingView} recording @param {Person} other @param {boolean} isOver */
    render(recording, other, isOver) {
      const { state, canStop, yours } = recording;
      const shown = !isOver && recording.isShown;
      const text = shown ? signText(recording, shortName(other.name)) : { words: "", detail: "" };
      element.dataset.state = shown ? state : "idle";
      dot.hidden = !shown;
      setText(words, text.words);
      setText(detail, text.detail);
      stop.hidden = !shown || !canStop;
      setText(stop, state === "asked" ? "Cancel" : "Stop");
      stop.setAttribute("aria-label", stopText(state, yours));
      stop.title = stopText(state, yours);
      this.tick(recording);
    },
    /** @param {RecordingView} recording of which only the time has changed */
    tick({ secondsLeft }) {
      setText(left, element.dataset.state === "asked" && secondsLeft !== null ? clockText(secondsLeft) : "");
    },
  };
}

/**
 * What ending it from here means.
 *
 * @param {import("../../client/recording.js").RecordingState} state
 * @param {boolean} yours
 */
function stopText(state, yours) {
  if (state === "asked") return "Cancel: take the request to record back";
  return yours ? "Stop recording" : "Stop recording: withdraw your consent";
}

/**
 * @param {{onConsent: (accepted: boolean, shown: string) => void}} actions
 */
export function createConsentDialog({ onConsent }) {
  const title = h("h2", { class: "dialog__title", id: "consent-title" });
  const consequence = h("p", {});
  const right = h("p", {});
  const lead = h("div", { class: "consent__text", id: "consent-text", "data-testid": "consent-text" }, consequence, right);
  const policy = h("div", { class: "consent__policy", tabindex: 0, role: "group", "aria-label": "Recording policy", "data-testid": "consent-policy" });
  const version = h("p", { class: "consent__version muted" });
  const left = h("p", { class: "muted", role: "timer", "aria-live": "off", "data-testid": "consent-left" });
  const answer = (/** @type {boolean} */ accepted) => () => {
    onConsent(accepted, shownText());
  };
  const shownText = () => {
    const texts = [title, consequence, right, policy].map(({ textContent }) => textContent);
    return texts.filter(Boolean).join("\n");
  };
  const choice = (/** @type {string} */ look, /** @type {string} */ testId, /** @type {boolean} */ accepted, /** @type {string} */ text) =>
    h("button", { class: `button button--${look}`, type: "button", "data-testid": testId, onclick: answer(accepted) }, text);
  const decline = choice("quiet", "consent-decline", false, "Decline");
  const allow = choice("primary", "consent-allow", true, "Allow recording");
  const labels = { "aria-labelledby": "consent-title", "aria-describedby": "consent-text" };
  const element = h(
    "dialog",
    { class: "dialog consent", role: "alertdialog", ...labels, tabindex: -1, "data-testid": "consent-dialog" },
    h("div", { class: "consent__mark", "aria-hidden": "true" }, icon("record")),
    title,
    lead,
    policy,
    version,
    left,
    h("div", { class: "dialog__actions" }, decline, allow),
  );
  // Escape is an answer: silence would leave the other party waiting.
  element.addEventListener("cancel", (event) => {
    event.preventDefault();
    answer(false)();
  });

  return {
    element,
    /** @param {RecordingView | null} recording null: there is no call @param {Person | null} other */
    render(recording, other) {
      const request = recording?.request;
      if (!recording || !request || !other) return element.open ? element.close() : undefined;
      const text = consentText(shortName(other.name), recording.isActive);
      setText(title, text.title);
      setText(consequence, text.consequence);
      setText(right, text.right);
      policy.hidden = !request.policyText;
      setText(policy, request.policyText);
      setText(version, request.policyVersion ? `Recording policy, version ${request.policyVersion}` : "");
      this.tick(recording);
      if (element.open) return undefined;
      element.showModal();
      // Neither button gets the focus: the next space of a user who is typing must not answer.
      element.focus();
      return undefined;
    },
    /** @param {RecordingView} recording of which only the time has changed */
    tick({ request, secondsLeft }) {
      if (!request) return;
      setText(left, secondsLeft === null ? "" : `Without an answer, it counts as declined in ${clockText(secondsLeft)}.`);
    },
  };
}

/**
 * The entry of the call's menu that asks for a recording, or ends it.
 *
 * @param {{element: HTMLButtonElement, set: (text: string, icon: import("../ui/icons.js").IconName) => void}} item
 */
export function createRecordItem(item) {
  item.element.hidden = true;
  return {
    /** @param {RecordingView} recording */
    render({ state, yours, canStart, canStop }) {
      item.element.hidden = !canStart && !canStop;
      if (!canStop) item.set("Record call…", "record");
      else if (state === "asked") item.set("Do not ask to record", "stop");
      else item.set(yours ? "Stop recording" : "Withdraw consent to recording", "stop");
    },
  };
}

/**
 * How good was the call? Five stars, and for those who were not content: what was wrong.
 *
 * @typedef {import("../../client/history.js").CallName} CallName
 * @typedef {import("../../client/history.js").Rating} Rating
 */
import { h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";

/** ITU-T P.800 (absolute category rating). */
const SCORES = ["Bad", "Poor", "Fair", "Good", "Excellent"];
/** From here down the card asks what was wrong. */
const CONTENT = 4;
/** Milliseconds until a choice of stars is sent: one who uses the arrow keys passes over others. */
const PATIENCE = 900;
/** Characters. */
const LONGEST = 1000;

/** @type {[import("../../client/history.js").CallProblem, string][]} */
const PROBLEMS = [
  ["heard_nothing", "I couldn’t hear them"],
  ["not_heard", "They couldn’t hear me"],
  ["audio_interrupted", "Audio broke up"],
  ["echo", "Echo"],
  ["no_video", "No video"],
  ["video_interrupted", "Video froze"],
  ["delay", "Delay"],
  ["dropped", "Call broke off"],
];

let groups = 0;

/** @param {{onRate: (call: CallName, rating: Rating) => Promise<boolean>}} actions */
export function createRating({ onRate }) {
  const name = `rating-${(groups += 1)}`;
  const inputs = SCORES.map((label, index) => {
    return h("input", { class: "rating__input", type: "radio", name, value: index + 1, "aria-label": label, onchange: chosen });
  });
  const stars = inputs.map((input, index) => {
    return h("label", { class: "rating__star", title: SCORES[index], "data-testid": `rate-${index + 1}` }, input, icon("star"));
  });
  const question = h("fieldset", { class: "rating__stars" }, h("legend", { class: "rating__question" }, "How was the call?"), ...stars);
  const said = h("p", { class: "rating__said", role: "status", "data-testid": "rating-said" });
  const boxes = PROBLEMS.map(([problem, label]) => {
    const box = h("input", { class: "visually-hidden", type: "checkbox", value: problem, "data-testid": `problem-${problem}` });
    return { problem, box, element: h("label", { class: "rating__problem" }, box, label) };
  });
  const words = h("textarea", {
    class: "field rating__words",
    rows: 2,
    maxlength: LONGEST,
    placeholder: "In your own words (optional)",
    "aria-label": "In your own words",
    "data-testid": "rating-words",
  });
  const submit = h("button", { class: "button button--glass", type: "submit", "data-testid": "rating-send" }, "Send");
  // In another tab: who looks there can still be called here.
  const test = h("a", { class: "rating__test", href: "connectivity", target: "_blank", rel: "noopener" }, "Test your connection");
  const more = h(
    "form",
    { class: "rating__more", hidden: true, onsubmit: send, "data-testid": "rating-more" },
    h("fieldset", { class: "rating__problems" }, h("legend", { class: "rating__question" }, "What was wrong?"), ...boxes.map((one) => one.element)),
    words,
    h("div", { class: "rating__actions" }, test, submit),
  );
  const element = h("div", { class: "rating", hidden: true, "data-testid": "rating" }, question, said, more);
  /** @type {CallName | null} the call that is rated */
  let call = null;
  let timer = 0;
  /** What was sent last: one is sent after the other, so that the last one is what the relay keeps. @type {Promise<boolean>} */
  let sending = Promise.resolve(true);

  /** @returns {Rating} */
  function rating() {
    const score = Number(inputs.find(({ checked }) => checked)?.value ?? 0);
    const problems = boxes.filter(({ box }) => box.checked).map(({ problem }) => problem);
    return { score, problems: score < CONTENT ? problems : [], comment: score < CONTENT ? words.value.trim() : "" };
  }

  function chosen() {
    show();
    setText(said, "");
    clearTimeout(timer);
    timer = setTimeout(flush, PATIENCE);
  }

  function show() {
    const { score } = rating();
    stars.forEach((star, index) => star.toggleAttribute("data-on", index < score));
    more.hidden = score === 0 || score >= CONTENT;
  }

  /** Send what was chosen, if it was not sent yet. */
  function flush() {
    if (!timer) return;
    clearTimeout(timer);
    timer = 0;
    if (call) void deliver(call, rating());
  }

  /** @param {Event} event */
  function send(event) {
    event.preventDefault();
    clearTimeout(timer);
    timer = 0;
    if (call) void deliver(call, rating(), true);
  }

  /** @param {CallName} about @param {Rating} what @param {boolean} [isAll] with what was wrong */
  async function deliver(about, what, isAll = false) {
    const mine = (sending = sending.then(() => onRate(about, what)));
    const sent = await mine;
    if (call !== about || mine !== sending) return;
    setText(said, sent ? "Thank you." : "That could not be sent. Try again in a moment.");
    if (sent && isAll) more.hidden = true;
  }

  return {
    element,
    /**
     * @param {CallName | null} next null: no call can be rated
     * @param {Rating | null} [known] what was said before
     */
    set(next, known = null) {
      if (call && next && call.id === next.id) return;
      flush();
      call = next;
      element.hidden = next === null;
      setText(said, "");
      inputs.forEach((input, index) => (input.checked = known?.score === index + 1));
      boxes.forEach(({ problem, box }) => (box.checked = known?.problems.includes(problem) ?? false));
      words.value = known?.comment ?? "";
      show();
      if (known) more.hidden = true;
    },
  };
}

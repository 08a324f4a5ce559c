/** What is done about a poor line: the video is given up so that the audio stays. */
import { h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";

/** @typedef {import("./callscreen.js").CareView["video"]} VideoState */

/** @type {Record<VideoState, {words: string, detail: string, button: string}>} */
const TEXTS = {
  sending: { words: "", detail: "", button: "" },
  offered: { words: "Your connection is poor.", detail: "Turn off your video to keep the audio.", button: "Turn off video" },
  paused: { words: "Your video is off", detail: "to keep the audio.", button: "Turn on" },
  paused_by_itself: {
    words: "Your video is off to keep the audio.",
    detail: "It comes back when your connection is better.",
    button: "Turn on",
  },
  good: { words: "Your connection is good again.", detail: "", button: "Turn on video" },
  returned: { words: "Your video is back:", detail: "your connection is good again.", button: "" },
};

/**
 * @param {{onPauseVideo: () => void, onSendVideo: () => void, onDeclineOffer: () => void}} actions
 */
export function createLineNotice({ onPauseVideo, onSendVideo, onDeclineOffer }) {
  /** @type {VideoState} */
  let shown = "sending";
  const words = h("strong", { class: "pill__words" });
  const detail = h("span", { class: "pill__detail" });
  const act = () => (shown === "offered" ? onPauseVideo() : onSendVideo());
  const button = h("button", { class: "pill__button", type: "button", "data-testid": "line-button", onclick: act });
  const label = { title: "Keep the video on", "aria-label": "Keep the video on" };
  const close = h("button", { class: "pill__close", type: "button", ...label, onclick: onDeclineOffer }, icon("close"));
  const pill = h("div", { class: "pill", hidden: true, "data-testid": "line-notice" }, icon("cameraOff"), h("span", {}, words, " ", detail), button, close);
  // Never hidden itself: a live region that appears together with its text is not read out.
  const element = h("div", { class: "pill__region", role: "status", "aria-atomic": "true" }, pill);

  return {
    element,
    /** @param {import("./callscreen.js").CallView} call */
    render({ isAnswered, leg, care }) {
      shown = isAnswered && leg.isConnected ? care.video : "sending";
      const text = TEXTS[shown];
      pill.hidden = shown === "sending";
      pill.dataset.tone = shown === "offered" ? "warn" : "plain";
      setText(words, text.words);
      setText(detail, text.detail);
      button.hidden = !text.button;
      setText(button, text.button);
      close.hidden = shown !== "offered";
    },
  };
}

/** That the microphone is off: always to be seen, and in plain words for those who talk into it. */
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";

/**
 * @param {{onMute: () => void}} actions
 */
export function createMutedSign({ onMute }) {
  const words = h("strong", { class: "pill__words" });
  const detail = h("span", { class: "pill__detail pill__detail--keys" });
  const unmute = h("button", { class: "pill__button", type: "button", "data-testid": "unmute", onclick: onMute }, "Unmute");
  const pill = h("div", { class: "pill", hidden: true, "data-testid": "muted-sign" });
  const text = h("span", {}, words, " ", detail);
  let shownIcon = "";
  // Never hidden itself: a live region that appears together with its text is not read out.
  const element = h("div", { class: "pill__region", role: "status", "aria-atomic": "true" }, pill);

  return {
    element,
    /**
     * @param {import("./callscreen.js").CallView} call
     * @param {{ownIsShown: boolean, held: boolean, keys: boolean}} how `held`: the key for talking is held down
     */
    render({ leg, care, isOver, isAnswered }, { ownIsShown, held, keys }) {
      const tells = leg.muted && care.speaksMuted;
      pill.hidden = isOver || !(held || tells || (leg.muted && isAnswered && !ownIsShown));
      const next = held ? "microphone" : "microphoneOff";
      if (next !== shownIcon) fill(pill, icon(next), text, unmute);
      shownIcon = next;
      pill.dataset.tone = held ? "live" : tells ? "alert" : "plain";
      unmute.hidden = held || !tells;
      setText(words, pill.hidden ? "" : held ? "You can be heard" : tells ? "You are muted" : "Muted");
      setText(detail, pill.hidden ? "" : held ? "as long as you hold the space bar" : tells && keys ? "Hold the space bar to talk." : "");
    },
  };
}

/** What is switched off or unusual just now, in few words. */
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { shortName } from "../ui/names.js";

/**
 * @param {{onShare: () => void, onHold: () => void}} actions
 */
export function createBadges({ onShare, onHold }) {
  const muted = badge("other-muted", "microphoneOff", "Muted");
  const unheard = badge("other-unheard", "microphoneOff", "Can’t be heard: no microphone");
  const camera = badge("other-camera-off", "cameraOff", "");
  const theirs = badge("other-sharing", "screen", "");
  const transfer = badge("transferring", "transfer", "");
  const resume = h(
    "button",
    { class: "button button--light call__resume", type: "button", hidden: true, "data-testid": "resume", onclick: onHold },
    icon("play"),
    "Resume call",
  );
  const row = h("div", { class: "badges", role: "status" }, muted.element, unheard.element, camera.element, theirs.element, transfer.element);
  const sharing = h("div", { class: "sharing", role: "status", hidden: true, "data-testid": "sharing" });
  const stop = h("button", { class: "sharing__stop", type: "button", "data-testid": "stop-sharing", onclick: onShare }, "Stop");
  fill(sharing, icon("screen"), h("span", {}, "You are sharing your screen"), stop);

  return {
    element: h("div", { class: "call__extras" }, row, resume),
    /** The notice that the own screen is shared. */
    sharing,
    /** @param {import("../call/callscreen.js").CallView} call */
    render(call) {
      const { leg, talk, other } = call;
      const going = call.isAnswered;
      const { muted: isMuted, noMicrophone, cameraOff, noCamera, sharing: shares } = talk.otherMedia;
      muted.show(going && isMuted && !noMicrophone);
      unheard.show(going && noMicrophone);
      camera.show(going && call.kind === "video" && cameraOff && !shares, noCamera ? "No camera" : "Camera off");
      theirs.show(going && talk.otherMedia.sharing, `${shortName(other.name)} is sharing their screen`);
      const target = talk.transferringTo;
      transfer.show(going && target !== null, target ? `Asking ${shortName(other.name)} about ${shortName(target.name)}…` : "");
      sharing.hidden = !going || !leg.sharing;
      resume.hidden = !going || !talk.heldBy.you;
    },
  };
}

/**
 * @param {string} testId
 * @param {import("../ui/icons.js").IconName} iconName
 * @param {string} text
 */
function badge(testId, iconName, text) {
  const words = h("span", {}, text);
  const element = h("span", { class: "badge", hidden: true, "data-testid": testId }, icon(iconName), words);
  return {
    element,
    /** @param {boolean} shown @param {string} [next] */
    show(shown, next) {
      if (next !== undefined) setText(words, next);
      element.hidden = !shown;
    },
  };
}

/** Microphone, camera, screen, chat, what is needed more rarely, hang up. */
import { canShareScreen } from "../../client/media/media.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { createMenu } from "../ui/menu.js";
import { createAudioItems } from "./audioitems.js";
import { createRecordItem } from "./recording.js";

/** @typedef {import("../ui/icons.js").IconName} IconName */

/**
 * @param {{onMute: () => void, onCamera: () => void, onShare: () => void, onChat: () => void, onHold: () => void,
 *   onTransfer: () => void, onRecord: () => void, onDevices: (part?: "background") => void, onFlip: () => void, canFlip: () => boolean,
 *   onEnd: () => void} & Parameters<typeof createAudioItems>[1]} actions
 */
export function createControls(actions) {
  const { onMute, onCamera, onShare, onChat, onHold, onTransfer, onRecord, onDevices, onFlip, canFlip, onEnd } = actions;
  const mute = control("mute", onMute, "M");
  const camera = control("camera", onCamera, "V");
  const share = control("share", onShare, "S");
  const chat = control("chat", onChat, "C");
  const end = control("end", onEnd);
  end.element.classList.add("control--end");
  const badge = h("span", { class: "control__badge", "data-testid": "chat-unread", hidden: true });
  const more = createMenu("more", "More", { class: "control", icon: "more", above: true });
  const hold = more.add("hold", onHold);
  const transfer = more.add("transfer", onTransfer);
  const record = createRecordItem(more.add("record", onRecord));
  const audio = createAudioItems(more, actions);
  const flip = more.add("flip-camera", onFlip);
  const background = more.add("background", () => onDevices("background"));
  const devices = more.add("choose-devices", () => onDevices());
  const element = h(
    "div",
    { class: "controls", role: "group", "aria-label": "Call controls" },
    mute.element,
    camera.element,
    share.element,
    h("span", { class: "control__place" }, chat.element, badge),
    more.element,
    end.element,
  );
  transfer.set("Transfer…", "transfer");
  flip.set("Switch camera", "flip");
  background.set("Background…", "backdrop");
  devices.set("Camera and sound…", "sliders");

  return {
    element,
    /** What is needed more rarely. */
    menu: more,
    /** The chat was closed from within. */
    focusChat: () => chat.element.focus(),
    /**
     * @param {import("./callscreen.js").CallView} call
     * @param {boolean} chatIsOpen
     */
    render(call, chatIsOpen) {
      const { leg, talk } = call;
      const going = call.isAnswered && !call.moving;
      element.hidden = call.isOver;
      // Without a microphone there is nothing to be muted: a click tries to have one.
      const lacking = leg.problems.microphone !== null;
      const unheard = leg.muted || lacking;
      const muting = lacking ? "Try the microphone again" : leg.muted ? "Unmute microphone" : "Mute microphone";
      mute.set(muting, unheard ? "microphoneOff" : "microphone", unheard);
      mute.element.dataset.problem = String(lacking);
      const off = !leg.cameraOn || leg.videoPaused;
      camera.set(off ? "Turn camera on" : "Turn camera off", off ? "cameraOff" : "camera", off && call.kind === "video");
      camera.element.disabled = !leg.isAgreed && !leg.hasCamera;
      camera.element.hidden = !going && call.kind === "voice";
      share.set(
        leg.sharing ? "Stop sharing your screen" : "Share your screen",
        leg.sharing ? "screenOff" : "screen",
        leg.sharing,
      );
      share.element.hidden = !going || !canShareScreen();
      share.element.disabled = !leg.isAgreed;
      const unread = talk.chat.unread + leg.files.unread;
      chat.set(chatIsOpen ? "Close chat" : unread ? `Open chat, ${unread} unread` : "Open chat", "bubble", chatIsOpen);
      chat.element.hidden = more.element.hidden = !going;
      badge.hidden = !going || !unread || chatIsOpen;
      setText(badge, unread > 9 ? "9+" : String(unread));
      hold.set(talk.heldBy.you ? "Resume call" : "Hold call", talk.heldBy.you ? "play" : "pause");
      background.element.hidden = !leg.cameraOn;
      flip.element.hidden = !leg.cameraOn || !canFlip();
      transfer.element.disabled = talk.transferringTo !== null;
      record.render(talk.recording);
      audio.render(leg.audioMode);
      if (!going) more.close();
      end.set(going ? "End call" : "Cancel call", "hangUp", false);
    },
  };
}

/**
 * @param {string} name
 * @param {() => void} onclick
 * @param {string} [key] that does the same
 */
function control(name, onclick, key) {
  const element = h("button", { class: "control", type: "button", "aria-keyshortcuts": key, "data-testid": name, onclick });
  let shown = "";
  return {
    element,
    /**
     * The label says what a click does, so it changes with the state; `data-off` is for style and tests.
     *
     * @param {string} label
     * @param {IconName} iconName
     * @param {boolean} off
     */
    set(label, iconName, off) {
      element.setAttribute("aria-label", label);
      element.title = key ? `${label} (${key})` : label;
      element.dataset.off = String(off);
      if (shown === iconName) return; // a new icon under a pressed pointer would swallow the click
      shown = iconName;
      fill(element, icon(iconName));
    },
  };
}

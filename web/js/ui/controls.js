/** Microphone, camera, hang up. */
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";

/** @typedef {import("./icons.js").IconName} IconName */

/**
 * @param {{onMute: () => void, onCamera: () => void, onEnd: () => void}} actions
 */
export function createControls({ onMute, onCamera, onEnd }) {
  const mute = control("mute", onMute);
  const camera = control("camera", onCamera);
  const end = control("end", onEnd);
  end.element.classList.add("control--end");
  const element = h(
    "div",
    { class: "controls", role: "group", "aria-label": "Call controls" },
    mute.element,
    camera.element,
    end.element,
  );

  return {
    element,
    /** @param {import("./callscreen.js").CallView} call */
    render(call) {
      element.hidden = call.isOver;
      mute.set(call.muted ? "Unmute microphone" : "Mute microphone", call.muted ? "microphoneOff" : "microphone", call.muted);
      const off = !call.cameraOn;
      camera.set(off ? "Turn camera on" : "Turn camera off", off ? "cameraOff" : "camera", off);
      camera.element.hidden = call.kind !== "video";
      camera.element.disabled = !call.hasCamera;
      end.set(call.isAnswered ? "End call" : "Cancel call", "hangUp", false);
    },
  };
}

/**
 * @param {"mute" | "camera" | "end"} name
 * @param {() => void} onclick
 */
function control(name, onclick) {
  const element = h("button", { class: "control", type: "button", "data-testid": name, onclick });
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
      element.title = label;
      element.dataset.off = String(off);
      if (shown === iconName) return; // a new icon under a pressed pointer would swallow the click
      shown = iconName;
      fill(element, icon(iconName));
    },
  };
}

/** The way to the dialog of camera and sound, before the first call. */
import { devicesChecked, noteDevicesChecked } from "../../client/media/devicesseen.js";
import { h } from "../ui/dom.js";
import { icon } from "../ui/icons.js";

/** @param {{onDevices: () => void}} actions */
export function createDeviceCheck({ onDevices }) {
  const open = () => {
    refresh(true);
    onDevices();
  };
  const later = () => refresh(true);
  const strip = h(
    "section",
    { class: "checkstrip", "aria-label": "Before your first call", "data-testid": "check-devices-strip" },
    icon("camera"),
    h("p", { class: "checkstrip__text" }, "See and hear yourself before your first call."),
    h("button", { class: "button button--primary", type: "button", "data-testid": "check-devices", onclick: open }, "Check now"),
    h("button", { class: "roundbutton roundbutton--quiet", type: "button", "aria-label": "Not now", onclick: later }, icon("close")),
  );

  /** @param {boolean} [seen] the user knows of it now */
  function refresh(seen = false) {
    if (seen) noteDevicesChecked();
    strip.hidden = devicesChecked();
  }
  refresh();
  return { strip, open, refresh };
}

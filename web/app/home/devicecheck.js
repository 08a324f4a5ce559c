/** The ways to the dialog of camera and sound: a strip before the first call, and a card in the settings. */
import { devicesChecked, noteDevicesChecked } from "../../client/media/devices.js";
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
  const card = h(
    "section",
    { class: "card card--row" },
    icon("camera"),
    h(
      "div",
      {},
      h("h2", { class: "card__title" }, "Camera and sound"),
      h("p", { class: "muted" }, "See and hear yourself, and choose what your calls use."),
    ),
    h("button", { class: "button button--primary", type: "button", "data-testid": "open-devices", onclick: open }, "Check"),
  );

  /** @param {boolean} [seen] the user knows of it now */
  function refresh(seen = false) {
    if (seen) noteDevicesChecked();
    strip.hidden = devicesChecked();
  }
  refresh();
  return { strip, card, refresh };
}

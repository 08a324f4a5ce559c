/** The strip of a page that was loaded and not touched yet: browsers let it make no sound before. */
import { h } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { ringing } from "./ringtones.js";

export function createRingStrip() {
  const element = h(
    "button",
    { class: "ringstrip", type: "button", hidden: true, "data-testid": "ring-strip" },
    icon("bell"),
    "Click once so that this page can ring",
  );
  const listening = new AbortController();

  function look() {
    const waits = navigator.userActivation?.hasBeenActive === false;
    const { tone, volume } = ringing();
    element.hidden = !waits || tone === "none" || volume === 0;
    if (!waits) listening.abort();
  }

  // A click anywhere will do. Only what is over is looked at: what is under the pointer stays where it is.
  for (const type of ["pointerup", "click", "keyup"]) {
    addEventListener(type, look, { capture: true, signal: listening.signal });
  }
  look();
  return element;
}

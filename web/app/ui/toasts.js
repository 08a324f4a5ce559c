/** Short messages at the top of the page, above everything else. */
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";

/** Milliseconds: enough to read two lines twice. */
const LIFETIME = 7_000;
/** Older ones make room. */
const MOST = 3;

/**
 * @returns {{element: HTMLElement, show: (text: string, tone?: "plain" | "problem") => void, clear: () => void}}
 */
export function createToasts() {
  // Present from the beginning: a live region that appears together with its text is not read out.
  const element = h("div", { class: "toasts", role: "status", "aria-live": "polite" });

  /** @param {string} text @param {"plain" | "problem"} [tone] */
  function show(text, tone = "plain") {
    const toast = h("div", { class: "toast", "data-testid": "toast", "data-tone": tone });
    const dismiss = () => toast.remove();
    const attributes = { class: "toast__close", type: "button", "aria-label": "Dismiss", onclick: dismiss };
    const close = h("button", attributes, icon("close"));
    fill(toast, tone === "problem" && icon("alert"), h("span", { class: "toast__text" }, text), close);
    element.append(toast);
    while (element.childElementCount > MOST) element.firstElementChild?.remove();

    // The toast stays while the pointer or the focus is on it.
    let timer = setTimeout(dismiss, LIFETIME);
    const hold = () => clearTimeout(timer);
    const release = () => {
      clearTimeout(timer);
      timer = setTimeout(dismiss, LIFETIME);
    };
    for (const event of ["pointerenter", "focusin"]) toast.addEventListener(event, hold);
    for (const event of ["pointerleave", "focusout"]) toast.addEventListener(event, release);
  }

  return { element, show, clear: () => fill(element) };
}

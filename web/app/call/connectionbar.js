/** The notice that the page is not connected. Empty while it is. */
import { h, setText } from "../ui/dom.js";

/** @typedef {"connecting" | "online" | "reconnecting" | "closed"} LinkState */

/** Milliseconds: a connection that is back within this was never noticed. */
const PATIENCE = 700;

/** @type {Record<LinkState, string>} */
const TEXTS = { connecting: "Connecting…", online: "", reconnecting: "Connection lost. Reconnecting…", closed: "" };

/**
 * @returns {{element: HTMLElement, show: (state: LinkState) => void}}
 */
export function createConnectionBar() {
  const text = h("span", {});
  const dot = h("span", { class: "connection__dot", "aria-hidden": "true" });
  const attributes = { class: "connection", role: "status", "data-testid": "connection", "data-state": "closed" };
  const element = h("div", attributes, dot, text);
  let timer = 0;

  /** @param {LinkState} state */
  function show(state) {
    clearTimeout(timer);
    element.dataset.state = state;
    const visible = state === "connecting" || state === "reconnecting";
    if (!visible) {
      element.classList.remove("connection--visible");
      setText(text, "");
      return;
    }
    timer = setTimeout(() => {
      setText(text, TEXTS[state]);
      element.classList.add("connection--visible");
    }, PATIENCE);
  }

  return { element, show };
}

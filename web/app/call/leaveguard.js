/**
 * "Back" and closing the page ask during a call. For "Back", the call has an entry of its own in the browser's history, which is
 * taken away with the call.
 */
import { h, setText } from "../ui/dom.js";
import { shortName } from "../ui/names.js";

/**
 * @param {{onEnd: () => void}} actions
 */
export function createLeaveGuard({ onEnd }) {
  const title = h("h2", { class: "dialog__title", id: "leave-title" }, "Leave the call?");
  const text = h("p", { class: "muted" });
  const leave = () => {
    element.close();
    onEnd();
  };
  const stay = h("button", { class: "button button--primary", type: "button", onclick: () => element.close() }, "Stay in the call");
  const end = h("button", { class: "button button--quiet", type: "button", "data-testid": "leave-call", onclick: leave }, "Leave the call");
  const attributes = { class: "dialog", "aria-labelledby": "leave-title", "data-testid": "leave" };
  const element = h("dialog", attributes, title, text, h("div", { class: "dialog__actions" }, end, stay));
  let on = false;
  /** Whether our entry of the history is just being taken away. */
  let returning = false;
  // The history of a page within another is that of both: "Back" is the outer one's.
  const hasHistory = window.top === window;

  function arm() {
    if (hasHistory && !history.state?.call) history.pushState({ ...history.state, call: true }, "");
  }

  /** @param {BeforeUnloadEvent} event */
  function unloading(event) {
    event.preventDefault();
    event.returnValue = ""; // what older browsers look at
  }

  addEventListener("popstate", () => {
    const wasReturning = returning;
    returning = false;
    if (!on || history.state?.call) return;
    arm();
    if (wasReturning || element.open) return;
    element.showModal();
    stay.focus(); // not what comes first
  });

  return {
    element,
    /** @param {import("./callscreen.js").CallView | null} call that goes on */
    watch(call) {
      if (call) setText(text, `This ends your call with ${shortName(call.other.name)}.`);
      if (on === Boolean(call)) return;
      on = Boolean(call);
      if (on) {
        addEventListener("beforeunload", unloading);
        if (!returning) arm();
        return;
      }
      removeEventListener("beforeunload", unloading); // with one, browsers keep no page for "Back"
      element.close();
      if (!hasHistory || !history.state?.call || returning) return;
      returning = true;
      history.back();
    },
  };
}

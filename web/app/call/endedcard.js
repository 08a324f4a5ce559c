/** How the call went, and what to do next. */
import { avatar } from "../ui/avatar.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { clockText, outcomeText } from "../ui/words.js";
import { createRating } from "./rating.js";

/** Ends of calls that there is something to say of. */
const RATED = ["completed", "lost", "failed"];

/**
 * @param {{onAgain: () => void, onClose: () => void} & Parameters<typeof createRating>[0]} actions
 */
export function createEndedCard({ onAgain, onClose, onRate }) {
  const picture = h("div", { class: "ended__picture" });
  const title = h("h2", { class: "ended__title", "data-testid": "ended-title" });
  const detail = h("p", { class: "ended__detail", "data-testid": "ended-detail" });
  const message = h("blockquote", { class: "ended__message", hidden: true, "data-testid": "decline-message" });
  const duration = h("p", { class: "ended__duration", "data-testid": "ended-duration" });
  const againText = h("span", {});
  const againIcon = h("span", { class: "ended__icon" });
  const again = h(
    "button",
    { class: "button button--glass", type: "button", "data-testid": "call-again", onclick: onAgain },
    againIcon,
    againText,
  );
  const close = h(
    "button",
    { class: "button button--light", type: "button", "data-testid": "close-ended", onclick: onClose },
    "Done",
  );
  const rating = createRating({ onRate });
  const element = h(
    "div",
    { class: "ended", hidden: true, role: "group", "aria-label": "How the call ended", "data-testid": "ended-card" },
    picture,
    h("div", { class: "ended__text", role: "status" }, title, detail, message, duration),
    rating.element,
    h("div", { class: "ended__actions" }, again, close),
  );

  return {
    element,
    /** @param {import("./callscreen.js").CallView} call */
    render(call) {
      element.hidden = !call.outcome;
      const rated = call.outcome && RATED.includes(call.outcome) && call.id;
      rating.set(rated ? { id: rated, isBoard: call.scope.kind === "whiteboard_session" } : null);
      if (!call.outcome) return;
      const text = outcomeText(call.outcome, call.other.name);
      element.dataset.outcome = call.outcome;
      fill(picture, avatar(call.other, "large"));
      setText(title, text.title);
      setText(detail, text.detail || `with ${call.other.name}`);
      message.hidden = !call.declineMessage;
      setText(message, call.declineMessage ?? "");
      setText(duration, call.duration === null ? "" : clockText(call.duration));
      setText(againText, call.outcome === "completed" ? "Call again" : "Try again");
      fill(againIcon, icon(call.kind === "video" ? "camera" : "call"));
    },
    /** The card is put away: what was chosen is sent. */
    leave: () => rating.set(null),
    focus() {
      close.focus();
    },
  };
}

/**
 * The dialog of an incoming call, the only one that interrupts everything else.
 *
 * @typedef {import("../../client/model.js").CallKind} CallKind
 */
import { avatar } from "../ui/avatar.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { typeText } from "../ui/names.js";
import { incomingText } from "../ui/words.js";
import { createReplies } from "./replies.js";

/**
 * @param {{onAccept: (kind?: CallKind) => void, onDecline: (message?: string) => void}} actions
 */
export function createIncoming({ onAccept, onDecline }) {
  const picture = h("div", { class: "pulse" });
  const name = h("h2", { class: "incoming__name", id: "incoming-name", "data-testid": "incoming-name" });
  const type = h("p", { class: "muted" });
  const kind = h("p", { class: "incoming__kind", id: "incoming-kind" });
  const recorded = h("p", { class: "incoming__recorded", id: "incoming-recorded", hidden: true, "data-testid": "will-be-recorded" });
  fill(recorded, icon("record"), "This call will be recorded");
  const accept = choice("accept", "Accept", () => onAccept());
  const decline = choice("decline", "Decline", () => onDecline());
  const replies = createReplies(onDecline);
  const withoutVideo = other("accept-voice", "Answer without video", () => onAccept("voice"));
  const withVideo = other("accept-video", "Answer with video", () => onAccept("video"));
  const withMessage = other("decline-with-message", "Decline with a message", () => reply(replies.element.hidden));
  withMessage.setAttribute("aria-controls", "replies");
  const card = h(
    "div",
    {
      class: "incoming__card",
      role: "alertdialog",
      "aria-modal": "true",
      "aria-labelledby": "incoming-kind incoming-name",
      "aria-describedby": "incoming-recorded",
      tabindex: -1,
      "data-testid": "incoming",
    },
    kind,
    picture,
    name,
    type,
    recorded,
    h("div", { class: "incoming__choices" }, decline.element, accept.element),
    h("div", { class: "incoming__more" }, withMessage, withoutVideo, withVideo),
    replies.element,
  );
  const element = h("div", { class: "incoming", hidden: true }, card);

  /** @param {boolean} shown whether what is said by declining is chosen now */
  function reply(shown) {
    withMessage.setAttribute("aria-expanded", String(shown));
    replies.show(shown);
  }

  return {
    element,
    /** @param {Pick<import("../../client/calls/call.js").Call, "other" | "kind" | "willBeRecorded" | "talk">} call */
    show({ other: person, kind: callKind, willBeRecorded, talk }) {
      replies.setKept(talk.chatKept);
      recorded.hidden = !willBeRecorded;
      fill(picture, avatar(person, "huge"));
      setText(name, person.name);
      setText(type, typeText(person.type));
      setText(kind, incomingText(callKind));
      accept.setIcon(callKind === "video" ? "camera" : "call");
      withoutVideo.hidden = callKind !== "video";
      withVideo.hidden = callKind !== "voice";
      reply(false);
      element.hidden = false;
      // Neither button gets the focus: the next space of a user who is typing must not answer the call.
      card.focus();
    },
    hide() {
      element.hidden = true;
    },
  };
}

/**
 * @param {string} name
 * @param {string} label
 * @param {() => void} onclick
 */
function other(name, label, onclick) {
  return h("button", { class: "incoming__other", type: "button", "data-testid": name, onclick }, label);
}

/**
 * @param {"accept" | "decline"} name
 * @param {string} label
 * @param {() => void} onclick
 */
function choice(name, label, onclick) {
  const face = h("span", { class: `bigbutton bigbutton--${name}` }, icon(name === "accept" ? "call" : "hangUp"));
  const element = h("button", { class: "choice", type: "button", "data-testid": name, onclick }, face, label);
  return {
    element,
    /** @param {import("../ui/icons.js").IconName} iconName */
    setIcon(iconName) {
      fill(face, icon(iconName));
    },
  };
}

/**
 * What you settle about being called.
 *
 * @typedef {import("../../client/model.js").Person} Person
 * @typedef {import("../../client/preferences.js").Preferences} Preferences
 * @typedef {import("../../client/preferences.js").Privacy} Privacy
 * @typedef {import("../push.js").PushState} PushState
 */
import { keyOf } from "../../client/model.js";
import { avatar } from "../ui/avatar.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { typeText } from "../ui/names.js";

/** @type {[Privacy, string, string][]} */
const CHOICES = [
  ["everyone", "Everyone", "People who share a conversation or a whiteboard with you"],
  ["connections", "Connections", "Of those, only the people you are connected with"],
  ["nobody", "No one", "You can still call others"],
];

/** @type {Record<PushState, string>} */
const PUSH_TEXTS = {
  unavailable: "",
  off: "Get notifications of calls while you look at something else.",
  page: "This browser tells you of calls as long as this page is open.",
  on: "This browser tells you of calls, also while this page is closed.",
  denied: "Notifications are forbidden in this browser’s settings for this page.",
};

/**
 * @param {{onPreferences: (preferences: Preferences) => void, onBlock: (person: Person, blocked: boolean) => void,
 *   onPush: (on: boolean) => void}} actions
 * @param {() => void} onDevices opens the dialog of camera and sound
 */
export function createSettings({ onPreferences, onBlock, onPush }, onDevices) {
  const radios = CHOICES.map(([value]) => {
    return h("input", { type: "radio", name: "privacy", value, "data-testid": `privacy-${value}`, onchange: changed });
  });
  const disturb = h("input", {
    type: "checkbox",
    role: "switch",
    class: "switch",
    "data-testid": "do-not-disturb",
    onchange: changed,
  });
  const choices = CHOICES.map(([, label, detail], index) => option(radios[index], label, detail));
  const blocks = h("div", { "data-testid": "blocks" });
  const pushText = h("p", { class: "muted" });
  const pushButton = h("button", { class: "button button--primary", type: "button", "data-testid": "push" });
  const push = h(
    "section",
    { class: "card card--row", hidden: true },
    icon("bell"),
    h("div", {}, h("h2", { class: "card__title" }, "Notifications"), pushText),
    pushButton,
  );
  const fields = h(
    "fieldset",
    { class: "settings__fields", disabled: true },
    h(
      "div",
      { class: "card", role: "radiogroup", "aria-label": "Who can call you" },
      h("h2", { class: "card__title" }, "Who can call you"),
      ...choices,
    ),
    h(
      "div",
      { class: "card" },
      option(disturb, "Do not disturb", "Callers hear that you are busy. Their calls are in your list."),
    ),
  );
  const devices = h(
    "section",
    { class: "card card--row" },
    icon("camera"),
    h(
      "div",
      {},
      h("h2", { class: "card__title" }, "Camera and sound"),
      h("p", { class: "muted" }, "See and hear yourself, and choose what your calls use."),
    ),
    h("button", { class: "button button--primary", type: "button", "data-testid": "open-devices", onclick: onDevices }, "Check"),
  );
  const blocked = h("section", { class: "card" }, h("h2", { class: "card__title" }, "Blocked"), blocks);
  const check = h("a", { class: "button button--quiet", href: "connectivity", "data-testid": "connectivity" }, "Test the connection");
  const recordings = h("a", { class: "button button--quiet", href: "recordings", "data-testid": "recordings" }, "Recordings");
  const ringing = h("div", { hidden: true });
  const parts = [devices, fields, ringing, push, blocked, h("div", { class: "settings__links" }, recordings, check)];
  const element = h("div", { class: "home__list settings", "data-testid": "settings" }, ...parts);
  let pushIsOn = false;
  pushButton.addEventListener("click", () => onPush(!pushIsOn));

  function changed() {
    const privacy = /** @type {Privacy} */ (radios.find((radio) => radio.checked)?.value ?? "everyone");
    onPreferences({ privacy, doNotDisturb: disturb.checked });
  }

  return {
    element,
    /** @param {Preferences | null} preferences null: they could not be loaded */
    setPreferences(preferences) {
      fields.disabled = preferences === null;
      if (!preferences) return;
      for (const radio of radios) radio.checked = radio.value === preferences.privacy;
      disturb.checked = preferences.doNotDisturb;
    },
    /** @param {Person[]} people */
    setBlocked(people) {
      const row = (/** @type {Person} */ person) => {
        const attributes = { class: "button button--quiet", type: "button", "data-testid": `unblock-${keyOf(person)}` };
        const lift = h("button", { ...attributes, onclick: () => onBlock(person, false) }, "Unblock");
        const text = h(
          "span",
          { class: "conversation__text" },
          person.name || "Unknown",
          h("span", { class: "muted" }, typeText(person.type)),
        );
        return h("li", { class: "chooser__row" }, avatar(person, "small"), text, lift);
      };
      const empty = h("p", { class: "muted" }, "No one. Block people from the menu beside their name.");
      fill(blocks, people.length ? h("ul", {}, ...people.map(row)) : empty);
    },
    /** Load what the first screen does without. */
    async loadMore() {
      if (!ringing.hidden) return;
      const { createRingingCard } = await import("../ringing/ringingcard.js");
      fill(ringing, createRingingCard());
      ringing.hidden = false;
    },
    /** @param {PushState} state */
    setPush(state) {
      push.hidden = state === "unavailable";
      pushIsOn = state === "on" || state === "page";
      setText(pushText, PUSH_TEXTS[state]);
      pushButton.hidden = state === "denied";
      setText(pushButton, pushIsOn ? "Turn off" : "Turn on");
    },
  };
}

/**
 * @param {HTMLInputElement} input
 * @param {string} label
 * @param {string} detail
 */
function option(input, label, detail) {
  return h(
    "label",
    { class: "option" },
    h("span", { class: "option__text" }, label, h("span", { class: "muted" }, detail)),
    input,
  );
}

/**
 * Who are you? The first screen.
 *
 * @typedef {import("../../client/model.js").ProfileName} ProfileName
 */
import { PROFILE_TYPES, keyOf } from "../../client/model.js";
import { avatar } from "../ui/avatar.js";
import { h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { typeText } from "../ui/names.js";

/** @type {(ProfileName & {name: string})[]} those that a relay in development mode has from the start (`relay/db/demo.py`) */
const DEMO_USERS = [
  { type: "student", id: 456, name: "Maya Lindgren" },
  { type: "tutor", id: 789, name: "Daniel Okafor" },
  { type: "parent", id: 321, name: "Elena Lindgren" },
  { type: "advertiser", id: 654, name: "Victor Hale" },
];

/**
 * @param {{onChoose: (profile: ProfileName) => void}} actions
 */
export function createSignIn({ onChoose }) {
  const problem = h("p", { class: "signin__problem", role: "alert", "data-testid": "signin-problem" });
  const cards = DEMO_USERS.map((user) => userCard(user, () => onChoose(user)));
  const form = otherProfile(onChoose);
  const element = h(
    "main",
    { class: "signin", "data-testid": "signin" },
    h("img", { class: "signin__logo", src: "icon.svg", alt: "", width: 56, height: 56 }),
    h("h1", { class: "signin__title" }, "Who’s calling?"),
    h("p", { class: "signin__lead" }, "Pick a profile to start. Open a second tab with another profile to call yourself."),
    problem,
    h("div", { class: "signin__users" }, ...cards),
    form,
    h("p", { class: "signin__foot" }, "Development sign-in: no password, and only for trying things out."),
  );

  return {
    element,
    /** @param {ProfileName | null} profile whose log-in is in progress */
    setBusy(profile) {
      element.toggleAttribute("aria-busy", profile !== null);
      for (const button of element.querySelectorAll("button")) {
        button.disabled = profile !== null;
        button.classList.toggle("is-busy", profile !== null && button.dataset.key === keyOf(profile));
      }
    },
    /** @param {string} text empty: none */
    setProblem(text) {
      setText(problem, text);
    },
  };
}

/**
 * @param {ProfileName & {name: string}} user
 * @param {() => void} onclick
 */
function userCard(user, onclick) {
  const key = keyOf(user);
  const detail = `${typeText(user.type)} · ${user.id}`;
  return h(
    "button",
    { class: "usercard", type: "button", "data-testid": `user-${key}`, "data-key": key, onclick },
    avatar({ ...user, avatar: "" }, "large"),
    h(
      "span",
      { class: "usercard__text" },
      h("span", { class: "usercard__name" }, user.name),
      h("span", { class: "muted" }, detail),
    ),
    h("span", { class: "usercard__go" }, icon("arrow")),
  );
}

/** @param {(profile: ProfileName) => void} onChoose */
function otherProfile(onChoose) {
  const options = PROFILE_TYPES.map((type) => h("option", { value: type }, typeText(type)));
  const type = h("select", { class: "field", name: "type", "data-testid": "other-type" }, ...options);
  const id = h("input", {
    class: "field",
    name: "id",
    type: "number",
    inputmode: "numeric",
    min: 1,
    max: 2 ** 31 - 1,
    step: 1,
    required: true,
    placeholder: "123",
    "data-testid": "other-id",
  });
  const onsubmit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    onChoose({ type: type.value, id: id.valueAsNumber });
  };
  const form = h(
    "form",
    { class: "otherprofile__form", onsubmit },
    h("label", { class: "otherprofile__label" }, "Type", type),
    h("label", { class: "otherprofile__label" }, "Number", id),
    h("button", { class: "button button--primary", type: "submit", "data-testid": "other-submit" }, "Continue"),
  );
  const summary = h("summary", { "data-testid": "other-profile" }, "Use another profile", icon("chevron"));
  return h("details", { class: "otherprofile" }, summary, form);
}

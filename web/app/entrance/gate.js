/**
 * Outside development mode: the page without a credential, and the question who of two it is.
 *
 * @typedef {import("./entrance.js").GateProblem} GateProblem
 * @typedef {import("./entrance.js").GateView} GateView
 * @typedef {import("../../client/model.js").Person} Person
 */
import { avatar } from "../ui/avatar.js";
import { fill, h, setText } from "../ui/dom.js";
import { nameOf, shortName } from "../ui/names.js";

/** @type {Record<NonNullable<GateProblem>, string>} */
const PROBLEMS = {
  expired: "Your sign-in has expired.",
  not_yet_valid: "Your sign-in is not valid yet: the clock of your platform’s server, or of this one, is wrong. Tell your platform.",
  revoked: "Your platform has withdrawn your sign-in.",
  wrong_service: "This sign-in is for another service, not for calls here.",
  invalid: "The link that you came by has no valid sign-in.",
  other_profile: "Someone else has signed in with this browser.",
  signing_out: "",
  signed_out: "You have signed out.",
  still_signed_in: "The server could not be told, so this browser still keeps your sign-in. Check your connection and try again.",
  signed_out_elsewhere: "You have signed out in another tab.",
  unreachable: "The server can’t be reached. Check your connection and try again.",
};

/** Where signing in would be of no use. @type {Partial<Record<NonNullable<GateProblem>, string>>} */
const TITLES = { unreachable: "Calls are not available", signing_out: "Signing out …", still_signed_in: "You are not signed out yet" };

/** @param {NonNullable<GateProblem>} problem */
export function credentialText(problem) {
  return PROBLEMS[problem] ?? PROBLEMS.invalid;
}

export function createGate() {
  const title = h("h1", { class: "signin__title" });
  const lead = h("p", { class: "signin__lead" });
  const problem = h("p", { class: "signin__problem", role: "alert", "data-testid": "gate-problem" });
  const people = h("div", { class: "gate__people", hidden: true });
  const actions = h("div", { class: "gate__actions" });
  const logo = h("img", { class: "signin__logo", src: "icon.svg", alt: "", width: 56, height: 56 });
  const element = h("main", { class: "signin", hidden: true, "data-testid": "gate" }, logo, title, lead, problem, people, actions);

  return {
    element,
    /** @param {GateView} view */
    show(view) {
      setText(problem, view.problem ? credentialText(view.problem) : "");
      people.hidden = view.question === null;
      if (view.question) ask(view.question);
      else invite(view);
    },
  };

  /** @param {GateView} view */
  function invite({ link, onRetry, problem: what }) {
    const there = link ? "You sign in there, and come back here." : "Open your calls from there.";
    const instead = what && TITLES[what];
    setText(title, instead ?? "Sign in at your platform");
    setText(lead, instead ? "" : `Calls are part of the platform that you use. ${there}`);
    const again = instead ? "Try again" : "Continue here";
    fill(
      actions,
      link && !instead && h("a", { class: "button button--primary", href: link, "data-testid": "gate-link" }, "Sign in"),
      onRetry && h("button", { class: `button ${link ? "button--quiet" : "button--primary"}`, type: "button", onclick: onRetry }, again),
    );
  }

  /** @param {NonNullable<GateView["question"]>} question */
  function ask({ given, present, onAnswer }) {
    setText(title, `Continue as ${nameOf(given)}?`);
    setText(lead, `The link signs in ${nameOf(given)}. In this browser, ${nameOf(present)} is signed in.`);
    fill(people, avatar(present, "large"), avatar(given, "large"));
    const answer = (/** @type {Person} */ person, /** @type {boolean} */ other) => {
      const attributes = { class: `button ${other ? "button--primary" : "button--quiet"}`, type: "button" };
      return h("button", { ...attributes, onclick: () => onAnswer(other) }, `${other ? "Continue as" : "Stay"} ${shortName(nameOf(person))}`);
    };
    fill(actions, answer(given, true), answer(present, false));
  }
}

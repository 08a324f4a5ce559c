/** The notice that the user has to sign in again soon, or else is signed out: a call that goes on would end. */
import { h } from "../ui/dom.js";
import { icon } from "../ui/icons.js";

export function createRenewal() {
  const again = h("a", { class: "renewal__link", target: "_blank", rel: "noopener", "data-testid": "renewal-link" }, "Sign in again");
  const text = h("span", {}, "Your sign-in ends soon.");
  const element = h("div", { class: "renewal", role: "status", hidden: true, "data-testid": "renewal" }, icon("clock"), text, again);
  return {
    element,
    /** @param {string} link where to sign in, in another tab: this one, and its call, stay; empty: it is not known */
    show(link) {
      again.hidden = !link;
      if (link) again.href = link;
      element.hidden = false;
    },
    hide() {
      element.hidden = true;
    },
  };
}

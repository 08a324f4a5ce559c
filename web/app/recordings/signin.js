/** Who looks at recordings: a profile that has signed in on the page of calls, or the platform with its service token. */
import { h, setText } from "../ui/dom.js";

/**
 * @param {(serviceToken: string) => void} onService
 */
export function createSignIn(onService) {
  const token = h("input", { class: "field", type: "password", autocomplete: "off", required: true, "data-testid": "service-token" });
  const problem = h("p", { class: "recsignin__problem", role: "alert", "data-testid": "signin-problem" });
  const submit = h("button", { class: "button button--primary", type: "submit", "data-testid": "service-signin" }, "Show all recordings");
  const form = h(
    "form",
    { class: "recsignin__form" },
    h("label", { class: "recsearch__field" }, h("span", { class: "recsearch__label" }, "Service token"), token),
    h("p", { class: "muted" }, "For quality assurance: RELAY_SERVICE_TOKEN of this relay. It is forgotten when the page is closed."),
    problem,
    submit,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    onService(token.value.trim());
  });
  const element = h(
    "section",
    { class: "recsignin card", hidden: true, "data-testid": "signin" },
    h("h2", { class: "card__title" }, "Sign in to see recordings"),
    h("p", {}, "Your own recordings: ", h("a", { href: "./" }, "sign in on the page of calls"), ", then come back here."),
    form,
  );

  return {
    element,
    /** @param {string} [text] what was wrong with what was tried */
    show(text = "") {
      element.hidden = false;
      token.value = "";
      setText(problem, text);
      if (text) token.focus();
    },
    hide() {
      element.hidden = true;
    },
  };
}

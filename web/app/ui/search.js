/** A field to search by name. */
import { h } from "./dom.js";
import { icon } from "./icons.js";

/**
 * As people search: without case and accents.
 *
 * @param {string} text
 */
export function folded(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/**
 * @param {string} testId
 * @param {string} label
 * @param {(text: string) => void} onSearch
 * @param {number} [delay] milliseconds after the last key, where a search asks the server
 */
export function createSearch(testId, label, onSearch, delay = 0) {
  const field = h("input", {
    class: "field search__field",
    type: "search",
    placeholder: label,
    "aria-label": label,
    maxlength: 200,
    autocomplete: "off",
    spellcheck: "false",
    "data-testid": testId,
    oninput: changed,
  });
  const element = h("div", { class: "search", role: "search" }, icon("search"), field);
  let timer = 0;
  let last = "";

  function changed() {
    clearTimeout(timer);
    if (delay) timer = setTimeout(search, delay);
    else search();
  }

  function search() {
    const text = field.value.trim();
    if (text === last) return;
    last = text;
    onSearch(text);
  }

  return {
    element,
    get text() {
      return last;
    },
    clear() {
      clearTimeout(timer);
      last = field.value = "";
    },
  };
}

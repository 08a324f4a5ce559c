/** A button with a few more behind it. */
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";

/** @typedef {import("./icons.js").IconName} IconName */

/**
 * @param {string} testId of the button; the list has `…-menu`
 * @param {string} label
 * @param {{class: string, icon: IconName, above?: boolean}} look
 */
export function createMenu(testId, label, look) {
  const list = h("div", { class: "menu__list", hidden: true, "data-testid": `${testId}-menu`, "data-above": look.above });
  const button = h(
    "button",
    {
      class: look.class,
      type: "button",
      title: label,
      "aria-label": label,
      "aria-expanded": "false",
      "data-testid": testId,
      onclick: () => show(list.hidden),
    },
    icon(look.icon),
  );
  const element = h("span", { class: "menu", onkeydown: leaveByKey }, button, list);
  /** Alive while the list is open: a click elsewhere closes it. */
  let open = new AbortController();

  /** @param {boolean} shown */
  function show(shown) {
    open.abort();
    list.hidden = !shown;
    button.setAttribute("aria-expanded", String(shown));
    if (!shown) return;
    open = new AbortController();
    const elsewhere = (/** @type {Event} */ event) => {
      if (!element.contains(/** @type {Node} */ (event.target))) show(false);
    };
    for (const type of ["pointerdown", "focusin"]) document.addEventListener(type, elsewhere, { signal: open.signal });
    list.querySelector("button")?.focus();
  }

  /** @param {KeyboardEvent} event */
  function leaveByKey(event) {
    if (event.key !== "Escape" || list.hidden) return;
    event.stopPropagation();
    show(false);
    button.focus();
  }

  return {
    element,
    close: () => show(false),
    /** What is added next is of another kind. */
    separate: () => list.append(h("hr", { class: "menu__line" })),
    /**
     * @param {string} name
     * @param {() => void} onclick
     */
    add(name, onclick) {
      const act = () => {
        show(false);
        button.focus();
        onclick();
      };
      const item = h("button", { class: "menu__item", type: "button", "data-testid": name, onclick: act });
      list.append(item);
      let shown = "";
      return {
        element: item,
        /** @param {string} text @param {IconName} iconName */
        set(text, iconName) {
          if (shown === text) return;
          shown = text;
          fill(item, icon(iconName), text);
        },
      };
    },
  };
}

/** One of several panels at a time (WAI-ARIA Authoring Practices, tabs pattern). */
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/icons.js";

/**
 * @typedef {{name: string, label: string, icon: import("../ui/icons.js").IconName, panel: HTMLElement}} Tab
 */

/**
 * @param {string} label of the whole
 * @param {Tab[]} tabs the first one is shown first
 * @param {(name: string) => void} onShow
 */
export function createTabs(label, tabs, onShow) {
  const badge = h("span", { class: "tabs__badge", hidden: true, "data-testid": "unseen" });
  const buttons = tabs.map(({ name, label: text, icon: iconName, panel }) => {
    const attributes = { class: "tabs__tab", type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}` };
    const button = h("button", { ...attributes, "data-testid": `tab-${name}`, onclick: () => show(name) }, icon(iconName), text);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `tab-${name}`);
    panel.id = `panel-${name}`;
    return button;
  });
  const element = h("div", { class: "tabs", role: "tablist", "aria-label": label, onkeydown: moveByKey }, ...buttons);
  let current = "";

  /** @param {KeyboardEvent} event */
  function moveByKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const index = tabs.findIndex(({ name }) => name === current);
    const next = (index + step + tabs.length) % tabs.length;
    show(tabs[next].name);
    buttons[next].focus();
  }

  /** @param {string} name */
  function show(name) {
    current = name;
    tabs.forEach(({ name: one, panel }, index) => {
      panel.hidden = one !== name;
      buttons[index].setAttribute("aria-selected", String(one === name));
      buttons[index].tabIndex = one === name ? 0 : -1;
    });
    onShow(name);
  }

  return {
    element,
    show,
    get current() {
      return current;
    },
    /**
     * A number at a tab.
     *
     * @param {string} name
     * @param {number} count
     */
    setBadge(name, count) {
      const button = buttons[tabs.findIndex((tab) => tab.name === name)];
      const text = tabs.find((tab) => tab.name === name);
      if (!button || !text) return;
      badge.hidden = count === 0;
      setText(badge, count > 99 ? "99+" : String(count));
      button.setAttribute("aria-label", count ? `${text.label}, ${count} not seen` : text.label);
      if (badge.parentElement !== button) fill(button, icon(text.icon), text.label, badge);
    },
  };
}

/** A long list that is made as far as it is looked at: a thousand rows would take seconds, and most are never seen. */
import { h } from "./dom.js";

/** Rows that are made at a time. */
const STEP = 50;
/** How far ahead of what is seen. */
const AHEAD = "1200px";

/**
 * @template Item
 * @param {Record<string, string>} attributes of the list
 * @param {(item: Item) => HTMLElement} row
 */
export function createGrowingList(attributes, row) {
  const list = h("ul", attributes);
  const end = h("div", {});
  const element = h("div", {}, list, end);
  /** @type {Item[]} */
  let items = [];
  let made = 0;
  const watcher = new IntersectionObserver((seen) => seen.some(({ isIntersecting }) => isIntersecting) && grow(), { rootMargin: AHEAD });

  function grow() {
    const next = items.slice(made, made + STEP);
    made += next.length;
    list.append(...next.map(row));
    watcher.unobserve(end);
    if (made < items.length) watcher.observe(end); // also says at once whether it is still in sight
  }

  return {
    element,
    /** @param {Item[]} all */
    set(all) {
      items = all;
      made = 0;
      list.replaceChildren();
      grow();
    },
  };
}

/** A closer look at the screen that the other party shares: by wheel, by pinching, by keys, and by buttons. */
import { h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { WHOLE, moved, pinched, within, zoomed } from "./zoommath.js";

/** One step of a button or a key. */
const STEP = 1.4;
/** How much a wheel zooms, per pixel that it would scroll; a pinch on a touchpad comes as a wheel with Ctrl, in small steps. */
const BY_WHEEL = 0.0016;
const BY_PAD = 0.01;
/** Pixels that an arrow key moves. */
const MOVE = 60;
/** Milliseconds between two taps that are one double tap. */
const DOUBLE = 300;

/** @typedef {import("./zoommath.js").View} View */

/** @param {HTMLVideoElement} video */
export function createZoom(video) {
  /** @type {View} */
  let view = WHOLE;
  let shown = false;
  let tappedAt = 0;
  /** @type {Map<number, {x: number, y: number}>} fingers, and a mouse that is pressed */
  const pointers = new Map();
  const smaller = button("zoom-out", "Zoom out", "minus", () => step(1 / STEP));
  const larger = button("zoom-in", "Zoom in", "plus", () => step(STEP));
  const whole = button("zoom-fit", "Show the whole screen", "fit", () => set(WHOLE));
  const size = h("output", { class: "zoom__size", "aria-live": "polite", "data-testid": "zoom-size" });
  const element = h(
    "div",
    { class: "zoom", role: "group", "aria-label": "Zoom of the shared screen", hidden: true, "data-testid": "zoom" },
    smaller,
    size,
    larger,
    whole,
  );
  video.setAttribute("aria-label", "Shared screen: plus and minus zoom, the arrow keys move");

  function box() {
    return { width: video.clientWidth, height: video.clientHeight };
  }

  /** @param {View} next */
  function set(next) {
    view = next;
    const { scale, x, y } = view;
    video.style.transform = scale === 1 ? "" : `translate(${x}px, ${y}px) scale(${scale})`;
    video.toggleAttribute("data-zoomed", scale > 1);
    setText(size, `${Math.round(scale * 100)} %`);
    smaller.disabled = whole.disabled = scale <= 1;
    larger.disabled = zoomed(view, STEP, { x: 0, y: 0 }, box()).scale === scale && scale > 1;
  }

  /** @param {number} factor */
  function step(factor) {
    const { width, height } = box();
    set(zoomed(view, factor, { x: width / 2, y: height / 2 }, { width, height }));
  }

  /** Where a pointer is in the box, which does not move when the picture does. @param {MouseEvent} event */
  function at({ clientX, clientY }) {
    const frame = /** @type {HTMLElement} */ (video.offsetParent ?? video).getBoundingClientRect();
    return { x: clientX - frame.left - video.offsetLeft, y: clientY - frame.top - video.offsetTop };
  }

  /** @param {WheelEvent} event */
  function wheel(event) {
    if (!shown) return;
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1);
    set(zoomed(view, Math.exp(-pixels * (event.ctrlKey ? BY_PAD : BY_WHEEL)), at(event), box()));
  }

  /** @param {PointerEvent} event */
  function down(event) {
    if (!shown || event.button !== 0 || pointers.size === 2) return;
    video.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    const now = performance.now();
    if (pointers.size === 1 && now - tappedAt < DOUBLE) {
      set(view.scale > 1 ? WHOLE : zoomed(view, 2.5, at(event), box()));
      tappedAt = 0;
    } else tappedAt = pointers.size === 1 ? now : 0;
  }

  /** @param {PointerEvent} event */
  function move(event) {
    const before = pointers.get(event.pointerId);
    if (!shown || !before) return;
    const after = at(event);
    if (pointers.size === 1) {
      set(moved(view, after.x - before.x, after.y - before.y, box()));
    } else {
      const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
      set(pinched(view, [other, before], [other, after], box()));
    }
    pointers.set(event.pointerId, after);
    if (Math.hypot(after.x - before.x, after.y - before.y) > 2) tappedAt = 0;
  }

  /** @param {PointerEvent} event */
  function up(event) {
    pointers.delete(event.pointerId);
  }

  /** @type {Record<string, () => void>} */
  const KEYS = {
    "+": () => step(STEP),
    "=": () => step(STEP),
    "-": () => step(1 / STEP),
    "0": () => set(WHOLE),
    ArrowLeft: () => set(moved(view, MOVE, 0, box())),
    ArrowRight: () => set(moved(view, -MOVE, 0, box())),
    ArrowUp: () => set(moved(view, 0, MOVE, box())),
    ArrowDown: () => set(moved(view, 0, -MOVE, box())),
  };

  /** @param {KeyboardEvent} event */
  function pressed(event) {
    if (!shown || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  }

  video.addEventListener("wheel", wheel, { passive: false });
  video.addEventListener("pointerdown", down);
  video.addEventListener("pointermove", move);
  for (const type of /** @type {const} */ (["pointerup", "pointercancel"])) video.addEventListener(type, up);
  video.addEventListener("keydown", pressed);
  element.addEventListener("keydown", pressed);
  new ResizeObserver(() => set(within(view, box()))).observe(video);
  set(WHOLE);

  return {
    element,
    /** @param {boolean} isShown a screen is shared, and seen */
    render(isShown) {
      if (isShown === shown) return;
      shown = isShown;
      element.hidden = !shown;
      if (shown) video.tabIndex = 0;
      else video.removeAttribute("tabindex");
      pointers.clear();
      set(WHOLE);
    },
  };
}

/**
 * @param {string} name
 * @param {string} label
 * @param {import("../ui/icons.js").IconName} iconName
 * @param {() => void} onclick
 */
function button(name, label, iconName, onclick) {
  const attributes = { class: "zoom__button", type: "button", title: label, "aria-label": label, "data-testid": name, onclick };
  return h("button", attributes, icon(iconName));
}

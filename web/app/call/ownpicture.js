/**
 * What the own picture says and how it is moved: to any corner, by dragging it or by arrow keys.
 *
 * @typedef {import("./viewchoice.js").Corner} Corner
 */
import { h } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";

/** Pixels that a pointer has to move before that is a drag, not a click. */
const DRAG = 6;

/**
 * @param {HTMLElement} element of the own picture
 * @param {{onHide: () => void, onCorner: (corner: Corner) => void}} actions
 */
export function createOwnPicture(element, { onHide, onCorner }) {
  const muted = h("span", { class: "own__badge own__badge--alert", hidden: true, "data-testid": "own-muted" }, icon("microphoneOff"), "Muted");
  const paused = h("span", { class: "own__badge", hidden: true, "data-testid": "own-paused" }, icon("cameraOff"), "Not sent");
  const label = "Hide your picture";
  const attributes = { class: "own__hide", type: "button", title: label, "aria-label": label, "data-testid": "hide-own", onclick: onHide };
  const hide = h("button", attributes, icon("close"));
  element.append(h("span", { class: "own__badges" }, muted, paused), hide);
  element.setAttribute("role", "group");
  /** @type {{x: number, y: number, moved: boolean} | null} where a drag began */
  let drag = null;
  let movable = false;

  element.addEventListener("pointerdown", (event) => {
    if (!movable || event.button !== 0 || hide.contains(/** @type {Node} */ (event.target))) return;
    drag = { x: event.clientX, y: event.clientY, moved: false };
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
    drag.moved ||= Math.hypot(x, y) >= DRAG;
    if (!drag.moved) return;
    element.toggleAttribute("data-dragged", true);
    element.style.setProperty("--drag-x", `${x}px`);
    element.style.setProperty("--drag-y", `${y}px`);
  });
  for (const type of ["pointerup", "pointercancel"]) element.addEventListener(type, drop);
  element.addEventListener("keydown", (event) => {
    if (!movable || event.target !== element || !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    const [vertical, horizontal] = cornerOf(element).split("-");
    const next = {
      ArrowLeft: `${vertical}-left`,
      ArrowRight: `${vertical}-right`,
      ArrowUp: `top-${horizontal}`,
      ArrowDown: `bottom-${horizontal}`,
    }[event.key];
    if (next) onCorner(/** @type {Corner} */ (next));
  });

  /** @param {Event} event */
  function drop({ type }) {
    const wasDragged = drag?.moved === true && type === "pointerup";
    const corner = cornerOf(element);
    drag = null;
    element.removeAttribute("data-dragged");
    for (const name of ["--drag-x", "--drag-y"]) element.style.removeProperty(name);
    if (wasDragged) onCorner(corner);
  }

  return {
    /** @param {import("./callscreen.js").CallView} call @param {boolean} canMove */
    render(call, canMove) {
      movable = canMove;
      hide.hidden = !call.isAnswered;
      muted.hidden = !call.leg.muted;
      paused.hidden = !call.leg.videoPaused;
      if (movable) element.tabIndex = 0;
      else element.removeAttribute("tabindex");
      element.setAttribute("aria-label", movable ? "Your picture. Arrow keys move it to another corner." : "Your picture");
    },
  };
}

/** The corner that an element is nearest to. @param {HTMLElement} element @returns {Corner} */
function cornerOf(element) {
  const [inner, outer] = [element.getBoundingClientRect(), (element.offsetParent ?? element).getBoundingClientRect()];
  const vertical = inner.top + inner.bottom < outer.top + outer.bottom ? "top" : "bottom";
  const horizontal = inner.left + inner.right < outer.left + outer.right ? "left" : "right";
  return /** @type {Corner} */ (`${vertical}-${horizontal}`);
}

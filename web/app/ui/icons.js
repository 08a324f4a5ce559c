/**
 * The icons, drawn on 24 × 24, in the colour of the text around them: here those of the first screen, which is to come soon; the
 * others are in `moreicons.js`.
 *
 * @typedef {keyof typeof FIRST | import("./moreicons.js").MoreIconName} IconName
 */

const SVG = "http://www.w3.org/2000/svg";

/** A telephone's handset, lying: as it is, it hangs up; turned, it calls. */
const HANDSET =
  "M2.8 14.6c0-1.2.5-2.3 1.4-3.1C6.3 9.6 9.1 8.6 12 8.6s5.7 1 7.8 2.9c.9.8 1.4 1.9 1.4 3.1v.7c0 .9-.8 1.6-1.7 1.4l-2.8-.4" +
  "c-.8-.1-1.3-.7-1.3-1.5v-1.6c-1.1-.4-2.2-.6-3.4-.6s-2.3.2-3.4.6v1.6c0 .8-.5 1.4-1.3 1.5l-2.8.4c-.9.2-1.7-.5-1.7-1.4z";

/** @typedef {{tag: "path" | "rect" | "circle" | "g", [attribute: string]: string}} Shape */

/** @param {string} d @returns {Shape} */
export const line = (d) => ({ tag: "path", d });
/** @type {Shape} */
export const SLASH = { tag: "path", d: "M4 4l16 16" };
/** @type {Shape[]} */
const CAMERA = [
  { tag: "rect", x: "2.8", y: "6.2", width: "12.7", height: "11.6", rx: "3" },
  line("M15.5 10.8l4.1-2.6c.7-.4 1.6.1 1.6.9v5.8c0 .8-.9 1.3-1.6.9l-4.1-2.6"),
];

/** @satisfies {Record<string, Shape[]>} */
const FIRST = {
  call: [{ tag: "path", d: HANDSET, fill: "currentColor", stroke: "none", transform: "rotate(-135 12 12)" }],
  hangUp: [{ tag: "path", d: HANDSET, fill: "currentColor", stroke: "none" }],
  camera: CAMERA,
  cameraOff: [...CAMERA, SLASH],
  close: [line("M6.5 6.5l11 11M17.5 6.5l-11 11")],
  swap: [line("M4 8.5h14l-3.5-3.5M20 15.5H6l3.5 3.5")],
  more: /** @type {Shape[]} */ (
    [5.5, 12, 18.5].map((cx) => ({ tag: "circle", cx: String(cx), cy: "12", r: "1.6", fill: "currentColor", stroke: "none" }))
  ),
  clock: [{ tag: "circle", cx: "12", cy: "12", r: "8.5" }, line("M12 7.2V12l3.2 2")],
  people: [
    { tag: "circle", cx: "9.5", cy: "8.5", r: "3.5" },
    line("M3 19.5c.4-3.4 3-5.5 6.5-5.5s6.1 2.1 6.5 5.5M16.2 5.3a3.5 3.5 0 0 1 0 6.4M18.2 14.6c1.6.8 2.6 2.4 2.8 4.9"),
  ],
  sliders: [
    line("M4 7.5h8M17 7.5h3M4 16.5h3M12 16.5h8"),
    { tag: "circle", cx: "14.5", cy: "7.5", r: "2.3" },
    { tag: "circle", cx: "9.5", cy: "16.5", r: "2.3" },
  ],
  block: [{ tag: "circle", cx: "12", cy: "12", r: "8.5" }, line("M6 6l12 12")],
  board: [
    { tag: "rect", x: "3", y: "4", width: "18", height: "12.5", rx: "2" },
    line("M9 20.5l3-4 3 4M7 12.5c2-4.5 3.5 1.5 5.5-1.5s2.5-2 4.5-2"),
  ],
  search: [{ tag: "circle", cx: "10.8", cy: "10.8", r: "6.3" }, line("M15.5 15.5l4.5 4.5")],
  alert: [{ tag: "circle", cx: "12", cy: "12", r: "9" }, line("M12 7.5v5.2M12 16.2v.1")],
  bubble: [line("M4 11.2C4 7.2 7.6 4 12 4s8 3.2 8 7.2-3.6 7.2-8 7.2c-.9 0-1.8-.1-2.6-.4L5 20l1-3.6c-1.3-1.3-2-3.2-2-5.2z")],
};

/** @type {Partial<Record<IconName, Shape[]>>} */
const icons = { ...FIRST };

/** @param {Partial<Record<IconName, Shape[]>>} more */
export function addIcons(more) {
  Object.assign(icons, more);
}

/**
 * An icon for the eye only: the control that carries it has a name of its own.
 *
 * @param {IconName} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const frame = { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", fill: "none", stroke: "currentColor" };
  setAll(svg, { ...frame, "stroke-width": "1.8", "stroke-linecap": "round", "stroke-linejoin": "round" });
  for (const { tag, ...attributes } of icons[name] ?? []) {
    const shape = document.createElementNS(SVG, tag);
    setAll(shape, attributes);
    svg.append(shape);
  }
  return svg;
}

/**
 * @param {Element} element
 * @param {Record<string, string>} attributes
 */
function setAll(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

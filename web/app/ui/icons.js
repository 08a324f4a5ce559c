/** The icons, drawn on 24 × 24, in the colour of the text around them. */

const SVG = "http://www.w3.org/2000/svg";

/** A telephone's handset, lying: as it is, it hangs up; turned, it calls. */
const HANDSET =
  "M2.8 14.6c0-1.2.5-2.3 1.4-3.1C6.3 9.6 9.1 8.6 12 8.6s5.7 1 7.8 2.9c.9.8 1.4 1.9 1.4 3.1v.7c0 .9-.8 1.6-1.7 1.4l-2.8-.4" +
  "c-.8-.1-1.3-.7-1.3-1.5v-1.6c-1.1-.4-2.2-.6-3.4-.6s-2.3.2-3.4.6v1.6c0 .8-.5 1.4-1.3 1.5l-2.8.4c-.9.2-1.7-.5-1.7-1.4z";

/** @typedef {{tag: "path" | "rect" | "circle" | "g", [attribute: string]: string}} Shape */

/** @param {string} d @returns {Shape} */
const line = (d) => ({ tag: "path", d });
/** @type {Shape} */
const SLASH = { tag: "path", d: "M4 4l16 16" };
/** @type {Shape[]} */
const MICROPHONE = [
  { tag: "rect", x: "9", y: "3", width: "6", height: "11", rx: "3" },
  line("M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3"),
];
/** @type {Shape[]} */
const CAMERA = [
  { tag: "rect", x: "2.8", y: "6.2", width: "12.7", height: "11.6", rx: "3" },
  line("M15.5 10.8l4.1-2.6c.7-.4 1.6.1 1.6.9v5.8c0 .8-.9 1.3-1.6.9l-4.1-2.6"),
];

/** @type {Shape[]} */
const MONITOR = [{ tag: "rect", x: "3", y: "4.5", width: "18", height: "12", rx: "2.5" }, line("M9 20h6")];

/** @satisfies {Record<string, Shape[]>} */
const ICONS = {
  call: [{ tag: "path", d: HANDSET, fill: "currentColor", stroke: "none", transform: "rotate(-135 12 12)" }],
  hangUp: [{ tag: "path", d: HANDSET, fill: "currentColor", stroke: "none" }],
  camera: CAMERA,
  cameraOff: [...CAMERA, SLASH],
  microphone: MICROPHONE,
  microphoneOff: [...MICROPHONE, SLASH],
  close: [line("M6.5 6.5l11 11M17.5 6.5l-11 11")],
  swap: [line("M4 8.5h14l-3.5-3.5M20 15.5H6l3.5 3.5")],
  arrow: [line("M5 12h13.5M13 6.5l5.5 5.5-5.5 5.5")],
  screen: [...MONITOR, line("M12 13.5V8M9.6 10.2L12 7.8l2.4 2.4")],
  screenOff: [...MONITOR, line("M9.7 8.2l4.6 4.6M14.3 8.2l-4.6 4.6")],
  more: /** @type {Shape[]} */ (
    [5.5, 12, 18.5].map((cx) => ({ tag: "circle", cx: String(cx), cy: "12", r: "1.6", fill: "currentColor", stroke: "none" }))
  ),
  pause: [line("M9 6v12M15 6v12")],
  play: [line("M8 5.8v12.4l10-6.2z")],
  record: [
    { tag: "circle", cx: "12", cy: "12", r: "9" },
    { tag: "circle", cx: "12", cy: "12", r: "4.6", fill: "currentColor", stroke: "none" },
  ],
  backdrop: [
    { tag: "circle", cx: "12", cy: "10.5", r: "3.6" },
    line("M5 20.5c.5-3.4 3.3-5.4 7-5.4s6.5 2 7 5.4"),
    .../** @type {[number, number][]} */ ([[12, 3], [6.9, 5], [17.1, 5], [4.3, 9.8], [19.7, 9.8], [3.4, 14.9], [20.6, 14.9]]).map(
      ([cx, cy]) => /** @type {Shape} */ ({ tag: "circle", cx: `${cx}`, cy: `${cy}`, r: "1", fill: "currentColor", stroke: "none" }),
    ),
  ],
  stop: [{ tag: "rect", x: "6.5", y: "6.5", width: "11", height: "11", rx: "2" }],
  transfer: [
    line("M13.5 5h5.5v5.5M19 5l-7.5 7.5M10 5H7a2.5 2.5 0 0 0-2.5 2.5V17A2.5 2.5 0 0 0 7 19.5h9.5A2.5 2.5 0 0 0 19 17v-3"),
  ],
  send: [line("M4.5 12L20 4.5 15 20l-3.2-6.2zM11.8 13.8L20 4.5")],
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
  bell: [line("M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15zM10 20.5h4")],
  board: [
    { tag: "rect", x: "3", y: "4", width: "18", height: "12.5", rx: "2" },
    line("M9 20.5l3-4 3 4M7 12.5c2-4.5 3.5 1.5 5.5-1.5s2.5-2 4.5-2"),
  ],
  incoming: [line("M18 6L7 17M7 8.5V17h8.5")],
  outgoing: [line("M6 18L17 7M8.5 7H17v8.5")],
  download: [line("M12 4.5v10.5M7.5 10.8L12 15.3l4.5-4.5M5 19.5h14")],
  trash: [line("M4.5 7h15M9.5 7V4.8h5V7M6.5 7l.9 12.5h9.2L17.5 7M10.3 10.8v5.2M13.7 10.8v5.2")],
  film: [{ tag: "rect", x: "3", y: "5", width: "18", height: "14", rx: "2.5" }, line("M8 5v14M16 5v14M3 12h18")],
  back: [line("M8.2 8.5H4.2v-4M4.6 8.2A8.5 8.5 0 1 1 3.6 13")],
  forth: [line("M15.8 8.5h4v-4M19.4 8.2A8.5 8.5 0 1 0 20.4 13")],
  speaker: [line("M4 9.5v5h3.5l4.5 4v-13l-4.5 4zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11")],
  speakerOff: [line("M4 9.5v5h3.5l4.5 4v-13l-4.5 4zM15.5 9.5l5 5M20.5 9.5l-5 5")],
  search: [{ tag: "circle", cx: "10.8", cy: "10.8", r: "6.3" }, line("M15.5 15.5l4.5 4.5")],
  star: [line("M12 3.6l2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.7-5.2 2.7 1-5.8-4.2-4.1 5.8-.8z")],
  check: [line("M5 12.5l4.5 4.5L19 7.5")],
  expand: [line("M9.5 4.5h-5v5M14.5 4.5h5v5M9.5 19.5h-5v-5M14.5 19.5h5v-5")],
  shrink: [line("M4.5 9.5h5v-5M19.5 9.5h-5v-5M4.5 14.5h5v5M19.5 14.5h-5v5")],
  smallWindow: [
    { tag: "rect", x: "3", y: "5", width: "18", height: "14", rx: "2.5" },
    { tag: "rect", x: "12", y: "11.5", width: "6.5", height: "5", rx: "1.2", fill: "currentColor", stroke: "none" },
  ],
  columns: [{ tag: "rect", x: "3", y: "5.5", width: "7.8", height: "13", rx: "2" }, { tag: "rect", x: "13.2", y: "5.5", width: "7.8", height: "13", rx: "2" }],
  corner: [{ tag: "rect", x: "3", y: "5", width: "18", height: "14", rx: "2.5" }, { tag: "rect", x: "13", y: "12", width: "5.5", height: "4.5", rx: "1" }],
  eye: [line("M2.8 12c2-3.9 5.3-6 9.2-6s7.2 2.1 9.2 6c-2 3.9-5.3 6-9.2 6s-7.2-2.1-9.2-6z"), { tag: "circle", cx: "12", cy: "12", r: "2.8" }],
  eyeOff: [line("M2.8 12c2-3.9 5.3-6 9.2-6s7.2 2.1 9.2 6c-2 3.9-5.3 6-9.2 6s-7.2-2.1-9.2-6z"), SLASH],
  keyboard: [{ tag: "rect", x: "2.5", y: "6", width: "19", height: "12", rx: "2.5" }, line("M6.5 10h.1M10.2 10h.1M13.9 10h.1M17.5 10h.1M8 14.2h8")],
  device: [{ tag: "rect", x: "3", y: "5", width: "11", height: "9", rx: "1.6" }, line("M2.5 17.5H11"), { tag: "rect", x: "14.5", y: "9", width: "6.5", height: "11", rx: "1.6" }],
  copy: [{ tag: "rect", x: "8.5", y: "8.5", width: "11", height: "11", rx: "2.4" }, line("M5.5 15.2A2 2 0 0 1 4.5 13.5v-7a2 2 0 0 1 2-2h7a2 2 0 0 1 1.7 1")],
  clip: [line("M19.5 11.2l-7.6 7.6a4.6 4.6 0 0 1-6.5-6.5l7.9-7.9a3.1 3.1 0 0 1 4.4 4.4l-7.9 7.9a1.6 1.6 0 0 1-2.2-2.2l7.2-7.2")],
  file: [line("M7 3.5h6.5L18.5 8.5V19a1.5 1.5 0 0 1-1.5 1.5H7A1.5 1.5 0 0 1 5.5 19V5A1.5 1.5 0 0 1 7 3.5zM13.2 3.8V9h5")],
  noise: [line("M3.5 12h2l1.5-4 2.5 9 2.5-11 2.5 8 1.5-3.5 1.2 1.5h3.3")],
  music: [{ tag: "circle", cx: "7", cy: "17.5", r: "2.8" }, { tag: "circle", cx: "17", cy: "15.5", r: "2.8" }, line("M9.8 17.5V6.5l10-2.2v11.2")],
  plus: [line("M12 5.5v13M5.5 12h13")],
  minus: [line("M5.5 12h13")],
  fit: [line("M4.5 9V5.5A1 1 0 0 1 5.5 4.5H9M15 4.5h3.5a1 1 0 0 1 1 1V9M19.5 15v3.5a1 1 0 0 1-1 1H15M9 19.5H5.5a1 1 0 0 1-1-1V15")],
  chevron: [line("M7 10l5 5 5-5")],
  plug: [line("M5 14.5v-2a7 7 0 0 1 14 0v2M5 14.5h3v5H6.5A1.5 1.5 0 0 1 5 18zM19 14.5h-3v5h1.5A1.5 1.5 0 0 0 19 18z")],
  flip: [line("M4 9a8.5 8.5 0 0 1 14.5-3L20 7.5M20 3.5v4h-4M20 15a8.5 8.5 0 0 1-14.5 3L4 16.5M4 20.5v-4h4")],
  alert: [{ tag: "circle", cx: "12", cy: "12", r: "9" }, line("M12 7.5v5.2M12 16.2v.1")],
  bubble: [line("M4 11.2C4 7.2 7.6 4 12 4s8 3.2 8 7.2-3.6 7.2-8 7.2c-.9 0-1.8-.1-2.6-.4L5 20l1-3.6c-1.3-1.3-2-3.2-2-5.2z")],
};

/** @typedef {keyof typeof ICONS} IconName */

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
  for (const { tag, ...attributes } of /** @type {Shape[]} */ (ICONS[name])) {
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

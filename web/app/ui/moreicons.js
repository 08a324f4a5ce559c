/** The icons that the first screen does without. A module that shows one takes `icon` from here. */
import { SLASH, addIcons, line } from "./icons.js";

/** @typedef {import("./icons.js").Shape} Shape */

/** @type {Shape[]} */
const MICROPHONE = [
  { tag: "rect", x: "9", y: "3", width: "6", height: "11", rx: "3" },
  line("M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3"),
];
/** @type {Shape[]} */
const MONITOR = [{ tag: "rect", x: "3", y: "4.5", width: "18", height: "12", rx: "2.5" }, line("M9 20h6")];

/** @satisfies {Record<string, Shape[]>} */
const MORE = {
  microphone: MICROPHONE,
  microphoneOff: [...MICROPHONE, SLASH],
  arrow: [line("M5 12h13.5M13 6.5l5.5 5.5-5.5 5.5")],
  screen: [...MONITOR, line("M12 13.5V8M9.6 10.2L12 7.8l2.4 2.4")],
  screenOff: [...MONITOR, line("M9.7 8.2l4.6 4.6M14.3 8.2l-4.6 4.6")],
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
  bell: [line("M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15zM10 20.5h4")],
  incoming: [line("M18 6L7 17M7 8.5V17h8.5")],
  outgoing: [line("M6 18L17 7M8.5 7H17v8.5")],
  download: [line("M12 4.5v10.5M7.5 10.8L12 15.3l4.5-4.5M5 19.5h14")],
  trash: [line("M4.5 7h15M9.5 7V4.8h5V7M6.5 7l.9 12.5h9.2L17.5 7M10.3 10.8v5.2M13.7 10.8v5.2")],
  film: [{ tag: "rect", x: "3", y: "5", width: "18", height: "14", rx: "2.5" }, line("M8 5v14M16 5v14M3 12h18")],
  back: [line("M8.2 8.5H4.2v-4M4.6 8.2A8.5 8.5 0 1 1 3.6 13")],
  forth: [line("M15.8 8.5h4v-4M19.4 8.2A8.5 8.5 0 1 0 20.4 13")],
  speaker: [line("M4 9.5v5h3.5l4.5 4v-13l-4.5 4zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11")],
  speakerOff: [line("M4 9.5v5h3.5l4.5 4v-13l-4.5 4zM15.5 9.5l5 5M20.5 9.5l-5 5")],
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
};

/** @typedef {keyof typeof MORE} MoreIconName */

addIcons(/** @type {Record<MoreIconName, Shape[]>} */ (MORE));

export { icon } from "./icons.js";

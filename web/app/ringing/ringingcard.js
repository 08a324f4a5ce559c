/** How this browser rings: which tone, and how loud. */
import { h, setText } from "../ui/dom.js";
import { Sounds } from "../sounds.js";
import { RINGTONES, ringing, setRinging } from "./ringtones.js";

/** Milliseconds that a tone is tried for: once through. */
const TRIAL = 2_600;

export function createRingingCard() {
  const sounds = new Sounds();
  const { tone, volume } = ringing();
  const tones = h(
    "select",
    { class: "field", id: "ringtone", "data-testid": "ringtone", onchange: () => changed(true) },
    ...RINGTONES.map(([name, label]) => h("option", { value: name, selected: name === tone }, label)),
  );
  const loudness = h("input", {
    class: "ringing__volume",
    id: "ring-volume",
    type: "range",
    min: 0,
    max: 100,
    step: 5,
    value: Math.round(volume * 100),
    "data-testid": "ring-volume",
    oninput: () => changed(false),
    onchange: () => changed(true),
  });
  const trial = h("button", { class: "button button--quiet", type: "button", "data-testid": "try-ringtone", onclick: () => play() }, "Play");
  const level = h("output", { class: "ringing__level", for: "ring-volume" });
  const element = h(
    "section",
    { class: "card" },
    h("h2", { class: "card__title" }, "Ringing"),
    h("p", { class: "muted" }, "How this browser rings when you are called."),
    h(
      "div",
      { class: "ringing" },
      h("label", { class: "ringing__label", for: "ringtone" }, "Ringtone"),
      tones,
      trial,
      h("label", { class: "ringing__label", for: "ring-volume" }, "Volume"),
      loudness,
      level,
    ),
  );
  let timer = 0;
  show();

  function show() {
    const isSilent = tones.value === "none";
    loudness.disabled = isSilent;
    trial.disabled = isSilent;
    setText(level, `${loudness.value} %`);
    loudness.setAttribute("aria-valuetext", `${loudness.value} percent`);
  }

  /** @param {boolean} isFinal */
  function changed(isFinal) {
    const next = /** @type {import("./ringtones.js").Ringtone} */ (tones.value);
    setRinging({ tone: next, volume: Number(loudness.value) / 100 });
    show();
    if (isFinal) play();
  }

  function play() {
    clearTimeout(timer);
    sounds.silence();
    const chosen = ringing();
    if (chosen.tone === "none" || chosen.volume === 0) return;
    sounds.ring(chosen.tone, chosen.volume);
    timer = setTimeout(() => sounds.silence(), TRIAL);
  }

  return element;
}

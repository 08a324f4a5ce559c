/**
 * The dialog of camera, microphone and speaker: what they see and hear, and which ones are used. Before a call it has media of its
 * own; during a call it shows and changes those of the call.
 *
 * @typedef {import("../../client/media/devices.js").Device} Device
 * @typedef {import("../../client/media/devices.js").DeviceKind} DeviceKind
 * @typedef {import("../../client/media/localmedia.js").LocalMedia} LocalMedia
 */
import { createBackgroundPicker } from "../background/picker.js";
import { cameraOf } from "../../client/media/background.js";
import { chosenDevice } from "../../client/media/devices.js";
import { watchLevel } from "../../client/media/level.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { canChooseSpeaker, playTestSound } from "./speaker.js";
import { problemText } from "./words.js";

/** Loudness from 0 to 1 that counts as a voice. */
const AUDIBLE = 0.35;

/** @type {Record<DeviceKind, string>} */
const LABELS = { camera: "Camera", microphone: "Microphone", speaker: "Speaker" };

/**
 * @param {{onChoose: (kind: DeviceKind, device: Device | null) => void, onClose: () => void}
 *   & Parameters<typeof createBackgroundPicker>[0]} actions
 */
export function createDevicePanel({ onChoose, onBackground, onClose }) {
  const video = h("video", { class: "devices__video", autoplay: true, playsinline: true, "data-testid": "camera-preview" });
  video.muted = true; // the attribute alone does not count for an element made by script
  const dark = h("p", { class: "devices__dark" });
  const picture = h("div", { class: "devices__picture" }, video, dark);
  const meter = h("div", {
    class: "devices__meter",
    role: "meter",
    "aria-label": "Level of the microphone",
    "aria-valuemin": 0,
    "aria-valuemax": 100,
    "aria-valuenow": 0,
    "data-testid": "microphone-level",
  });
  const heard = h("p", { class: "devices__hint muted", role: "status", "data-testid": "microphone-hint" });
  const test = h(
    "button",
    { class: "button button--quiet devices__test", type: "button", "data-testid": "test-speaker", onclick: () => void play() },
    icon("speaker"),
    "Play a sound",
  );
  const played = h("p", { class: "devices__hint muted", role: "status", "data-testid": "speaker-hint" });
  const fields = {
    camera: createField("camera", picture),
    microphone: createField("microphone", meter, heard),
    speaker: createField("speaker", test, played),
  };
  const background = createBackgroundPicker({ onBackground });
  const done = h(
    "button",
    { class: "button button--primary", type: "button", "data-testid": "devices-done", onclick: () => element.close() },
    "Done",
  );
  const element = h(
    "dialog",
    { class: "dialog devices", "aria-labelledby": "devices-title", "data-testid": "devices" },
    h("h2", { class: "dialog__title", id: "devices-title" }, "Camera and sound"),
    fields.camera.element,
    background.element,
    fields.microphone.element,
    fields.speaker.element,
    h("div", { class: "dialog__actions" }, done),
  );
  /** @type {LocalMedia | null} */
  let media = null;
  /** @type {MediaStreamTrack | null} whose level is shown */
  let listened = null;
  let stopListening = () => {};
  let wasHeard = false;
  element.addEventListener("close", () => {
    media?.removeEventListener("change", render);
    media = null;
    listen(null);
    video.srcObject = null;
    onClose();
  });

  /** @param {DeviceKind} kind @param {(Node | string)[]} parts */
  function createField(kind, ...parts) {
    const select = h("select", { class: "field", id: `choose-${kind}`, "data-testid": `choose-${kind}` });
    const problem = h("p", { class: "devices__problem", role: "status", hidden: true, "data-testid": `${kind}-trouble` });
    /** @type {Device[]} */
    let devices = [];
    select.addEventListener("change", () => onChoose(kind, devices.find(({ id }) => id === select.value) ?? null));
    const label = h("label", { class: "devices__label", for: `choose-${kind}` }, LABELS[kind]);
    return {
      element: h("div", { class: "devices__part", "data-kind": kind }, label, select, problem, ...parts),
      /** @param {Device[]} all @param {string} used the id of the one in use; empty: unknown */
      setDevices(all, used) {
        devices = all.filter((one) => one.kind === kind);
        const options = devices.map(({ id, label: text }, index) => {
          return h("option", { value: id }, text || `${LABELS[kind]} ${index + 1}`);
        });
        fill(select, h("option", { value: "" }, "System’s choice"), ...options);
        const choice = chosenDevice(kind);
        const known = devices.find(({ id }) => id === (used || choice?.id)) ?? devices.find(({ label: text }) => text === choice?.label);
        select.value = choice && known ? known.id : "";
        select.disabled = devices.length === 0;
      },
      /** @param {{title: string, help: string} | null} text */
      setProblem(text) {
        problem.hidden = text === null;
        setText(problem, text ? `${text.title}. ${text.help}` : "");
      },
    };
  }

  function render() {
    if (!media) return;
    const { camera, microphone, cameraOn, problems, stream } = media;
    for (const input of /** @type {const} */ (["camera", "microphone"])) {
      const problem = problems[input];
      fields[input].setProblem(problem && problemText(input, problem));
    }
    const source = camera && cameraOn ? stream : null;
    if (video.srcObject !== source) {
      video.srcObject = source;
      if (source) video.play().catch(() => {}); // replaced while it loaded
    }
    picture.hidden = !source && problems.camera !== null;
    picture.classList.toggle("devices__picture--off", !source);
    picture.classList.toggle("devices__picture--back", cameraOf(camera)?.getSettings().facingMode === "environment");
    setText(dark, source || problems.camera ? "" : stream ? "Your camera is off" : "One moment…");
    background.render(media.backgroundState);
    listen(microphone);
    meter.hidden = heard.hidden = !microphone;
  }

  /** @param {MediaStreamTrack | null} track */
  function listen(track) {
    if (track === listened) return;
    stopListening();
    stopListening = () => {};
    listened = track;
    wasHeard = false;
    setText(heard, "Say something: the bar moves with your voice.");
    if (!track) return;
    stopListening = watchLevel(track, (level) => {
      const muted = media?.muted ?? false;
      meter.style.setProperty("--level", String(muted ? 0 : level));
      meter.setAttribute("aria-valuenow", String(Math.round(level * 100)));
      wasHeard ||= level > AUDIBLE;
      if (muted) setText(heard, "You are muted in this call.");
      else if (wasHeard) setText(heard, "Your microphone works.");
    });
  }

  async function play() {
    test.disabled = true;
    setText(played, "You hear a sound now, if this is the right speaker.");
    try {
      await playTestSound(chosenDevice("speaker")?.id ?? "");
      setText(played, "Nothing heard? Choose another speaker, or turn up the volume.");
    } catch {
      setText(played, "Your browser could not play the sound.");
    }
    test.disabled = false;
  }

  return {
    element,
    get isOpen() {
      return element.open;
    },
    /** @param {LocalMedia} next what is shown and changed @param {"background"} [part] that it is opened for */
    open(next, part) {
      media?.removeEventListener("change", render);
      media = next;
      media.addEventListener("change", render);
      setText(played, canChooseSpeaker() ? "" : "This browser plays on the speaker that your system prefers.");
      render();
      if (!element.open) element.showModal();
      if (part === "background") background.focus();
    },
    close: () => element.close(),
    /** @param {Device[]} all */
    setDevices(all) {
      const idOf = (/** @type {MediaStreamTrack | null | undefined} */ track) => track?.getSettings().deviceId ?? "";
      fields.camera.setDevices(all, idOf(cameraOf(media?.camera)));
      fields.microphone.setDevices(all, idOf(media?.microphone));
      fields.speaker.setDevices(canChooseSpeaker() ? all : [], "");
    },
  };
}

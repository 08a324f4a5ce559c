/** The video elements of a call. In a voice call, the other person's shows no video but plays the audio. */
import { cameraOf } from "../../client/media/background.js";
import { h } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { playOn } from "../devices/speaker.js";

/** Share of the video that may be cropped to fill the screen; more would crop heads. */
const MOST_CUT = 0.4;

/**
 * The media of the other person: their video and audio, or their screen.
 *
 * @param {"remote-video" | "remote-screen"} name
 * @param {() => void} onFrame called when the first frame has arrived
 */
export function createRemoteVideo(name, onFrame) {
  const kind = name === "remote-video" ? "call__person" : "call__screen";
  const element = h("video", { class: `call__remote ${kind}`, autoplay: true, playsinline: true, "data-testid": name });
  /** @type {"auto" | "fill" | "fit"} */
  let wanted = "auto";
  const fit = () => {
    const [width, height] = [element.videoWidth, element.videoHeight];
    if (!width || !height || !element.clientHeight) return;
    const ratio = (width * element.clientHeight) / (height * element.clientWidth);
    const whole = wanted === "auto" ? Math.min(ratio, 1 / ratio) < 1 - MOST_CUT : wanted === "fit";
    if (name === "remote-video") element.dataset.fit = whole ? "contain" : "cover";
  };
  element.addEventListener("resize", () => {
    fit();
    onFrame();
  });
  new ResizeObserver(fit).observe(element);

  return {
    element,
    hasFrame: () => element.videoWidth > 0,
    /** How the video is shown now: whole, or so that it fills its part of the screen. */
    fit: () => (element.dataset.fit === "contain" ? "contain" : "cover"),
    /** @param {"auto" | "fill" | "fit"} choice `auto`: whole if too much of it would be cut off */
    setFit(choice) {
      if (wanted === choice) return;
      wanted = choice;
      fit();
    },
    /** @param {string} id of a speaker; empty: the one that the system prefers */
    hearOn: (id) => void playOn(element, id),
    /** @param {MediaStream} stream */
    play(stream) {
      if (element.srcObject === stream || !stream.getTracks().length) return;
      element.srcObject = stream;
      element.play().catch((error) => {
        // Autoplay policy: a page without a user gesture may not play audio; the next click anywhere is enough.
        if (error.name !== "NotAllowedError") return;
        document.addEventListener("pointerdown", () => void element.play().catch(() => {}), { once: true });
      });
    },
    clear() {
      element.srcObject = null;
    },
  };
}

/** The own video, mirrored as in a mirror. */
export function createLocalVideo() {
  const video = h("video", { class: "own__video", autoplay: true, playsinline: true, "data-testid": "local-video" });
  video.muted = true; // the attribute alone does not count for an element made by script
  const off = h("span", { class: "own__off" }, icon("cameraOff"), "Camera off");
  const element = h("div", { class: "own", hidden: true }, video, off);

  return {
    element,
    /** @param {MediaStream | null} stream @param {{shown: boolean, on: boolean}} state */
    render(stream, { shown, on }) {
      element.hidden = !shown;
      // What is in front of the user is not in a mirror: letters would be reversed.
      element.classList.toggle("own--back", cameraOf(stream?.getVideoTracks()[0])?.getSettings().facingMode === "environment");
      element.classList.toggle("own--off", !on);
      const source = shown ? stream : null;
      if (video.srcObject === source) return;
      video.srcObject = source;
      if (source) video.play().catch(() => {}); // replaced while it loaded
    },
  };
}

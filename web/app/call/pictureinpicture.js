/**
 * The call in a small window above all others: with controls where the browser has such windows (Document Picture-in-Picture), the
 * video alone where it does not.
 *
 * @typedef {import("./callscreen.js").CallView} CallView
 */
import { avatar } from "../ui/avatar.js";
import { fill, h, setText } from "../ui/dom.js";
import { icon } from "../ui/moreicons.js";
import { statusText } from "../ui/words.js";

/** Pixels. */
const SIZE = { width: 380, height: 250 };

/**
 * @param {HTMLVideoElement} video of the other party, for browsers that can show nothing else
 * @param {{onMute: () => void, onEnd: () => void, onChange: () => void}} actions
 */
export function createPictureInPicture(video, { onMute, onEnd, onChange }) {
  /** @type {{requestWindow: (size: typeof SIZE) => Promise<Window>} | undefined} not known to TypeScript */
  const windows = /** @type {any} */ (window).documentPictureInPicture;
  /** @type {Window | null} */
  let open = null;
  const content = createContent({ onMute, onEnd });
  for (const type of ["enterpictureinpicture", "leavepictureinpicture"]) video.addEventListener(type, onChange);

  async function openWindow() {
    if (!windows) return;
    open = await windows.requestWindow(SIZE);
    for (const link of document.querySelectorAll("link[rel=stylesheet]")) {
      open.document.head.append(h("link", { rel: "stylesheet", href: /** @type {HTMLLinkElement} */ (link).href }));
    }
    open.document.title = document.title;
    open.document.documentElement.lang = "en";
    open.document.body.append(content.element);
    open.addEventListener("pagehide", () => {
      open = null;
      onChange();
    });
  }

  return {
    isPossible: Boolean(windows) || document.pictureInPictureEnabled === true,
    get isOpen() {
      return open !== null || document.pictureInPictureElement === video;
    },
    async toggle() {
      try {
        if (this.isOpen) this.close();
        else if (windows) await openWindow();
        else await video.requestPictureInPicture();
      } catch {
        // No picture yet, or no permission of the page around this one.
      }
      onChange();
    },
    close() {
      open?.close();
      open = null;
      if (document.pictureInPictureElement) void document.exitPictureInPicture().catch(() => {});
    },
    /** @param {CallView} call @param {string} view */
    render(call, view) {
      if (call.isOver) this.close();
      else if (open) content.render(call, view);
    },
  };
}

/** @param {{onMute: () => void, onEnd: () => void}} actions */
function createContent({ onMute, onEnd }) {
  const picture = h("div", { class: "small__picture" });
  const video = h("video", { class: "small__video", autoplay: true, playsinline: true });
  video.muted = true; // the page itself plays the audio
  const name = h("p", { class: "small__name" });
  const status = h("p", { class: "small__status", role: "status" });
  const mute = h("button", { class: "control", type: "button", "data-testid": "small-mute", onclick: onMute });
  const label = { title: "End call", "aria-label": "End call" };
  const end = h("button", { class: "control control--end", type: "button", ...label, onclick: onEnd }, icon("hangUp"));
  const controls = h("div", { class: "small__controls", role: "group", "aria-label": "Call controls" }, mute, end);
  const element = h("main", { class: "small" }, picture, video, h("div", { class: "small__text" }, name, status), controls);
  let shown = "";

  return {
    element,
    /** @param {CallView} call @param {string} view */
    render(call, view) {
      const { leg, other } = call;
      const stream = view === "screen" ? leg.remoteScreen : leg.remoteStream;
      video.hidden = view !== "screen" && view !== "video";
      if (video.srcObject !== stream) video.srcObject = stream;
      if (video.paused) void video.play().catch(() => {});
      setText(name, other.name);
      const text = statusText(call);
      setText(status, text === "Connected" ? "" : text);
      const next = `${leg.muted} ${other.name}`;
      if (next === shown) return;
      shown = next;
      fill(picture, avatar(other, "large"));
      fill(mute, icon(leg.muted ? "microphoneOff" : "microphone"));
      mute.dataset.off = String(leg.muted);
      mute.title = leg.muted ? "Unmute microphone" : "Mute microphone";
      mute.setAttribute("aria-label", mute.title);
    },
  };
}

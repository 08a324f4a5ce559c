/**
 * Why a microphone, a camera or a screen cannot be used, and what to do about it in this browser.
 *
 * @typedef {import("../../client/media/media.js").MediaProblem} MediaProblem
 * @typedef {import("../../client/media/media.js").InputKind} InputKind
 * @typedef {InputKind | "screen"} Source
 * @typedef {"chrome" | "chrome-android" | "firefox" | "firefox-android" | "safari" | "ios" | "other"} BrowserName
 */

/**
 * @param {string} [agent]
 * @param {number} [touchPoints] an iPad says that it is a Mac, but for these
 * @returns {BrowserName} by where its settings for a page are
 */
export function browserName(agent = navigator.userAgent, touchPoints = navigator.maxTouchPoints) {
  if (/iPhone|iPad|iPod/.test(agent) || (/Macintosh/.test(agent) && touchPoints > 1)) return "ios";
  if (/Firefox\//.test(agent)) return /Android/.test(agent) ? "firefox-android" : "firefox";
  if (/Chrom(e|ium)\//.test(agent)) return /Android/.test(agent) ? "chrome-android" : "chrome";
  return /Safari\//.test(agent) ? "safari" : "other";
}

/** @type {Record<BrowserName, (device: string) => string>} */
const PLACES = {
  chrome: (device) => `Press the icon to the left of the address, and allow the ${device}.`,
  "chrome-android": (device) => `Press the icon to the left of the address, then “Permissions”, and allow the ${device}.`,
  firefox: (device) => `Press the crossed-out ${device} to the left of the address, and remove the block.`,
  "firefox-android": (device) => `Press the shield to the left of the address, and allow the ${device}.`,
  safari: (device) => `In the menu bar, choose Safari, then “Settings for this website”, and allow the ${device}.`,
  ios: (device) => `Press the icon beside the address, then “Website settings”, and allow the ${device}.`,
  other: (device) => `Allow the ${device} in your browser’s settings for this page.`,
};

/** @type {Record<Source, Record<MediaProblem, [title: string, help: string]>>} an empty help: it is the browser's */
const TEXTS = {
  microphone: {
    denied: ["Your microphone is blocked", ""],
    missing: ["No microphone found", "Connect one, and it is used at once."],
    busy: ["Your microphone can’t be used", "Another program may be using it. Close that, then try again."],
    insecure: ["Your microphone needs a secure page", "Open this page over https."],
    silenced: ["Your microphone is silent", "Your system, or a switch on the microphone, has turned it off."],
  },
  camera: {
    denied: ["Your camera is blocked", ""],
    missing: ["No camera found", "Connect one, then turn the camera on."],
    busy: ["Your camera can’t be used", "Another program may be using it. Close that, then try again."],
    insecure: ["Your camera needs a secure page", "Open this page over https."],
    silenced: ["Your camera shows nothing", "Your system, or a switch on the camera, has turned it off."],
  },
  screen: {
    denied: ["Your screen can’t be shared", "Your system doesn’t let the browser record it. Allow that in the system’s privacy settings."],
    missing: ["There is nothing to share", "Your browser found no screen and no window."],
    busy: ["This can’t be shared right now", "Choose another window or screen, or try again."],
    insecure: ["Sharing needs a secure page", "Open this page over https."],
    silenced: ["This can’t be shared right now", "Choose another window or screen, or try again."],
  },
};

/**
 * @param {Source} source
 * @param {MediaProblem} problem
 * @param {BrowserName} [browser]
 * @returns {{title: string, help: string}} what is wrong, and what to do about it
 */
export function problemText(source, problem, browser = browserName()) {
  const [title, help] = TEXTS[source][problem];
  if (help) return { title, help };
  return { title, help: isForbidden(source) ? "The page around this one doesn’t allow it." : PLACES[browser](source) };
}

/**
 * Whether the page around this one keeps a device from it (Permissions Policy), as far as the browser tells.
 *
 * @param {Source} source
 */
function isForbidden(source) {
  const policy = /** @type {any} Chromium's name for it */ (document).featurePolicy;
  return window !== window.parent && policy?.allowsFeature?.(source) === false;
}

/**
 * @param {import("../../client/media/localmedia.js").DeviceLoss} loss
 * @returns {string} empty: the device's problem is shown anyway
 */
export function lossText({ input, lost, now }) {
  if (now === null) return "";
  const what = lost || `Your ${input}`;
  return now && now !== lost ? `${what} is gone. Your ${input} is now ${now}.` : `${what} was gone for a moment. It works again.`;
}

/**
 * @param {import("../../client/media/devices.js").Device[]} parts of one device
 * @returns {string}
 */
export function arrivalText(parts) {
  const label = parts[0].label.replace(/^Default - /, "");
  return `${label} is connected.`;
}

/**
 * @param {import("../../client/media/devices.js").Device[]} parts
 */
export function useText(parts) {
  const kinds = new Set(parts.map(({ kind }) => kind));
  return kinds.has("microphone") || !kinds.has("camera") ? "Use it" : "Use this camera";
}

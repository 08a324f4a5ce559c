/**
 * How a call makes itself noticed: sounds, the phone's vibration, and a notification while the page is out of sight.
 *
 * @typedef {import("../../client/calls/call.js").Call} Call
 */
import { Sounds } from "../sounds.js";
import { wantsNotifications } from "../push.js";
import { incomingText } from "../ui/words.js";
import { ringing } from "./ringtones.js";

/** Milliseconds of vibration and of pauses. */
const VIBRATION = [400, 200, 400];
/** Milliseconds from one vibration to the next. */
const PERIOD = 3_000;

export class Ringer {
  #sounds = new Sounds();
  #base;
  /** @type {Call | null} that rings */
  #call = null;
  #timer = 0;
  /** Takes back the notification. */
  #withdraw = () => {};

  /** @param {string} base URL that everything of the server is relative to */
  constructor(base) {
    this.#base = base;
    document.addEventListener("visibilitychange", () => this.#announce());
  }

  /** @param {Call} call that comes in */
  ring(call) {
    const { tone, volume } = ringing();
    if (tone === "none" || volume === 0) this.#sounds.silence();
    else this.#sounds.ring(tone, volume);
    if (this.#call === call) return;
    this.#rest();
    this.#call = call;
    this.#vibrate();
    this.#timer = setInterval(() => this.#vibrate(), PERIOD);
    this.#announce();
  }

  ringback() {
    this.#rest();
    this.#sounds.ringback();
  }

  farewell() {
    this.#rest();
    this.#sounds.farewell();
  }

  silence() {
    this.#rest();
    this.#sounds.silence();
  }

  #rest() {
    if (!this.#call) return;
    this.#call = null;
    clearInterval(this.#timer);
    navigator.vibrate?.(0);
    this.#withdraw();
    this.#withdraw = () => {};
  }

  #vibrate() {
    // Before a click, browsers refuse it, and write an error to the console.
    if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.(VIBRATION);
  }

  /** Say it outside of the page, if it is not seen. */
  #announce() {
    const call = this.#call;
    this.#withdraw();
    this.#withdraw = () => {};
    if (!call || !document.hidden || !wantsNotifications()) return;
    const options = {
      body: incomingText(call.kind),
      icon: new URL("icon.svg", this.#base).href,
      tag: call.id ?? "call",
      requireInteraction: true,
    };
    this.#withdraw = notify(`${call.other.name} is calling`, options, this.#base);
  }
}

/**
 * @param {string} title
 * @param {NotificationOptions} options
 * @param {string} base
 * @returns {() => void} takes it back
 */
function notify(title, options, base) {
  try {
    const notification = new Notification(title, options);
    notification.addEventListener("click", () => {
      window.focus();
      notification.close();
    });
    return () => notification.close();
  } catch {
    // Chromium on Android knows notifications of service workers only.
    const shown = navigator.serviceWorker?.getRegistration(base).then(async (registration) => {
      await registration?.showNotification(title, { ...options, data: { answer: options.tag } });
      return registration;
    });
    return () => {
      void shown?.then(async (registration) => {
        for (const one of (await registration?.getNotifications({ tag: options.tag })) ?? []) one.close();
      });
    };
  }
}

/**
 * Notifications of calls: by the page while it is out of sight, and by the service worker while no page is open (Web Push). No DOM.
 *
 * @typedef {"unavailable" | "off" | "page" | "on" | "denied"} PushState `unavailable`: this browser has no such thing. `page`: while
 *   the page is open, and no longer.
 */
import { ApiError } from "../client/api.js";

/** Whether the user has turned them off here. Browsers do not take a permission back for a page. */
const TURNED_OFF = "call-relay.notifications-off";

/** Whether the page may notify its user, and is to. */
export function wantsNotifications() {
  return "Notification" in window && Notification.permission === "granted" && !isTurnedOff();
}

function isTurnedOff() {
  try {
    return localStorage.getItem(TURNED_OFF) !== null;
  } catch {
    return false;
  }
}

/** @param {boolean} isOff */
function turnOffHere(isOff) {
  try {
    if (isOff) localStorage.setItem(TURNED_OFF, "yes");
    else localStorage.removeItem(TURNED_OFF);
  } catch {
    // Storage may be forbidden: then the permission decides.
  }
}

export class Push {
  #api;
  #base;
  /** @type {string | null} */
  #key = null;

  /**
   * @param {import("../client/api.js").Api} api
   * @param {string} base URL that everything of the server is relative to
   */
  constructor(api, base) {
    this.#api = api;
    this.#base = base;
  }

  /** @returns {Promise<PushState>} */
  async state() {
    if (!("Notification" in window)) return "unavailable";
    if (Notification.permission === "denied") return "denied";
    if ("serviceWorker" in navigator && "PushManager" in window) {
      try {
        this.#key = (await this.#api.get("api/push/key")).key || null;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
      }
    }
    if (!wantsNotifications()) return "off";
    if (!this.#key) return "page";
    const registration = await navigator.serviceWorker.getRegistration(this.#base);
    return (await registration?.pushManager.getSubscription()) ? "on" : "page";
  }

  /**
   * To be called by a click: browsers do not ask otherwise.
   *
   * @returns {Promise<PushState>}
   */
  async turnOn() {
    if ((await Notification.requestPermission()) !== "granted") return Notification.permission === "denied" ? "denied" : "off";
    turnOffHere(false);
    if (!this.#key) return "page";
    const registration = await navigator.serviceWorker.register(new URL("sw.js", this.#base));
    await navigator.serviceWorker.ready;
    const options = { userVisibleOnly: true, applicationServerKey: this.#key };
    try {
      const subscription = await registration.pushManager.subscribe(options);
      await this.#api.send("POST", "api/push/subscriptions", subscription.toJSON());
      return "on";
    } catch (error) {
      console.info("no notifications while the page is closed:", error); // the browser has no push service, or cannot reach it
      return "page";
    }
  }

  /** @returns {Promise<PushState>} */
  async turnOff() {
    turnOffHere(true);
    await this.forget();
    return "off";
  }

  /** This browser gets no notifications for the profile any more. */
  async forget() {
    const registration = await navigator.serviceWorker?.getRegistration(this.#base);
    const subscription = await registration?.pushManager?.getSubscription();
    if (!subscription) return;
    try {
      await this.#api.send("DELETE", "api/push/subscriptions", { endpoint: subscription.endpoint });
    } finally {
      // A server that could not be told learns it from the push service, which refuses what it sends (RFC 8030, section 7.3).
      await subscription.unsubscribe();
    }
  }
}

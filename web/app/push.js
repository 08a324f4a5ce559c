/**
 * Notifications of calls while no page is open (Web Push). No DOM.
 *
 * @typedef {"unavailable" | "off" | "on" | "denied"} PushState `unavailable`: this browser, or this server, has no such thing.
 */
import { ApiError } from "../client/api.js";

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
    if (!("serviceWorker" in navigator) || !("PushManager" in window) || !("Notification" in window)) return "unavailable";
    try {
      this.#key = (await this.#api.get("api/push/key")).key || null;
    } catch (error) {
      if (error instanceof ApiError) return "unavailable";
      throw error;
    }
    if (!this.#key) return "unavailable";
    if (Notification.permission === "denied") return "denied";
    const registration = await navigator.serviceWorker.getRegistration(this.#base);
    return (await registration?.pushManager.getSubscription()) ? "on" : "off";
  }

  /**
   * To be called by a click: browsers do not ask otherwise.
   *
   * @returns {Promise<PushState>}
   */
  async turnOn() {
    if (!this.#key) return "unavailable";
    if ((await Notification.requestPermission()) !== "granted") return "denied";
    const registration = await navigator.serviceWorker.register(new URL("sw.js", this.#base));
    await navigator.serviceWorker.ready;
    const options = { userVisibleOnly: true, applicationServerKey: this.#key };
    const subscription = await registration.pushManager.subscribe(options);
    await this.#api.send("POST", "api/push/subscriptions", subscription.toJSON());
    return "on";
  }

  /** Turn it off where it is on. */
  async forget() {
    if (await (await navigator.serviceWorker?.getRegistration(this.#base))?.pushManager?.getSubscription()) await this.turnOff();
  }

  /** @returns {Promise<PushState>} */
  async turnOff() {
    const registration = await navigator.serviceWorker.getRegistration(this.#base);
    const subscription = await registration?.pushManager.getSubscription();
    if (subscription) {
      await this.#api.send("DELETE", "api/push/subscriptions", { endpoint: subscription.endpoint });
      await subscription.unsubscribe();
    }
    return "off";
  }
}

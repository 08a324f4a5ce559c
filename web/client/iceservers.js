/**
 * The TURN servers by which media of this page may go. In a cluster each relays to the calls of its own node only, nodes come and
 * go, and credentials end: they are asked for anew before each peer connection. No DOM.
 */

/** Milliseconds for which an answer is taken as new: a page that comes back to its call opens its media twice. */
const NEW = 2_000;
/** Milliseconds that a call waits for an answer. Those that are known will do, as a rule. */
const PATIENCE = 1_000;

export class IceServers {
  /** @type {RTCIceServer[]} as they were told last */
  current;
  #api;
  /** Milliseconds of `performance.now()`. */
  #answeredAt = -Infinity;
  /** @type {Promise<void> | null} */
  #asking = null;

  /**
   * @param {import("./api.js").Api} api of a profile that is signed in
   * @param {RTCIceServer[]} known those that it was told when it signed in
   */
  constructor(api, known) {
    this.#api = api;
    this.current = known;
  }

  /** Ask for them anew. Done when they have come, cannot be had, or take longer than a call should wait. */
  async renew() {
    if (performance.now() - this.#answeredAt < NEW) return;
    const asking = (this.#asking ??= this.#ask());
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
    await Promise.race([asking, late]);
    if (this.#asking === asking) this.#asking = null; // a request that hangs must not stand for the next one
  }

  async #ask() {
    try {
      this.current = (await this.#api.get("api/ice-servers")).ice_servers;
      this.#answeredAt = performance.now();
    } catch (error) {
      console.info("the TURN servers stay as they were:", error); // the server is away, say, and media may still flow
    }
  }
}

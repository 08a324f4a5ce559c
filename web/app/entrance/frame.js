/**
 * The page around this one, where this one is in a frame: it gives tokens (docs/embedding.md). The browser shows the page in a
 * frame only where the Content-Security-Policy allows it; here messages of any other page are ignored.
 */

/** Milliseconds: the page around this one may have to ask its own server. */
const PATIENCE = 10_000;

export const isFramed = window.parent !== window;

export class ParentPage {
  #origins;
  /** @type {((token: string) => void) | null} */
  #waiting = null;

  /**
   * @param {string[]} origins that may have this page in a frame
   * @param {(token: string) => void} onToken for a token that was not asked for
   */
  constructor(origins, onToken) {
    this.#origins = origins;
    addEventListener("message", ({ data, origin, source }) => {
      if (source !== window.parent || !this.#origins.includes(origin)) return;
      if (data?.type !== "call_relay_token" || typeof data.token !== "string") return;
      const take = this.#waiting ?? onToken;
      this.#waiting = null;
      take(data.token);
    });
  }

  /**
   * @param {import("../../client/credentials.js").Reason} reason
   * @returns {Promise<string | null>} null: it does not answer
   */
  ask(reason) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting = null;
        resolve(null);
      }, PATIENCE);
      this.#waiting = (token) => {
        clearTimeout(timer);
        resolve(token);
      };
      // To any origin: it says nothing that a page would not know, and browsers write a mistaken origin to the console.
      window.parent.postMessage({ type: "call_relay_token_needed", reason }, "*");
    });
  }
}

/**
 * The server's clock, seen from here. A device's own clock may be minutes off, and both sides of a call must show the same
 * duration, so everything that is counted is counted in the server's time.
 */
export class ServerClock {
  /** Milliseconds to add to our clock. */
  #offset = -Infinity;

  /** Forget what was learnt: our own clock may have been set since. Called at each new connection. */
  reset() {
    this.#offset = -Infinity;
  }

  /**
   * Learn from the time at which a message was sent. Each message is late by its transit time, so the
   * largest offset seen is the one nearest to the truth.
   *
   * @param {number} serverTime milliseconds since 1970
   */
  observe(serverTime) {
    this.#offset = Math.max(this.#offset, serverTime - Date.now());
  }

  /** Milliseconds since 1970, by the server's clock; by ours until the server has sent its own. */
  now() {
    return Date.now() + (Number.isFinite(this.#offset) ? this.#offset : 0);
  }
}

/** Keeps the screen on during a call: a phone that goes dark stops the camera, and some stop the page. */

export function createWakeLock() {
  let wanted = false;
  let asking = false;
  /** @type {WakeLockSentinel | null} */
  let lock = null;

  async function take() {
    // Not in every browser, and only for pages that are to be seen: it is asked for again when this one is.
    if (!wanted || lock || asking || document.hidden || !navigator.wakeLock) return;
    asking = true;
    try {
      lock = await navigator.wakeLock.request("screen");
      lock.addEventListener("release", () => (lock = null));
    } catch {
      // The battery is low, or the page around this one does not allow it.
    }
    asking = false;
    if (!wanted) release();
  }

  function release() {
    void lock?.release().catch(() => {});
    lock = null;
  }

  document.addEventListener("visibilitychange", () => void take());

  return {
    /** @param {boolean} on */
    keep(on) {
      if (wanted === on) return;
      wanted = on;
      if (on) void take();
      else release();
    },
  };
}

/** What is said about changing the background. */

/** @typedef {import("../../client/media/background.js").FilterState} FilterState */

/** @type {Record<FilterState, string>} */
export const STATE_TEXTS = {
  starting: "One moment. Until it is ready, your whole video is blurred.",
  working: "",
  slow: "This device is too slow for it: your video is choppy.",
  failed: "That didn’t work. Your video stays dark, so that your background isn’t seen.",
};

/**
 * @param {FilterState | null} state
 * @returns {{title: string, help: string, action: string} | null} what the user is to know of in a call
 */
export function troubleText(state) {
  if (state === "failed") {
    return { title: "Your background can’t be hidden", help: "Your video is dark, so that it isn’t seen.", action: "Show my video" };
  }
  if (state === "slow") {
    const title = "Your video is choppy";
    return { title, help: "This device is too slow to change your background.", action: "Show my background" };
  }
  return null;
}

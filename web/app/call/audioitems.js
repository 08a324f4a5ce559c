/**
 * The entries of the call's menu that say how the microphone is heard.
 *
 * @typedef {import("../../client/media/audiomode.js").AudioMode} AudioMode
 */

/**
 * @param {ReturnType<typeof import("../ui/menu.js").createMenu>} menu
 * @param {{onAudioMode: (mode: AudioMode) => void}} actions
 */
export function createAudioItems(menu, { onAudioMode }) {
  /** @type {AudioMode} */
  let mode = "speech";
  const noise = menu.add("noise", () => onAudioMode(mode === "plain" ? "speech" : "plain"));
  const music = menu.add("music", () => onAudioMode(mode === "music" ? "speech" : "music"));

  return {
    /** @param {AudioMode} next */
    render(next) {
      mode = next;
      noise.element.hidden = mode === "music"; // which suppresses nothing
      noise.set(mode === "plain" ? "Suppress noise" : "Stop suppressing noise", "noise");
      music.set(mode === "music" ? "Leave music mode" : "Music mode: stereo, wear headphones", "music");
    },
  };
}

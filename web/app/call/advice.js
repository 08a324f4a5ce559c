/** One sentence that helps where a line is poor. */
import { shortName } from "../ui/names.js";

/** Share of packets lost, and milliseconds there and back, from which they are what makes a line poor. */
const MUCH_LOSS = 0.03;
const LONG_WAY = 350;

/**
 * @param {Pick<import("./callscreen.js").CallView, "other" | "phase" | "talk" | "care">} call
 * @returns {{about: "your line" | "their line" | "", text: string}} empty where there is nothing to say, or something else says it
 */
export function adviceOf({ other, phase, talk, care }) {
  const { yours } = talk.qualities;
  if (phase === "connected" && !talk.isHeld && care.isPoor && yours) {
    return care.video === "sending" ? { about: "your line", text: ownAdvice(yours) } : { about: "", text: "" };
  }
  if (phase !== "connected" || talk.isHeld || !care.otherIsPoor) return { about: "", text: "" };
  return { about: "their line", text: `${shortName(other.name)}’s connection is poor: speak slowly, and repeat what matters.` };
}

/** @param {import("../../client/quality.js").PathQuality} path */
function ownAdvice({ loss, roundTrip, route }) {
  if (route === "tcp" || route === "turn-tcp" || route === "turn-tls") {
    return "Your network slows calls down. Another one may do better, such as your phone’s.";
  }
  if (loss >= MUCH_LOSS) return "Your connection loses data. Move closer to your Wi-Fi, or use a cable.";
  if (roundTrip !== null && roundTrip >= LONG_WAY) return "Your connection is slow. Stop downloads, and turn a VPN off.";
  return "Your connection is poor. Stop downloads and videos that use it, too.";
}

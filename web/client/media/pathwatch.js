/** What there is to see of the path that media takes to the relay. No DOM. */
import { PERIOD } from "./recovery.js";

/**
 * Look at it again and again, once both sides have agreed on a description.
 *
 * @param {RTCPeerConnection} peerConnection
 * @param {(sight: import("./recovery.js").Sight) => void} onSight
 * @returns {() => void} ends the watch
 */
export function watchPath(peerConnection, onSight) {
  let stopped = false;
  let looking = false;
  const timer = setInterval(async () => {
    if (looking || peerConnection.signalingState === "closed") return;
    const credentials = /^a=ice-ufrag:.*/m.exec(peerConnection.currentRemoteDescription?.sdp ?? "")?.[0];
    if (!credentials) return;
    looking = true;
    const report = await peerConnection.getStats().catch(() => null); // closed meanwhile
    looking = false;
    if (report && !stopped) onSight({ state: peerConnection.connectionState, credentials, ...seenIn(report) });
  }, PERIOD);
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}

/** @param {RTCStatsReport} report */
function seenIn(report) {
  let packets = 0;
  /** @type {any} of types that TypeScript does not know */
  let pair;
  report.forEach((entry) => {
    if (entry.type === "inbound-rtp") packets += entry.packetsReceived ?? 0;
    if (entry.type === "transport") pair ??= report.get(entry.selectedCandidatePairId);
    if (entry.type === "candidate-pair" && entry.selected) pair = entry; // Firefox
  });
  const local = pair && report.get(pair.localCandidateId);
  // A path through TURN has a `relayProtocol`, whatever the type of its candidate.
  return { packets, roundabout: Boolean(local) && (local.relayProtocol !== undefined || local.protocol !== "udp") };
}

/**
 * What there is to see of the path that media takes to the relay. No DOM.
 *
 * @typedef {import("./recovery.js").Sight & Omit<import("./reception.js").Seen, "frames"> & {frames: Map<string, number>}}
 *   PathSight `frames` of each incoming track, by its id
 */
import { PERIOD } from "./recovery.js";

/**
 * Look at it again and again, once both sides have agreed on a description.
 *
 * @param {RTCPeerConnection} peerConnection
 * @param {(sight: PathSight) => void} onSight
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
  let [packets, audio, sent] = [0, 0, 0];
  /** @type {Map<string, number>} */
  const frames = new Map();
  /** @type {any} of types that TypeScript does not know */
  let [pair, transport] = [undefined, undefined];
  report.forEach((entry) => {
    if (entry.type === "outbound-rtp") sent += entry.packetsSent ?? 0;
    if (entry.type === "inbound-rtp") {
      packets += entry.packetsReceived ?? 0;
      if (entry.kind === "audio") audio += entry.packetsReceived ?? 0;
      else frames.set(entry.trackIdentifier, entry.framesReceived ?? 0);
    }
    if (entry.type === "transport") {
      transport ??= entry;
      pair ??= report.get(entry.selectedCandidatePairId);
    }
    if (entry.type === "candidate-pair" && entry.selected) pair = entry; // Firefox
  });
  const local = pair && report.get(pair.localCandidateId);
  // RTCP counts in the transport alone (Chromium), or in what the pair has received (Firefox).
  const [ofTransport, ofPair] = [transport?.packetsReceived, pair?.lastPacketReceivedTimestamp ?? pair?.bytesReceived];
  const counters = [ofTransport, ofPair, pair?.requestsReceived, pair?.responsesReceived];
  const anything = counters.reduce((sum, counter) => sum + (counter ?? 0), packets);
  // A path through TURN has a `relayProtocol`, whatever the type of its candidate.
  const roundabout = Boolean(local) && (local.relayProtocol !== undefined || local.protocol !== "udp");
  return { packets, audio, sent, anything, frames, roundabout, showsChecks: pair?.responsesReceived !== undefined };
}

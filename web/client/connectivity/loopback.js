/**
 * A loop-back call: two peer connections of this page that call each other through the relay, over one path. No DOM.
 *
 * @typedef {import("./report.js").Figures} Figures
 * @typedef {import("./report.js").Hop} Hop
 * @typedef {import("./report.js").Target} Target
 */
import { candidates, only, turnServer } from "./descriptions.js";
import { HopFailed, after } from "./client.js";

/** Milliseconds for a path to connect. */
const PATH_TIMEOUT = 5_000;
/** Milliseconds of the call that are measured. */
const CALL_TIME = 3_000;

/** Firefox connects to no TURN server at such an address, whatever network there is. */
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/;
const isFirefox = /\bFirefox\//.test(navigator.userAgent);

/** @type {Partial<Record<Hop, ["turn" | "turns", "udp" | "tcp"]>>} */
const TURN = { turn_udp: ["turn", "udp"], turn_tcp: ["turn", "tcp"], turn_tls: ["turns", "tcp"] };

export class LoopbackCall {
  /** @type {Target[]} the addresses that are tried; empty: the relay does not offer this path, and there is no call */
  targets = [];
  /** Whether this browser can try; what it cannot says nothing about the network. */
  isTried = true;
  #path;
  #caller;
  #callee;

  /**
   * @param {Hop} path
   * @param {RTCConfiguration} configuration
   * @param {MediaStream} media that the caller sends
   * @param {(stream: MediaStream) => void} onReceived called with the media that comes back
   */
  constructor(path, configuration, media, onReceived) {
    this.#path = path;
    this.#caller = new RTCPeerConnection(configuration);
    this.#callee = new RTCPeerConnection(configuration);
    for (const track of media.getTracks()) {
      this.#caller.addTransceiver(track, { direction: "sendonly", streams: [media] });
    }
    this.#callee.addEventListener("track", ({ streams: [stream] }) => stream && onReceived(stream));
  }

  /**
   * Negotiate a call; `connected` waits for it.
   *
   * @param {Hop} path
   * @param {import("./client.js").ProbeSocket} socket
   * @param {RTCIceServer[]} iceServers
   * @param {MediaStream} media
   * @param {(stream: MediaStream) => void} onReceived
   * @throws {import("./client.js").HopFailed} the relay refuses the call
   */
  static async begin(path, socket, iceServers, media, onReceived) {
    const turn = TURN[path] && turnServer(iceServers, ...TURN[path]);
    /** @type {RTCConfiguration} */
    const configuration = turn ? { iceServers: [turn.server], iceTransportPolicy: "relay" } : { iceServers: [] };
    const call = new LoopbackCall(path, configuration, media, onReceived);
    if (TURN[path] && !turn) return call;
    if (turn && isFirefox && LOOPBACK.test(turn.target.host)) {
      call.isTried = false;
      return call;
    }
    try {
      await call.#negotiate(socket, turn?.target ?? null);
      // Nor over TCP, since it binds to the addresses of network interfaces.
      call.isTried = !(path === "tcp" && isFirefox && call.targets.length > 0 && call.targets.every(({ host }) => LOOPBACK.test(host)));
    } catch (error) {
      call.close();
      throw error;
    }
    return call;
  }

  /** Wait until both peer connections are connected; false if one fails, or it takes too long. */
  async connected() {
    const both = Promise.all([settled(this.#caller), settled(this.#callee)]).then((ends) => ends.every(Boolean));
    return Promise.race([both, after(PATH_TIMEOUT, false)]);
  }

  /** @returns {Promise<Target>} the target that media uses */
  async reached() {
    if (TURN[this.#path]) return this.targets[0];
    const { remote } = pairOf(await this.#caller.getStats());
    return remote?.address ? { host: remote.address, port: remote.port } : this.targets[0];
  }

  /** @returns {Promise<Figures | null>} measured over `CALL_TIME`; null: neither audio nor video came back */
  async figures() {
    const { host, port } = await this.reached();
    const begin = performance.now();
    const before = receivedOf(await this.#callee.getStats());
    await after(CALL_TIME, null);
    const { round_trip_ms, family } = pairOf(await this.#caller.getStats());
    const now = receivedOf(await this.#callee.getStats());
    const seconds = (performance.now() - begin) / 1000;
    if (!now.videoFrames && !now.audioPackets) return null;
    return {
      way: this.#path,
      host,
      port,
      family: family ?? (host.includes(":") ? "IPv6" : "IPv4"),
      round_trip_ms,
      loss_percent: rounded((100 * Math.max(0, now.lost)) / Math.max(1, now.lost + now.packets), 1),
      jitter_ms: now.jitter === null ? null : rounded(now.jitter * 1000, 1),
      kbps: rounded(((now.bytes - before.bytes) * 8) / seconds / 1000, 0),
      frames_per_second: rounded((now.videoFrames - before.videoFrames) / seconds, 1),
    };
  }

  close() {
    this.#caller.close();
    this.#callee.close();
  }

  /**
   * @param {import("./client.js").ProbeSocket} socket
   * @param {Target | null} turn
   */
  async #negotiate(socket, turn) {
    const transport = this.#path === "tcp" ? "tcp" : "udp";
    await this.#caller.setLocalDescription();
    const offer = await socket.exchange(this.#caller.localDescription);
    const offered = candidates(offer.sdp, transport);
    if (!offered.length) return;
    this.targets = turn ? [turn] : offered;
    await setRemote(this.#callee, offer, transport);
    await this.#callee.setLocalDescription();
    const answer = await socket.exchange(this.#callee.localDescription);
    await setRemote(this.#caller, answer, transport);
  }
}

/**
 * @param {RTCPeerConnection} connection
 * @param {RTCSessionDescriptionInit & {sdp: string}} description
 * @param {"udp" | "tcp"} transport
 */
async function setRemote(connection, { type, sdp }, transport) {
  try {
    await connection.setRemoteDescription({ type, sdp: only(sdp, transport) });
  } catch {
    throw new HopFailed("unavailable", "the relay's session description cannot be used");
  }
}

/**
 * @param {RTCPeerConnection} connection
 * @returns {Promise<boolean>} whether it has connected; false: it failed or was closed
 */
function settled(connection) {
  return new Promise((resolve) => {
    const look = () => {
      const { connectionState } = connection;
      if (connectionState === "connected") resolve(true);
      if (connectionState === "failed" || connectionState === "closed") resolve(false);
    };
    connection.addEventListener("connectionstatechange", look);
    look();
  });
}

/** @param {RTCStatsReport} report */
function receivedOf(report) {
  const sum = { packets: 0, lost: 0, bytes: 0, videoFrames: 0, audioPackets: 0, jitter: /** @type {number | null} */ (null) };
  for (const entry of entriesOf(report)) {
    if (entry.type !== "inbound-rtp") continue;
    sum.packets += entry.packetsReceived ?? 0;
    sum.lost += entry.packetsLost ?? 0;
    sum.bytes += entry.bytesReceived ?? 0;
    sum.videoFrames += entry.framesDecoded ?? 0;
    if (entry.kind === "audio") {
      sum.audioPackets += entry.packetsReceived ?? 0;
      if (entry.packetsReceived) sum.jitter = entry.jitter ?? null;
    }
  }
  return sum;
}

/**
 * The selected candidate pair.
 *
 * @param {RTCStatsReport} report
 */
function pairOf(report) {
  const entries = entriesOf(report);
  const chosen = entries.find((entry) => entry.type === "transport")?.selectedCandidatePairId;
  // Firefox has no selectedCandidatePairId; it marks the pair.
  const pair = report.get(chosen ?? "") ?? entries.find((entry) => entry.type === "candidate-pair" && entry.selected);
  const remote = pair && report.get(pair.remoteCandidateId);
  const trip = pair?.currentRoundTripTime;
  return {
    remote,
    family: remote?.address ? (remote.address.includes(":") ? "IPv6" : "IPv4") : null,
    round_trip_ms: trip === undefined ? null : rounded(trip * 1000, 0),
  };
}

/**
 * @param {RTCStatsReport} report
 * @returns {any[]} of types that TypeScript does not declare
 */
function entriesOf(report) {
  /** @type {any[]} */
  const entries = [];
  report.forEach((entry) => entries.push(entry));
  return entries;
}

/**
 * @param {number} value
 * @param {number} digits
 */
function rounded(value, digits) {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

/**
 * A loop-back call: two peer connections of this page that call each other through the relay, by one way. No DOM.
 *
 * @typedef {import("./report.js").Figures} Figures
 * @typedef {import("./report.js").Hop} Hop
 * @typedef {import("./report.js").Target} Target
 */
import { candidates, only, turnServer } from "./descriptions.js";
import { HopFailed, after } from "./door.js";

/** Milliseconds for a way to be answered. */
const WAY_TIMEOUT = 5_000;
/** Milliseconds of the call whose figures are taken. */
const CALL_TIME = 3_000;

/** @type {Partial<Record<Hop, ["turn" | "turns", "udp" | "tcp"]>>} */
const TURN = { turn_udp: ["turn", "udp"], turn_tcp: ["turn", "tcp"], turn_tls: ["turns", "tcp"] };

export class Loop {
  /** @type {Target[]} what is tried; empty: the relay does not offer this way, and there is no call */
  targets = [];
  #way;
  #caller;
  #callee;

  /**
   * @param {Hop} way
   * @param {RTCConfiguration} configuration
   * @param {MediaStream} media that the caller sends
   * @param {(stream: MediaStream) => void} onReceived takes what comes back
   */
  constructor(way, configuration, media, onReceived) {
    this.#way = way;
    this.#caller = new RTCPeerConnection(configuration);
    this.#callee = new RTCPeerConnection(configuration);
    for (const track of media.getTracks()) {
      this.#caller.addTransceiver(track, { direction: "sendonly", streams: [media] });
    }
    this.#callee.addEventListener("track", ({ streams: [stream] }) => stream && onReceived(stream));
  }

  /**
   * Begin a call; `connected` waits for it.
   *
   * @param {Hop} way
   * @param {import("./door.js").ProbeSocket} socket
   * @param {RTCIceServer[]} iceServers
   * @param {MediaStream} media
   * @param {(stream: MediaStream) => void} onReceived
   * @throws {import("./door.js").HopFailed} the relay does not take the call
   */
  static async begin(way, socket, iceServers, media, onReceived) {
    const turn = TURN[way] && turnServer(iceServers, ...TURN[way]);
    /** @type {RTCConfiguration} */
    const configuration = turn ? { iceServers: [turn.server], iceTransportPolicy: "relay" } : { iceServers: [] };
    const loop = new Loop(way, configuration, media, onReceived);
    if (TURN[way] && !turn) return loop;
    try {
      await loop.#negotiate(socket, turn?.target ?? null);
    } catch (error) {
      loop.close();
      throw error;
    }
    return loop;
  }

  /** Wait until both ends are up; false if one gives up, or it takes too long. */
  async connected() {
    const both = Promise.all([settled(this.#caller), settled(this.#callee)]).then((ends) => ends.every(Boolean));
    return Promise.race([both, after(WAY_TIMEOUT, false)]);
  }

  /** @returns {Promise<Target>} of what was tried, the one that is used */
  async reached() {
    if (TURN[this.#way]) return this.targets[0];
    const { remote } = pairOf(await this.#caller.getStats());
    return remote?.address ? { host: remote.address, port: remote.port } : this.targets[0];
  }

  /** @returns {Promise<Figures | null>} of `CALL_TIME` of the call; null: nothing came back that could be seen or heard */
  async figures() {
    const { host, port } = await this.reached();
    const begin = performance.now();
    const before = receivedOf(await this.#callee.getStats());
    await after(CALL_TIME, null);
    const { round_trip_ms, family } = pairOf(await this.#caller.getStats());
    const now = receivedOf(await this.#callee.getStats());
    const seconds = (performance.now() - begin) / 1000;
    if (!now.pictures && !now.sounds) return null;
    return {
      way: this.#way,
      host,
      port,
      family: family ?? (host.includes(":") ? "IPv6" : "IPv4"),
      round_trip_ms,
      loss_percent: rounded((100 * Math.max(0, now.lost)) / Math.max(1, now.lost + now.packets), 1),
      jitter_ms: now.jitter === null ? null : rounded(now.jitter * 1000, 1),
      kbps: rounded(((now.bytes - before.bytes) * 8) / seconds / 1000, 0),
      frames_per_second: rounded((now.pictures - before.pictures) / seconds, 1),
    };
  }

  close() {
    this.#caller.close();
    this.#callee.close();
  }

  /**
   * @param {import("./door.js").ProbeSocket} socket
   * @param {Target | null} turn
   */
  async #negotiate(socket, turn) {
    const transport = this.#way === "tcp" ? "tcp" : "udp";
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
    throw new HopFailed("unavailable", "what the relay says cannot be used");
  }
}

/**
 * @param {RTCPeerConnection} connection
 * @returns {Promise<boolean>} whether it has connected; false: it never will
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
  const sum = { packets: 0, lost: 0, bytes: 0, pictures: 0, sounds: 0, jitter: /** @type {number | null} */ (null) };
  for (const entry of entriesOf(report)) {
    if (entry.type !== "inbound-rtp") continue;
    sum.packets += entry.packetsReceived ?? 0;
    sum.lost += entry.packetsLost ?? 0;
    sum.bytes += entry.bytesReceived ?? 0;
    sum.pictures += entry.framesDecoded ?? 0;
    if (entry.kind === "audio") {
      sum.sounds += entry.packetsReceived ?? 0;
      if (entry.packetsReceived) sum.jitter = entry.jitter ?? null;
    }
  }
  return sum;
}

/**
 * The pair of candidates that is used.
 *
 * @param {RTCStatsReport} report
 */
function pairOf(report) {
  const entries = entriesOf(report);
  const chosen = entries.find((entry) => entry.type === "transport")?.selectedCandidatePairId;
  // Firefox marks the pair instead of naming it.
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
 * @returns {any[]} of types that TypeScript does not know
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

/**
 * What a connectivity test found, hop by hop. `python -m relay check` makes the same report (`relay/check/report.py`).
 *
 * @typedef {"page" | "websocket" | "udp" | "tcp" | "turn_udp" | "turn_tcp" | "turn_tls" | "call"} Hop the steps, in their order
 * @typedef {"ok" | "failed" | "off" | "skipped"} State `off`: the relay does not offer it; `skipped`: a hop before it failed
 *
 * @typedef {object} Target where something was sent
 * @property {string} host
 * @property {number} port
 *
 * @typedef {object} Result what became of a hop
 * @property {State} state
 * @property {Target[]} [targets]
 * @property {string} [reason] of the page: `silent`, `not_relay`, `unauthorized`, `broken` and others that a page cannot tell; of the
 *   WebSocket: `upgrade`, `silent`, `busy` or `lost`; of a way: `unavailable`
 * @property {string} [detail] more of it, for people
 * @property {number} [seconds] how long it took
 *
 * @typedef {object} Figures of the loop-back call: media went to the relay and came back
 * @property {Hop} way
 * @property {string} host of the relay's end, or of the TURN server
 * @property {number} port
 * @property {string} family `IPv4` or `IPv6`
 * @property {number | null} round_trip_ms here → relay → here
 * @property {number} loss_percent
 * @property {number | null} jitter_ms of the sound (RFC 3550 section 6.4.1)
 * @property {number} kbps sound and pictures that came back, in kbit/s
 * @property {number} frames_per_second
 *
 * @typedef {object} Report
 * @property {string} url
 * @property {Partial<Record<Hop, Result>>} hops
 * @property {Figures | null} [figures]
 */

/** @type {Record<Hop, string>} */
export const LABELS = {
  page: "Page",
  websocket: "WebSocket",
  udp: "UDP",
  tcp: "TCP",
  turn_udp: "TURN over UDP",
  turn_tcp: "TURN over TCP",
  turn_tls: "TURN over TLS",
  call: "Call",
};

export const HOPS = /** @type {Hop[]} */ (Object.keys(LABELS));

/** @type {Hop[]} those that carry media, in the order in which browsers prefer them */
export const WAYS = ["udp", "tcp", "turn_udp", "turn_tcp", "turn_tls"];

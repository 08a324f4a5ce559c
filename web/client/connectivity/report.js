/**
 * What a connectivity test found, hop by hop. `relay/check/report.py` defines the format and says what each field means; the relay
 * refuses a report of another format.
 *
 * @typedef {"page" | "websocket" | "udp" | "tcp" | "turn_udp" | "turn_tcp" | "turn_tls" | "call"} Hop
 * @typedef {"ok" | "failed" | "off" | "skipped"} State
 * @typedef {{host: string, port: number}} Target
 * @typedef {{state: State, targets?: Target[], reason?: string, detail?: string, seconds?: number}} Result
 * @typedef {{
 *   way: Hop, host: string, port: number, family: string, round_trip_ms: number | null, loss_percent: number,
 *   jitter_ms: number | null, kbps: number, frames_per_second: number
 * }} Figures
 * @typedef {{url: string, hops: Partial<Record<Hop, Result>>, figures?: Figures | null}} Report
 */

/** @type {Hop[]} the hops that carry media, in the order in which browsers prefer them */
export const PATHS = ["udp", "tcp", "turn_udp", "turn_tcp", "turn_tls"];

/** @type {Hop[]} the steps of a test, in their order */
export const HOPS = ["page", "websocket", ...PATHS, "call"];

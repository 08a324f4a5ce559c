/**
 * What the relay says of the paths between itself and the two parties, as people read it. Pure.
 *
 * @typedef {object} PathQuality
 * @property {1 | 2 | 3 | 4} bars
 * @property {number} score The mean opinion score, 1 to 4.5.
 * @property {number | null} roundTrip Milliseconds.
 * @property {number} loss The worse of the two directions: 0 to 1.
 * @property {string | null} route The path of the media to the relay: `udp`, `tcp`, `turn-udp`, `turn-tcp`, `turn-tls`, or
 *   one that is newer than this page.
 * @property {"ipv4" | "ipv6" | null} family
 *
 * @typedef {{yours: PathQuality | null, other: PathQuality | null}} CallQualities
 */

/**
 * @param {import("./protocol.js").CallQuality} message
 * @returns {PathQuality}
 */
export function qualityOf(message) {
  return {
    bars: barsOf(message.score),
    score: message.score,
    roundTrip: message.rtt_ms,
    loss: Math.max(message.loss_from_peer, message.loss_to_peer),
    route: message.route ?? null,
    family: message.family ?? null,
  };
}

/**
 * By the categories of ITU-T G.107 (annex B): satisfied, some dissatisfied, many dissatisfied, nearly all dissatisfied.
 *
 * @param {number} score
 */
function barsOf(score) {
  if (score >= 4.03) return 4;
  if (score >= 3.6) return 3;
  return score >= 3.1 ? 2 : 1;
}

/**
 * Candidates in the relay's session descriptions: read, and filtered by transport. No DOM.
 *
 * @typedef {import("./report.js").Target} Target
 */

const CANDIDATE = /^a=candidate:\S+ 1 (udp|tcp) \d+ (\S+) (\d{1,5}) typ /i;

/**
 * The candidates for one transport (RFC 8839 section 5.1), each address once.
 *
 * @param {string} sdp
 * @param {"udp" | "tcp"} transport
 * @returns {Target[]}
 */
export function candidates(sdp, transport) {
  /** @type {Map<string, Target>} */
  const found = new Map();
  for (const line of sdp.split(/\r?\n/)) {
    const [, kind, host, port] = CANDIDATE.exec(line) ?? [];
    if (kind?.toLowerCase() === transport) found.set(`${host} ${port}`, { host, port: Number(port) });
  }
  return [...found.values()];
}

/**
 * The description with the candidates of one transport alone.
 *
 * @param {string} sdp
 * @param {"udp" | "tcp"} transport
 */
export function only(sdp, transport) {
  const kept = sdp.split("\r\n").filter((line) => {
    return !line.startsWith("a=candidate:") || CANDIDATE.exec(line)?.[1].toLowerCase() === transport;
  });
  return kept.join("\r\n");
}

/**
 * The first TURN server (RFC 7065) with that scheme and transport.
 *
 * @param {RTCIceServer[]} servers
 * @param {"turn" | "turns"} scheme
 * @param {"udp" | "tcp"} transport
 * @returns {{target: Target, server: RTCIceServer} | null} `server` has that URL alone
 */
export function turnServer(servers, scheme, transport) {
  for (const { urls, ...access } of servers) {
    for (const url of [urls].flat()) {
      const [, found, host, port, kind] = /^(turns?):(\[[^\]]*\]|[^:?]*)(?::(\d+))?(?:\?transport=(\w+))?$/.exec(url) ?? [];
      if (found !== scheme || (kind ?? (scheme === "turns" ? "tcp" : "udp")) !== transport) continue;
      const usual = scheme === "turns" ? 5349 : 3478;
      return { target: { host: host.replace(/^\[|\]$/g, ""), port: Number(port ?? usual) }, server: { ...access, urls: [url] } };
    }
  }
  return null;
}

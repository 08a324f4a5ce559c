/**
 * The page's only global, for diagnosis: `relayCall.peerConnection.getStats()` in the browser's console, or in a test, tells
 * what the screen cannot (packets, codecs, round-trip times). It can be read and nothing else.
 *
 * @param {{call: () => import("../client/calls/call.js").Call | null, session: () => import("../client/session.js").Session | null}} of
 */
export function publishDiagnosis(of) {
  Object.defineProperty(window, "relayCall", {
    value: Object.freeze({
      /** @returns {RTCPeerConnection | null} of the call that goes on */
      get peerConnection() {
        return of.call()?.leg.peerConnection ?? null;
      },
      /** @returns {string | null} the server's name for the call that goes on */
      get callId() {
        return of.call()?.id ?? null;
      },
      /** @returns {string} of the WebSocket: `connecting`, `online`, `reconnecting` or `closed` */
      get connection() {
        return of.session()?.connection.state ?? "closed";
      },
      /** @returns {string} `signed_out`, `idle`, or the phase of the call */
      get state() {
        return of.session() ? (of.call()?.phase ?? "idle") : "signed_out";
      },
    }),
  });
}

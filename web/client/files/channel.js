/**
 * The data channel that files go over. Both pages make it with the same id, so none has to tell the other of it, and a page that
 * takes the place of another finds it again. No DOM.
 */

/** RFC 8832 section 6 lets two programs agree on an id. Channels that are announced count from 0: they are far below. */
const ID = 100;
const LABEL = "files";
/** Bytes in the channel at which the next are wanted. */
const LOW_WATER = 256 * 1024;

/** @type {WeakMap<RTCPeerConnection, RTCDataChannel>} */
const channels = new WeakMap();

/**
 * Make the channel of a peer connection, unless it is there.
 *
 * @param {RTCPeerConnection} peerConnection
 * @param {import("./exchange.js").FileExchange} files
 */
export function addFilesChannel(peerConnection, files) {
  if (channels.has(peerConnection)) return;
  const channel = peerConnection.createDataChannel(LABEL, { negotiated: true, id: ID });
  channels.set(peerConnection, channel);
  channel.binaryType = "arraybuffer";
  channel.bufferedAmountLowThreshold = LOW_WATER;
  const send = (/** @type {string | Uint8Array<ArrayBuffer>} */ data) => {
    if (channel.readyState !== "open") return;
    if (typeof data === "string") channel.send(data); // TypeScript knows no `send` that takes both
    else channel.send(data);
  };
  const way = { send, buffered: () => channel.bufferedAmount };
  channel.addEventListener("open", () => files.opened(way));
  channel.addEventListener("close", () => files.closed(way));
  channel.addEventListener("bufferedamountlow", () => files.drained());
  channel.addEventListener("message", ({ data }) => files.receive(data));
}

/**
 * Whether a description has data channels, and does not reject them.
 *
 * @param {RTCSessionDescriptionInit | null} description
 */
export function hasData(description) {
  const section = (description?.sdp ?? "").split(/(?=^m=)/m).find((one) => one.startsWith("m=application "));
  if (!section) return false;
  // Firefox gives a section that is new in its bundle no port, which is no rejection then (RFC 9143 section 6).
  return !section.startsWith("m=application 0 ") || /^a=bundle-only\r?$/m.test(section);
}

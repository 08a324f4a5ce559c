/** Encoded media as RTP packets, for clients that encode nothing themselves. */
import { readFileSync } from "node:fs";

/** Bytes of one packet's payload. */
const PAYLOAD = 1100;

/** @type {{audio: string[], video: string[]}} base64: Opus packets of 20 ms, and VP8 frames of 50 ms, each a loop */
const MEDIA = JSON.parse(readFileSync(process.env.MEDIA, "utf8"));

/**
 * Packets of one encoded frame: of an Opus packet as it is (RFC 7587), of a VP8 frame behind payload descriptors (RFC 7741).
 *
 * @param {"audio" | "video"} kind
 * @param {Buffer} frame
 */
function payloads(kind, frame) {
  if (kind === "audio") return [frame];
  const parts = [];
  for (let start = 0; start < frame.length; start += PAYLOAD) {
    // Without extensions; the S bit says that a partition begins.
    parts.push(Buffer.concat([Buffer.of(start === 0 ? 0x10 : 0), frame.subarray(start, start + PAYLOAD)]));
  }
  return parts;
}

/**
 * Send the loop of that kind for ever.
 *
 * @param {"audio" | "video"} kind
 * @param {{payloadType: number, ssrc: number}} stream
 * @param {(packet: Buffer) => void} send takes RTP packets
 */
export function play(kind, { payloadType, ssrc }, send) {
  const [milliseconds, clockRate] = kind === "audio" ? [20, 48_000] : [50, 90_000];
  let [frames, sequence, timestamp] = [0, 1000, 5000];
  setInterval(() => {
    const frame = Buffer.from(MEDIA[kind][frames++ % MEDIA[kind].length], "base64");
    const parts = payloads(kind, frame);
    parts.forEach((part, index) => {
      const header = Buffer.alloc(12);
      header[0] = 0x80;
      header[1] = payloadType | (kind === "video" && index === parts.length - 1 ? 0x80 : 0);
      header.writeUInt16BE(sequence++ & 0xffff, 2);
      header.writeUInt32BE(timestamp >>> 0, 4);
      header.writeUInt32BE(ssrc, 8);
      send(Buffer.concat([header, part]));
    });
    timestamp += (milliseconds * clockRate) / 1000;
  }, milliseconds);
}

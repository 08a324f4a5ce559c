/**
 * What two pages say to each other about files, on a data channel: JSON in text messages, and the parts of files in binary ones.
 * `docs/protocol.md` has it. Pure.
 *
 * @typedef {{type: "hello", session: string, most_bytes: number}} Hello
 * @typedef {{type: "offer", id: number, name: string, size: number}} Offer
 * @typedef {{type: "accept", id: number}} Accept
 * @typedef {{type: "decline", id: number, reason: "declined" | "too_large" | "too_many"}} Decline
 * @typedef {{type: "end", id: number, sha256: string}} End The whole file was sent.
 * @typedef {{type: "received", id: number, ok: boolean}} Received It has arrived; `ok`: unchanged.
 * @typedef {{type: "cancel", id: number}} Cancel The sender sends no more of it.
 * @typedef {{type: "stop", id: number}} Stop The receiver wants no more of it.
 * @typedef {Hello | Offer | Accept | Decline | End | Received | Cancel | Stop} FileMessage
 */

/** Bytes of a file in one message: every browser takes messages of 64 KiB. */
export const PART = 32 * 1024;
/** Characters of a text message that is read. */
const LONGEST = 4_096;
/** Bytes before the part of a file: the `id` that it belongs to, big-endian. */
const HEAD = 4;

const isId = (/** @type {any} */ value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32;
const isSize = (/** @type {any} */ value) => Number.isSafeInteger(value) && value >= 0;
const isText = (/** @type {any} */ value) => typeof value === "string" && value.length <= 1_000;

/** @type {Record<string, (message: any) => boolean>} what each must have */
const FIELDS = {
  hello: ({ session, most_bytes }) => isText(session) && isSize(most_bytes),
  offer: ({ id, name, size }) => isId(id) && isText(name) && isSize(size),
  accept: ({ id }) => isId(id),
  decline: ({ id, reason }) => isId(id) && isText(reason),
  end: ({ id, sha256 }) => isId(id) && /^[0-9a-f]{64}$/.test(sha256),
  received: ({ id, ok }) => isId(id) && typeof ok === "boolean",
  cancel: ({ id }) => isId(id),
  stop: ({ id }) => isId(id),
};

/**
 * @param {unknown} text
 * @returns {FileMessage | null} null: nothing that is known here
 */
export function messageOf(text) {
  if (typeof text !== "string" || text.length > LONGEST) return null;
  try {
    const message = JSON.parse(text);
    return Object.hasOwn(FIELDS, message?.type) && FIELDS[message.type](message) ? message : null;
  } catch {
    return null;
  }
}

/**
 * @param {number} id
 * @param {ArrayBuffer} bytes
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function partFrame(id, bytes) {
  const frame = new Uint8Array(HEAD + bytes.byteLength);
  new DataView(frame.buffer).setUint32(0, id);
  frame.set(new Uint8Array(bytes), HEAD);
  return frame;
}

/**
 * @param {ArrayBuffer} frame
 * @returns {{id: number, bytes: ArrayBuffer} | null}
 */
export function partIn(frame) {
  if (frame.byteLength <= HEAD) return null;
  return { id: new DataView(frame).getUint32(0), bytes: frame.slice(HEAD) };
}

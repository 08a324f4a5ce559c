/**
 * What a tab remembers, so that a reloaded page goes on where the last one stopped: the signed-in profile, the device that
 * this is to the server, and the current call. Per tab, so that two tabs can be two people. Tokens are not stored: they are
 * requested again, so that other scripts of the origin cannot read them from storage.
 *
 * @typedef {import("./model.js").ProfileName} ProfileName
 *
 * @typedef {object} DeviceMemory
 * @property {string} owner The profile's key.
 * @property {string} token To come back as the same device; useless without the profile's own credential.
 * @property {number} lastSeq Of the messages, the number of the last one that need not come again.
 *
 * @typedef {object} CallMemory
 * @property {string} owner The profile's key.
 * @property {string} id
 * @property {import("./model.js").Scope} scope
 * @property {import("./model.js").Person} other
 * @property {import("./model.js").CallKind} kind
 * @property {boolean} answered
 * @property {boolean} muted
 * @property {boolean} cameraOn
 * @property {import("./calls/chat.js").ChatEntry[]} chat
 */
import { keyOf, profileOf } from "./model.js";

const PREFIX = "call-relay.";

/** @returns {ProfileName | null} */
export function rememberedProfile() {
  return profileOf(read("profile"));
}

/** @param {ProfileName | null} profile null: signed out, which clears everything of the profile */
export function rememberProfile(profile) {
  write("profile", profile && keyOf(profile));
  if (!profile) ["device", "call"].forEach((name) => write(name, null));
}

/**
 * @param {string} owner
 * @returns {DeviceMemory | null}
 */
export function rememberedDevice(owner) {
  return belongingTo(owner, "device");
}

/** @param {DeviceMemory | null} device */
export function rememberDevice(device) {
  write("device", device && JSON.stringify(device));
}

/**
 * @param {string} owner
 * @returns {CallMemory | null}
 */
export function rememberedCall(owner) {
  return belongingTo(owner, "call");
}

/** @param {CallMemory | null} call */
export function rememberCall(call) {
  write("call", call && JSON.stringify(call));
}

/** Milliseconds that the page before us may take to go away. */
const HANDOVER = 1_000;

/**
 * A duplicated tab has a copy of all this, but a device belongs to one page: the one that holds the lock.
 *
 * @param {string} token of the device
 * @returns {Promise<boolean>} whether it is ours now, until the page goes
 */
export async function claimDevice(token) {
  if (!navigator.locks) return true; // not a secure page: the server closes the other (close code 4409)
  return new Promise((resolve) => {
    const options = { signal: AbortSignal.timeout(HANDOVER) };
    const held = () => {
      resolve(true);
      return new Promise(() => {}); // held as long as the page lives
    };
    navigator.locks.request(`${PREFIX}device.${token}`, options, held).catch(() => resolve(false));
  });
}

/**
 * @param {string} owner
 * @param {string} name
 * @returns {any} null: there is none, or it belongs to another profile
 */
function belongingTo(owner, name) {
  try {
    const value = JSON.parse(read(name) ?? "null");
    return value?.owner === owner ? value : null;
  } catch {
    return null;
  }
}

/** @param {string} name */
function read(name) {
  try {
    return sessionStorage.getItem(PREFIX + name);
  } catch {
    return null; // storage may be forbidden; then every load of the page starts anew
  }
}

/**
 * @param {string} name
 * @param {string | null} value
 */
function write(name, value) {
  try {
    if (value === null) sessionStorage.removeItem(PREFIX + name);
    else sessionStorage.setItem(PREFIX + name, value);
  } catch {
    // Forbidden, or full: as above.
  }
}

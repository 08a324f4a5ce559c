/**
 * Which microphones, cameras and speakers there are, and which of them the user has chosen. No DOM.
 *
 * @typedef {"microphone" | "camera" | "speaker"} DeviceKind
 *
 * @typedef {object} Device
 * @property {DeviceKind} kind
 * @property {string} id
 * @property {string} label Empty until the user has allowed a device.
 * @property {string} group Parts of the same thing have the same: a headset's microphone and its speaker.
 *
 * @typedef {object} Choice What is remembered of a device. Its id may change, as when the user clears the data of the site.
 * @property {string} id
 * @property {string} label
 */

const KEY = "call-relay.device.";

/** @type {Record<string, DeviceKind>} */
const KINDS = { audioinput: "microphone", videoinput: "camera", audiooutput: "speaker" };
/** Chromium's names for whatever device the system prefers now: no devices of their own. */
const ALIASES = ["default", "communications"];

/** @returns {Promise<Device[]>} those that can be told apart: none before the user has allowed one */
export async function listDevices() {
  return (await everything()).filter(({ id }) => id);
}

/** @returns {Promise<Device[]>} before the user has allowed one of a kind, browsers give one without an id for all of that kind */
async function everything() {
  const found = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  return found
    .filter(({ kind, deviceId }) => KINDS[kind] && !ALIASES.includes(deviceId))
    .map(({ kind, deviceId, label, groupId }) => ({ kind: KINDS[kind], id: deviceId, label, group: groupId }));
}

/**
 * @param {DeviceKind} kind
 * @returns {Choice | null} null: whatever the system prefers
 */
export function chosenDevice(kind) {
  try {
    const { id, label } = JSON.parse(localStorage.getItem(KEY + kind) ?? "{}");
    return typeof id === "string" && id ? { id, label: String(label ?? "") } : null;
  } catch {
    return null; // forbidden, or not ours
  }
}

/**
 * @param {DeviceKind} kind
 * @param {Choice | null} device null: whatever the system prefers
 */
export function chooseDevice(kind, device) {
  try {
    if (device) localStorage.setItem(KEY + kind, JSON.stringify({ id: device.id, label: device.label }));
    else localStorage.removeItem(KEY + kind);
  } catch {
    // It holds until the page goes.
  }
}

/**
 * The id that the chosen device has now.
 *
 * @param {DeviceKind} kind
 * @returns {Promise<string>} empty: none is chosen
 */
export async function chosenId(kind) {
  const choice = chosenDevice(kind);
  if (!choice) return "";
  const devices = (await listDevices()).filter((one) => one.kind === kind);
  const same = devices.find(({ id }) => id === choice.id) ?? devices.find(({ label }) => label && label === choice.label);
  return same?.id ?? choice.id;
}

/**
 * What is connected and disconnected. Events: `change`; `arrived`, a `CustomEvent<Device[]>` of one thing, such as both parts of a
 * headset.
 */
export class Devices extends EventTarget {
  /** @type {Device[]} */
  all = [];
  /** Kinds of which there are some that cannot be told apart yet. @type {Set<DeviceKind>} */
  #veiled = new Set();
  #lookedBefore = false;
  /** @type {Promise<unknown>} */
  #looking = Promise.resolve();
  #look = () => void this.look();

  /** @returns {Promise<void>} the first look is done */
  async watch() {
    navigator.mediaDevices?.addEventListener?.("devicechange", this.#look);
    await this.look();
  }

  close() {
    navigator.mediaDevices?.removeEventListener?.("devicechange", this.#look);
  }

  /** Look again: labels and ids come with the first device that is allowed, which no event tells. */
  look() {
    const done = this.#looking.then(() => this.#compare());
    this.#looking = done;
    return done;
  }

  async #compare() {
    const [before, veiled, looked] = [this.all, this.#veiled, this.#lookedBefore];
    const found = await everything();
    const now = found.filter(({ id }) => id);
    this.#veiled = new Set(found.filter(({ id }) => !id).map(({ kind }) => kind));
    this.#lookedBefore = true;
    const same = now.length === before.length && now.every(({ id, label }, index) => id === before[index].id && label === before[index].label);
    if (same) return;
    this.all = now;
    this.dispatchEvent(new Event("change"));
    if (!looked) return;
    // What the user has just allowed was there before. Speakers come with the first microphone that is allowed: Firefox names none until then.
    const hidden = new Set(veiled.has("microphone") ? [...veiled, "speaker"] : veiled);
    const known = new Set(before.map(({ kind, id }) => kind + id));
    const added = now.filter(({ kind, id, label }) => label && !hidden.has(kind) && !known.has(kind + id));
    const groups = new Map();
    for (const one of added) groups.set(one.group || one.id, [...(groups.get(one.group || one.id) ?? []), one]);
    for (const parts of groups.values()) this.dispatchEvent(new CustomEvent("arrived", { detail: parts }));
  }
}

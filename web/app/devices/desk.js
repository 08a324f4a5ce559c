/**
 * Joins the devices with the calls: the dialog, what is plugged in and out, and the speaker that calls are heard on.
 *
 * @typedef {import("../../client/calls/call.js").Call} Call
 * @typedef {import("../../client/media/devices.js").Device} Device
 * @typedef {import("../../client/media/devices.js").DeviceKind} DeviceKind
 * @typedef {import("../../client/media/localmedia.js").DeviceLoss} DeviceLoss
 *
 * @typedef {object} DeskSetup
 * @property {() => Call | null} current
 * @property {(text: string, tone?: "plain" | "problem") => void} toast
 * @property {(parts: Device[]) => void} offer shows in the call what was just plugged in
 * @property {(id: string) => void} playOn has calls heard on that speaker; empty: the one that the system prefers
 */
import { createFilter } from "../background/filter.js";
import { chooseBackground, provideFilter } from "../../client/media/background.js";
import { chooseDevice, chosenDevice, chosenId, Devices } from "../../client/media/devices.js";
import { noteDevicesChecked } from "../../client/media/devicesseen.js";
import { LocalMedia } from "../../client/media/localmedia.js";
import { MediaUnavailable } from "../../client/media/media.js";
import { createDevicePanel } from "./panel.js";
import { lossText, problemText } from "./words.js";

export class DeviceDesk {
  panel;
  #setup;
  #devices = new Devices();
  /** @type {Call | null} the latest whose devices are open */
  #seen = null;
  /** @type {LocalMedia | null} of the dialog without a call */
  #own = null;

  /** @param {DeskSetup} setup */
  constructor(setup) {
    this.#setup = setup;
    this.panel = createDevicePanel({
      onChoose: (kind, device) => void this.#choose(kind, device),
      onBackground: (background) => this.setBackground(background),
      onClose: () => this.#closed(),
    });
    provideFilter(createFilter);
    this.#devices.addEventListener("change", () => this.#changed());
    this.#devices.addEventListener("arrived", (event) => this.#arrived(/** @type {CustomEvent<Device[]>} */ (event).detail));
    void this.#devices.watch().then(() => this.#hearOnChosen());
  }

  /**
   * The dialog, with the media of the call if there is one.
   *
   * @param {"background"} [part] that it is opened for
   */
  async open(part) {
    noteDevicesChecked();
    const call = this.#setup.current();
    const media = call?.leg.localStream ? call.leg.media : (this.#own ??= new LocalMedia());
    media.addEventListener("change", this.#look);
    this.panel.open(media, part);
    this.panel.setDevices(this.#devices.all);
    if (media !== this.#own) return;
    await media.open("video");
    await this.#devices.look();
  }

  /** @param {Call | null} call that begins, or has ended: its media are the ones to be shown */
  callChanged(call) {
    if (call?.isAnswered) noteDevicesChecked();
    if (call?.leg.localStream && this.#seen !== call) {
      this.#seen = call;
      this.#look();
    }
    if (this.panel.isOpen && (call === null) === (this.#own === null)) this.panel.close();
  }

  /** Which telephones can: those with more than one camera. */
  get canFlip() {
    const cameras = this.#devices.all.filter(({ kind }) => kind === "camera").length;
    return cameras > 1 && matchMedia("(pointer: coarse)").matches;
  }

  /** @param {DeviceLoss} loss */
  lost(loss) {
    const text = lossText(loss);
    if (text) this.#setup.toast(text);
  }

  /** @param {Device[]} parts that were offered */
  async use(parts) {
    for (const part of parts) await this.#choose(part.kind, part);
  }

  /** @param {import("../../client/media/background.js").Background} background from now on, in this call and in others */
  setBackground(background) {
    chooseBackground(background);
    (this.#own ?? this.#setup.current()?.leg.media)?.backgroundChosen();
  }

  /** Labels come with the first device that is allowed. */
  #look = () => void this.#devices.look();

  #closed() {
    this.#own?.close();
    this.#own = null;
  }

  /** @param {DeviceKind} kind @param {Device | null} device null: the one that the system prefers */
  async #choose(kind, device) {
    chooseDevice(kind, device);
    const id = device?.id ?? "";
    if (kind === "speaker") return this.#setup.playOn(id);
    const media = this.#own ?? this.#setup.current()?.leg.media;
    try {
      await media?.use(kind, id);
    } catch (error) {
      if (!(error instanceof MediaUnavailable)) throw error;
      const { title, help } = problemText(kind, error.problem);
      this.#setup.toast(`${title}. ${help}`, "problem");
    }
    this.#changed();
  }

  #changed() {
    if (this.panel.isOpen) this.panel.setDevices(this.#devices.all);
    void this.#hearOnChosen();
  }

  /** @param {Device[]} parts */
  #arrived(parts) {
    const call = this.#setup.current();
    if (!call || call.isOver || call.phase === "incoming" || this.panel.isOpen) return;
    // What the user has chosen before is taken without a question.
    const chosen = parts.filter(({ kind, id, label }) => {
      const choice = chosenDevice(kind);
      return choice?.id === id || (choice?.label && choice.label === label);
    });
    if (chosen.length) void this.use(chosen);
    else this.#setup.offer(parts);
  }

  /** A speaker that is gone is not waited for: the system's is heard. */
  async #hearOnChosen() {
    const id = await chosenId("speaker");
    this.#setup.playOn(this.#devices.all.some((one) => one.kind === "speaker" && one.id === id) ? id : "");
  }
}

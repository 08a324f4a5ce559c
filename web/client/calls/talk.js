/**
 * What the two parties of a call exchange beside audio and video: chat messages, mute states, hold, transfer, consent to a
 * recording; and what the relay says of their connections. No DOM.
 *
 * @typedef {import("../model.js").Person} Person
 * @typedef {import("../model.js").MediaState} MediaState
 * @typedef {import("../protocol.js").AboutCall} AboutCall
 * @typedef {import("../protocol.js").CallMessage} CallMessage
 *
 * @typedef {object} TransferRequest The other party asks us to call another person instead.
 * @property {Person} target
 *
 * @typedef {object} TransferTarget A profile that both parties know.
 * @property {Person} person
 * @property {"offline" | "busy" | null} reason why the other party cannot be transferred to them now
 *
 * @typedef {"transfer_declined" | "transfer_failed" | "chat_failed" | "not_connected"} TalkNotice What the user should be told.
 */
import { Chat } from "./chat.js";
import { mediaFields, mediaOf, personOf } from "../protocol.js";
import { qualityOf } from "../quality.js";
import { CallRecording } from "../recording.js";

/** Milliseconds without a report about a connection until the last one expires. */
const QUALITY_LIFETIME = 8_000;

/** @type {MediaState} of a party that has not said otherwise */
const ALL_WORKS = { muted: false, cameraOff: false, sharing: false, noMicrophone: false, noCamera: false };

const CHAT_REF = "chat:";
const TRANSFER_REF = "transfer";
const TARGETS_REF = "transfer_targets";

/** Events: `change` when any field changed; `notice`, a `CustomEvent<TalkNotice>`. */
export class Talk extends EventTarget {
  /** @type {Chat} */
  chat;
  /** @type {MediaState} */
  otherMedia = ALL_WORKS;
  /** Who has put the call on hold. */
  heldBy = { you: false, other: false };
  /** @type {import("../quality.js").CallQualities} */
  qualities = { yours: null, other: null };
  /** @type {TransferRequest | null} */
  transferRequest = null;
  /** @type {Person | null} the target of a transfer that we have asked for */
  transferringTo = null;
  /** @type {TransferTarget[] | "unknown" | null} null: they were not asked for, or have not come */
  transferTargets = null;
  /** @type {{id: string, lasts: number} | null} another device of ours would like to have the call; milliseconds to answer in */
  moveRequest = null;
  /** @type {boolean | null} whether chat messages are kept with the call; null: the server does not say */
  chatKept = null;
  /** @type {CallRecording} */
  recording;

  #send;
  #clock;
  #requestTimer = 0;
  #qualityTimer = 0;
  /** @type {MediaState} our state as the other party knows it */
  #told = ALL_WORKS;
  /** @type {MediaState} */
  #ours = this.#told;

  /**
   * @param {(message: AboutCall) => boolean} send
   * @param {import("../clock.js").ServerClock} clock
   * @param {import("./chat.js").ChatEntry[]} [entries] texts of the page's former life
   */
  constructor(send, clock, entries) {
    super();
    this.#send = send;
    this.#clock = clock;
    this.chat = new Chat(entries);
    this.recording = new CallRecording(send, clock);
    this.recording.addEventListener("change", () => this.#changed());
    this.recording.addEventListener("unsent", () => this.#tell("not_connected"));
  }

  get isHeld() {
    return this.heldBy.you || this.heldBy.other;
  }

  // -- what the user does ----------------------------------------------------------------------------------------------

  /** @param {string} text */
  write(text) {
    const entry = this.chat.write(text, this.#clock.now());
    if (entry) this.#sendText(entry);
    this.#changed();
  }

  /** @param {string} id of a chat message that was refused */
  writeAgain(id) {
    const entry = this.chat.entries.find((one) => one.id === id && one.state === "failed");
    if (!entry) return;
    entry.state = "pending";
    this.#sendText(entry);
    this.#changed();
  }

  readChat() {
    if (!this.chat.unread) return;
    this.chat.unread = 0;
    this.#changed();
  }

  /** @param {boolean} held */
  hold(held) {
    if (this.heldBy.you === held) return;
    if (!this.#send({ type: held ? "call_hold" : "call_resume" })) return this.#tell("not_connected");
    this.heldBy.you = held;
    this.#changed();
  }

  /** @param {Person} target */
  transferTo(target) {
    const { type: target_profile_type, id: target_profile_id } = target;
    const sent = this.#send({ type: "call_transfer", target_profile_id, target_profile_type, ref: TRANSFER_REF });
    if (!sent) return this.#tell("not_connected");
    this.transferringTo = target;
    this.#changed();
  }

  /** Ask the server for the profiles that the other party can be transferred to. */
  askForTargets() {
    this.transferTargets = null;
    if (!this.#send({ type: "call_transfer_targets", ref: TARGETS_REF })) this.#tell("not_connected");
    this.#changed();
  }

  /** @param {boolean} accepted whether another device of ours has the call from now on */
  answerMove(accepted) {
    if (!this.moveRequest) return;
    if (!this.#send({ type: "call_rejoin_answer", request_id: this.moveRequest.id, accepted })) return this.#tell("not_connected");
    this.moveRequest = null;
    this.#changed();
  }

  /** @param {boolean} accepted */
  answerTransfer(accepted) {
    if (!this.transferRequest) return;
    if (!this.#send({ type: "call_transfer_answer", accepted })) return this.#tell("not_connected");
    this.#dropRequest();
  }

  /** @param {MediaState} media what we send now */
  say(media) {
    this.#ours = media;
    if (!isSame(this.#told, media)) this.#sayMedia();
  }

  // -- what the server says --------------------------------------------------------------------------------------------

  /** @param {CallMessage} message */
  receive(message) {
    switch (message.type) {
      case "call_state":
        if (message.media) this.otherMedia = mediaOf(message.media);
        if (message.held_by) this.#heldBy(message.held_by);
        this.chatKept = message.chat_kept ?? null;
        this.recording.receive(message);
        break;
      case "call_recording":
      case "call_record_request":
        return this.recording.receive(message); // says itself when it has changed
      case "call_media_state":
        this.otherMedia = mediaOf(message);
        break;
      case "call_hold":
      case "call_resume":
        this.heldBy.other = message.type === "call_hold";
        break;
      case "call_chat":
        this.chat.receive({ id: message.message_id, text: message.text, own: message.own, at: message.sent_at });
        break;
      case "call_quality":
        this.#measured(message);
        break;
      case "call_transfer":
        this.#asked(message);
        break;
      case "call_transfer_targets":
        this.transferTargets = message.targets.map((one) => ({ person: personOf(one), reason: one.reason }));
        break;
      case "call_rejoin_request":
        this.moveRequest = { id: message.request_id, lasts: Math.max(0, message.expires_at - this.#clock.now()) };
        break;
      case "call_rejoin_answer":
        this.moveRequest = null;
        break;
      case "call_transfer_answer":
        this.transferringTo = null;
        this.#tell("transfer_declined");
        break;
      default:
        return;
    }
    this.#changed();
  }

  /**
   * The server refuses something that we sent.
   *
   * @param {string} ref
   * @param {string} code
   * @returns {boolean} whether it was one of these messages
   */
  refused(ref, code) {
    if (this.recording.refused(ref, code)) return true;
    if (ref.startsWith(CHAT_REF)) {
      this.chat.refuse(ref.slice(CHAT_REF.length));
      this.#tell("chat_failed");
    } else if (ref === TARGETS_REF) {
      this.transferTargets = "unknown"; // a server from before there was the question, or we have asked too often
    } else if (ref === "call_rejoin_answer") {
      this.moveRequest = null; // too late: the device that asked is gone, or has been told no
    } else if (ref === TRANSFER_REF) {
      this.transferringTo = null;
      this.#tell("transfer_failed");
    } else {
      return false;
    }
    this.#changed();
    return true;
  }

  /** Send again what may have been lost: chat messages have ids, and states are idempotent. */
  serverIsBack() {
    this.chat.pending.forEach((entry) => this.#sendText(entry));
    if (!isSame(this.#ours, ALL_WORKS) || this.#told !== this.#ours) this.#sayMedia();
  }

  /** Another server has the call, which does not know what the parties had asked each other, nor what was not confirmed. */
  serverIsAnother() {
    if (this.transferringTo) this.#tell("transfer_failed");
    this.transferringTo = this.moveRequest = null;
    this.#dropRequest();
    this.serverIsBack();
  }

  close() {
    clearTimeout(this.#requestTimer);
    clearTimeout(this.#qualityTimer);
    this.transferRequest = this.moveRequest = null;
    this.recording.close();
  }

  // -- inside ----------------------------------------------------------------------------------------------------------

  /** @param {import("./chat.js").ChatEntry} entry */
  #sendText({ id, text }) {
    this.#send({ type: "call_chat", text, message_id: id, ref: CHAT_REF + id });
  }

  #sayMedia() {
    if (this.#send({ type: "call_media_state", ...mediaFields(this.#ours) })) this.#told = this.#ours;
  }

  /** @param {("you" | "other")[]} holders */
  #heldBy(holders) {
    this.heldBy = { you: holders.includes("you"), other: holders.includes("other") };
  }

  /** @param {import("../protocol.js").CallQuality} message */
  #measured(message) {
    this.qualities = { ...this.qualities, [message.leg]: qualityOf(message) };
    clearTimeout(this.#qualityTimer);
    this.#qualityTimer = setTimeout(() => {
      this.qualities = { yours: null, other: null };
      this.#changed();
    }, QUALITY_LIFETIME);
  }

  /** @param {import("../protocol.js").CallTransfer} message */
  #asked({ target, expires_at: expiresAt }) {
    const { profile_type: type, profile_id: id, name, avatar } = target;
    this.transferRequest = { target: { type, id, name, avatar } };
    clearTimeout(this.#requestTimer);
    this.#requestTimer = setTimeout(() => this.#dropRequest(), Math.max(0, expiresAt - this.#clock.now()));
  }

  #dropRequest() {
    clearTimeout(this.#requestTimer);
    this.transferRequest = null;
    this.#changed();
  }

  /** @param {TalkNotice} notice */
  #tell(notice) {
    this.dispatchEvent(new CustomEvent("notice", { detail: notice }));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {MediaState} one
 * @param {MediaState} other
 */
function isSame(one, other) {
  return /** @type {(keyof MediaState)[]} */ (Object.keys(ALL_WORKS)).every((name) => one[name] === other[name]);
}

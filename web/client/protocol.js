/**
 * The messages on the WebSocket as types, and what their fields mean to the rest of the page. Pure: no DOM, no socket.
 *
 * `docs/protocol.md` describes the messages; the names here are the names on the wire.
 *
 * @typedef {import("./model.js").Person} Person
 * @typedef {import("./model.js").Scope} Scope
 * @typedef {import("./model.js").MediaState} MediaState
 * @typedef {import("./model.js").CallKind} CallKind
 *
 * @typedef {{profile_type: string, profile_id: number, name: string, avatar: string}} WireProfile
 * @typedef {{candidate: string, sdpMid: string | null, sdpMLineIndex: number | null}} WireCandidate
 * @typedef {{type: "offer", sdp: string}} Offer
 * @typedef {{type: "answer", sdp: string}} Answer
 * @typedef {{conversation_id?: number, whiteboard_session_id?: number}} WirePlace One of the two.
 * @typedef {WirePlace & {call_id?: string, to_profile_id: number, to_profile_type: string}} Addressed
 *
 * @typedef {{ref?: string} & (
 *   | {type: "call_invitation", call_type: CallKind, offer: Offer, transferred_from?: string, can_show_recording: true}
 *   | {type: "call_answer", answer: Answer, can_show_recording: true}
 *   | {type: "ice_candidate", candidate: WireCandidate | null}
 *   | {type: "call_declined", reason: string, message?: string}
 *   | {type: "call_ended"}
 *   | {type: "call_update", offer: Offer, call_type: CallKind}
 *   | {type: "call_update", answer: Answer, update_id?: string}
 *   | {type: "call_update", rejected: true}
 *   | {type: "call_rejoin", can_show_recording: true, move?: true}
 *   | {type: "call_rejoin_answer", accepted: boolean, request_id?: string}
 *   | {type: "call_transfer_targets"}
 *   | {type: "call_restart" | "call_hold" | "call_resume"}
 *   | {type: "call_media_state", muted: boolean, camera_off: boolean, sharing: boolean, no_microphone: boolean,
 *       no_camera: boolean}
 *   | {type: "call_transfer", target_profile_id: number, target_profile_type: string}
 *   | {type: "call_transfer_answer", accepted: boolean}
 *   | {type: "call_chat", text: string, message_id: string}
 *   | {type: "call_record", action: "start" | "stop"}
 *   | {type: "call_record_answer", accepted: boolean, recording_id?: string, text_hash?: string}
 * )} AboutCall What this page says about a call, still without an address.
 * @typedef {(AboutCall & Addressed) | {type: "ping", last_seq: number}} FromClient
 *
 * @typedef {object} Party Of every message about a call: the other party.
 * @property {number} from_profile_id
 * @property {string} from_profile_type
 * @property {string} from_name
 * @property {string} from_avatar
 *
 * @typedef {WirePlace & Party & {call_id: string, seq?: number}} CallFields
 * @typedef {{conversation_id: number, profile_id: number, profile_type: string, name: string, avatar: string}} TransferTarget
 *
 * @typedef {CallFields & {type: "call_invitation", call_type: CallKind, offer: Offer, expires_at: number,
 *   server_time: number, can_update?: boolean, will_be_recorded?: boolean, chat_kept?: boolean}} CallInvitation
 * @typedef {CallFields & {type: "call_answer", answer: Answer, can_update?: boolean}} CallAnswer
 * @typedef {CallFields & {type: "ice_candidate", candidate: WireCandidate | null}} IceCandidate
 * @typedef {CallFields & {type: "call_declined", reason: string, message?: string}} CallDeclined
 * @typedef {CallFields & {type: "call_ended", reason: string, duration_seconds: number | null,
 *   transfer?: TransferTarget}} CallEnded
 * @typedef {"invited" | "ringing" | "answered" | "connected" | "reconnecting" | "ended"} ServerState
 * @typedef {{muted: boolean, camera_off: boolean, sharing: boolean, no_microphone?: boolean, no_camera?: boolean}} WireMedia
 * @typedef {CallFields & {type: "call_state", call_type: CallKind, answered_at: number | null, server_time: number,
 *   state: ServerState, media?: WireMedia, held_by?: ("you" | "other")[], yours?: boolean, reason?: string,
 *   duration_seconds?: number | null, can_update?: boolean | null, chat_kept?: boolean, recording?: WireRecording,
 *   will_be_recorded?: boolean}} CallState
 * @typedef {CallFields & {type: "call_elsewhere", call_type: CallKind, answered_at: number, server_time: number,
 *   can_move: boolean, over: boolean}} CallElsewhere
 * @typedef {CallFields & {type: "call_rejoin_request", request_id: string, expires_at: number,
 *   server_time: number}} CallRejoinRequest
 * @typedef {CallFields & {type: "call_rejoin_answer", request_id: string, accepted: false,
 *   reason: "refused" | "expired" | "withdrawn"}} CallRejoinAnswer
 * @typedef {{profile_id: number, profile_type: string, name: string, avatar: string,
 *   reason: "offline" | "busy" | null}} WireTarget
 * @typedef {CallFields & {type: "call_transfer_targets", targets: WireTarget[]}} CallTransferTargets
 * @typedef {CallFields & {type: "call_glare"}} CallGlare
 * @typedef {CallFields & {type: "call_update", offer?: Offer, answer?: Answer, rejected?: boolean,
 *   expired?: boolean, update_id?: string, expires_at?: number, rejoin?: boolean, call_type: CallKind}} CallUpdate
 * @typedef {CallFields & WireMedia & {type: "call_media_state"}} CallMediaState
 * @typedef {CallFields & {type: "call_hold" | "call_resume"}} CallHold
 * @typedef {CallFields & {type: "call_transfer", target: TransferTarget, expires_at: number, server_time: number}} CallTransfer
 * @typedef {CallFields & {type: "call_transfer_answer", accepted: boolean}} CallTransferAnswer
 * @typedef {CallFields & {type: "call_chat", text: string, message_id: string, sent_at: number, own: boolean}} CallChat
 * @typedef {CallFields & {type: "call_quality", leg: "yours" | "other", score: number, rtt_ms: number | null, jitter_ms: number,
 *   loss_from_peer: number, loss_to_peer: number, bitrate: number, route?: string | null,
 *   family?: "ipv4" | "ipv6" | null}} CallQuality
 * @typedef {{recording_id: string | null, state: "idle" | "asked" | "declined" | "recording" | "paused" | "stopped",
 *   reason: string | null, since: number, by: "party" | "service", yours: boolean, can_record: boolean,
 *   policy: "off" | "consent" | "always", needs_answer: boolean, expires_at?: number, policy_version?: string,
 *   policy_text?: string}} WireRecording
 * @typedef {CallFields & WireRecording & {type: "call_recording"}} CallRecordingMessage
 * @typedef {CallFields & {type: "call_record_request", recording_id: string, policy_version: string,
 *   policy_text: string, expires_at: number, server_time: number}} CallRecordRequest
 * @typedef {CallInvitation | CallAnswer | IceCandidate | CallDeclined | CallEnded | CallState | CallGlare | CallUpdate
 *   | CallMediaState | CallHold | CallTransfer | CallTransferAnswer | CallTransferTargets | CallChat | CallQuality
 *   | CallElsewhere | CallRejoinRequest | CallRejoinAnswer
 *   | CallRecordingMessage | CallRecordRequest} CallMessage
 *
 * @typedef {WirePlace & Party & {call_id: string, call_type: CallKind, reason: string, started_at: number}} MissedCall
 * @typedef {{type: "call_missed", call: MissedCall}} CallMissed
 * @typedef {{type: "missed_calls", calls: MissedCall[], unseen_count: number}} MissedCalls
 * @typedef {WireProfile & {type: "welcome", device_id: string, resume?: string, resumed?: boolean, resume_seconds?: number,
 *   call_id?: string, server_time: number}} Welcome
 * @typedef {{type: "pong", server_time: number, ref: string | null}} Pong
 * @typedef {{type: "error", code: string, message: string, ref: string | null}} ErrorMessage
 * @typedef {{seq?: number} & (CallMessage | CallMissed | MissedCalls | Welcome | Pong | ErrorMessage)} FromServer
 */

/**
 * A profile as the rest of the page knows it.
 *
 * @param {WireProfile} profile
 * @returns {Person}
 */
export function personOf(profile) {
  return { type: profile.profile_type, id: profile.profile_id, name: nameIn(profile.name), avatar: profile.avatar };
}

/**
 * The other party of a call.
 *
 * @param {Party} message
 * @returns {Person}
 */
export function senderOf(message) {
  const { from_profile_type: type, from_profile_id: id, from_name: name, from_avatar: avatar } = message;
  return { type, id, name: nameIn(name), avatar };
}

/** Control characters, and those that turn the direction of the text around them (Unicode, annex 9): no part of a name. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * A name that may stand in a sentence: it changes nothing around it.
 *
 * @param {string} text
 */
export function nameIn(text) {
  return text.replace(UNSEEN, "");
}

/**
 * Where a call belongs.
 *
 * @param {WirePlace} message
 * @returns {Scope}
 */
export function scopeOf(message) {
  if (message.whiteboard_session_id !== undefined) return { kind: "whiteboard_session", id: message.whiteboard_session_id };
  return { kind: "conversation", id: message.conversation_id ?? 0 };
}

/**
 * The fields that say where a call belongs.
 *
 * @param {Scope} scope
 * @returns {WirePlace}
 */
export function scopeFields({ kind, id }) {
  return kind === "conversation" ? { conversation_id: id } : { whiteboard_session_id: id };
}

/**
 * @param {WireMedia} media
 * @returns {MediaState}
 */
export function mediaOf({ muted, camera_off: cameraOff, sharing, no_microphone: noMicrophone = false, no_camera: noCamera = false }) {
  return { muted, cameraOff, sharing, noMicrophone, noCamera };
}

/**
 * What is not there is said as turned off too, for clients that know only that.
 *
 * @param {MediaState} media
 * @returns {Required<WireMedia>}
 */
export function mediaFields({ muted, cameraOff, sharing, noMicrophone, noCamera }) {
  return { muted: muted || noMicrophone, camera_off: cameraOff || noCamera, sharing, no_microphone: noMicrophone, no_camera: noCamera };
}

/**
 * The message in a text frame, or null: a frame that is not one must not break the page. Types that this
 * page does not know pass, and find no reader.
 *
 * @param {unknown} data
 * @returns {FromServer | null}
 */
export function messageIn(data) {
  try {
    const message = JSON.parse(String(data));
    return typeof message?.type === "string" ? message : null;
  } catch {
    return null;
  }
}

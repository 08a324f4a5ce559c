"""What the server sends. `encode` makes a text frame of it."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from relay.signaling.messages.common import Answer, MediaState, Offer


class ToClient(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """Base of what the server sends. On the wire each has a `seq` too, but for those that are only of the moment
    (`Transient`)."""


class Transient(ToClient, frozen=True, kw_only=True):
    """Of the moment: not numbered, and not kept for a device that is away."""


class CallMessage(ToClient, frozen=True, kw_only=True):
    """A message about a call. `from_*` is the other party as the server knows it, `to_*` the receiver."""

    conversation_id: int | UnsetType = UNSET
    whiteboard_session_id: int | UnsetType = UNSET
    """One of the two: where the call belongs."""
    call_id: str
    from_profile_id: int
    from_profile_type: str
    from_name: str
    from_avatar: str
    to_profile_id: int
    to_profile_type: str


# -- version 1 --------------------------------------------------------------------------------------------------------


class InvitationDelivery(CallMessage, frozen=True, tag="call_invitation"):
    call_type: str
    offer: Offer
    expires_at: int
    """When the call stops ringing: milliseconds since 1970."""
    server_time: int
    can_update: bool
    """Whether the caller's client takes `call_update`."""
    will_be_recorded: bool = False
    """The call is recorded from its answer on, without anyone being asked."""
    chat_kept: bool = False
    """Chat messages of the call, and what is said by declining it, are kept with it."""


class AnswerDelivery(CallMessage, frozen=True, tag="call_answer"):
    answer: Answer
    can_update: bool
    """Whether the callee's client takes `call_update`."""


class DeclinedDelivery(CallMessage, frozen=True, tag="call_declined"):
    reason: str
    message: str | UnsetType = UNSET
    """What the callee says by declining."""


class TransferTarget(msgspec.Struct, frozen=True):
    """Whom to call instead, and where."""

    conversation_id: int
    profile_id: int
    profile_type: str
    name: str
    avatar: str


class EndedDelivery(CallMessage, frozen=True, tag="call_ended"):
    reason: str
    duration_seconds: int | None
    transfer: TransferTarget | UnsetType = UNSET
    """With reason `transferred`, to the party that agreed to it: whom it calls now."""


class RecordingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where the recording of a call stands, as its receiver sees it."""

    recording_id: str | None
    """None: none was asked for yet."""
    state: Literal["idle", "asked", "declined", "recording", "paused", "stopped"]
    reason: str | None
    """Why it is declined, paused or stopped."""
    since: int
    """When the state began; milliseconds since 1970, by the server's clock."""
    by: Literal["party", "service"]
    """Whether a party asked for it, or the service records the call without asking."""
    yours: bool
    """The receiver asked for it."""
    can_record: bool
    """The receiver may send `call_record` with `start` now."""
    policy: Literal["off", "consent", "always"]
    """Of this call."""
    needs_answer: bool
    """The receiver is asked, and has not answered yet."""
    expires_at: int | UnsetType = UNSET
    """While someone is asked: until when the answer may come."""
    policy_version: str | UnsetType = UNSET
    policy_text: str | UnsetType = UNSET
    """While someone is asked: what the operator wants the user to read."""


# -- within a call ----------------------------------------------------------------------------------------------------


class CallStateMessage(CallMessage, frozen=True, tag="call_state"):
    """Where a call stands: sent to both parties at each change, and to a device that takes a call over."""

    state: str
    call_type: str
    answered_at: int | None
    """Milliseconds since 1970, by the server's clock; the call's timer counts from here."""
    server_time: int
    """Milliseconds since 1970: now, by the server's clock."""
    media: MediaState
    """What the other party last said of its media."""
    held_by: tuple[Literal["you", "other"], ...] = ()
    """Who has put the call on hold."""
    yours: bool = True
    """Whether the call is this device's. If not, the device that had it is away, and this one may `call_rejoin`."""
    can_update: bool | None = None
    """Whether the other party's client takes `call_update`; None while no device of it has taken the call."""
    chat_kept: bool | UnsetType = UNSET
    """Chat messages of the call are kept with it."""
    reason: str | UnsetType = UNSET
    duration_seconds: int | UnsetType | None = UNSET
    recording: RecordingStatus | UnsetType = UNSET
    """Left out where the call cannot be recorded, and is not."""
    will_be_recorded: bool | UnsetType = UNSET
    """Before the answer, if so: as in the invitation."""


class CallGlare(CallMessage, frozen=True, tag="call_glare"):
    """The invitation crossed one of the other party, which was first and stays: drop your offer, and answer that one."""


class UpdateDelivery(CallMessage, frozen=True, kw_only=True, tag="call_update"):
    """One of `offer`, `answer`, `rejected` and `expired`."""

    offer: Offer | UnsetType = UNSET
    answer: Answer | UnsetType = UNSET
    rejected: bool | UnsetType = UNSET
    expired: bool | UnsetType = UNSET
    """The time for an answer to the offer `update_id` is up."""
    update_id: str | UnsetType = UNSET
    """Of an offer."""
    expires_at: int | UnsetType = UNSET
    """With an offer: until when it may be answered; milliseconds since 1970."""
    server_time: int | UnsetType = UNSET
    rejoin: bool | UnsetType = UNSET
    """With an offer: whether it is for a new peer connection, and not for the one that the client has."""
    call_type: str


class MediaStateDelivery(CallMessage, frozen=True, tag="call_media_state"):
    muted: bool
    camera_off: bool
    sharing: bool
    no_microphone: bool
    no_camera: bool


class HoldDelivery(CallMessage, frozen=True, tag="call_hold"):
    pass


class ResumeDelivery(CallMessage, frozen=True, tag="call_resume"):
    pass


class TransferDelivery(CallMessage, frozen=True, tag="call_transfer"):
    """The other party asks that you call a third profile instead."""

    target: TransferTarget
    expires_at: int
    server_time: int


class TransferAnswerDelivery(CallMessage, frozen=True, tag="call_transfer_answer"):
    """The other party does not want to be transferred, or did not say in time. (If it does, the call ends as `transferred`.)"""

    accepted: bool


class ReachableProfile(msgspec.Struct, frozen=True):
    """A profile that both parties of a call know."""

    profile_id: int
    profile_type: str
    name: str
    avatar: str
    reason: Literal["offline", "busy"] | None
    """Why the other party cannot be transferred to it now; None: it can."""


class TransferTargets(CallMessage, frozen=True, tag="call_transfer_targets"):
    """The profiles that the other party can be transferred to; it cannot call the receiver's contacts that are not listed."""

    targets: tuple[ReachableProfile, ...]


class CallElsewhere(CallMessage, Transient, frozen=True, kw_only=True, tag="call_elsewhere"):
    """Another device of the receiver's profile is in a call, or not any more."""

    call_type: str
    answered_at: int
    """Milliseconds since 1970."""
    server_time: int
    can_move: bool
    """Whether that device can be asked for the call, by `call_rejoin` with `move`."""
    over: bool
    """The call has ended."""


class RejoinRequestDelivery(CallMessage, frozen=True, tag="call_rejoin_request"):
    """Another device of the receiver's profile would like to have the call."""

    request_id: str
    expires_at: int
    """Until when it may be answered, and counts as refused else; milliseconds since 1970."""
    server_time: int


class RejoinAnswerDelivery(CallMessage, frozen=True, tag="call_rejoin_answer"):
    """Nothing came of a request to have a call on another device. (If something does, an offer comes by `call_update`.)"""

    request_id: str
    accepted: bool
    reason: Literal["refused", "expired", "withdrawn"]


class ChatDelivery(CallMessage, frozen=True, tag="call_chat"):
    """A chat message; also to its author, as the word that it was taken."""

    text: str
    message_id: str
    sent_at: int
    """Milliseconds since 1970."""
    own: bool
    """The receiver wrote it."""


class RecordRequestDelivery(CallMessage, frozen=True, tag="call_record_request"):
    """The other party asks that the call be recorded; also to another device that takes the place of one in a recorded call."""

    recording_id: str
    policy_version: str
    """Of the operator's policy on recording, as consents have it."""
    policy_text: str
    """What the operator wants the user to read; may be empty."""
    expires_at: int
    """Until when it may be answered, and counts as declined else; milliseconds since 1970."""
    server_time: int


class RecordingDelivery(CallMessage, frozen=True, kw_only=True, tag="call_recording"):
    """Where the recording of the call stands now: the fields of `RecordingStatus`, which says what they mean."""

    recording_id: str | None
    state: Literal["idle", "asked", "declined", "recording", "paused", "stopped"]
    reason: str | None
    since: int
    by: Literal["party", "service"]
    yours: bool
    can_record: bool
    policy: Literal["off", "consent", "always"]
    needs_answer: bool
    expires_at: int | UnsetType = UNSET
    policy_version: str | UnsetType = UNSET
    policy_text: str | UnsetType = UNSET


class CallQuality(CallMessage, Transient, frozen=True, tag="call_quality"):
    """How good the path between the relay and a party is; every 2 s for each of the two."""

    leg: Literal["yours", "other"]
    score: float
    """1 to 4.5: the mean opinion score by the E-model (ITU-T G.107)."""
    rtt_ms: float | None
    jitter_ms: float
    loss_from_peer: float
    """0 to 1, of the packets that this party sent, in the last 2 s."""
    loss_to_peer: float
    bitrate: float
    """Bit/s that this party sends."""
    route: Literal["udp", "tcp", "turn-udp", "turn-tcp", "turn-tls"] | None
    """How its media comes to the relay; None while unknown."""
    family: Literal["ipv4", "ipv6"] | None
    """Of the address that it comes from."""


# -- not within a call ------------------------------------------------------------------------------------------------


class MissedCall(msgspec.Struct, frozen=True):
    """A call that its callee did not take."""

    call_id: str
    call_type: str
    from_profile_id: int
    from_profile_type: str
    from_name: str
    from_avatar: str
    reason: str
    started_at: int
    """Milliseconds since 1970."""
    conversation_id: int | UnsetType = UNSET
    whiteboard_session_id: int | UnsetType = UNSET


class CallMissed(ToClient, frozen=True, tag="call_missed"):
    """A call for you was missed: you were busy, did not answer, or did not want to be disturbed."""

    call: MissedCall


class MissedCalls(ToClient, frozen=True, tag="missed_calls"):
    """What was missed and not seen yet, newest first; to a device that connects, if there is anything."""

    calls: tuple[MissedCall, ...]
    unseen_count: int


class Limits(msgspec.Struct, frozen=True):
    """What the server takes of this client, and how long it waits. Times are in seconds."""

    message_bytes: int
    chat_characters: int
    decline_characters: int
    media_sections: int
    ring_seconds: float
    connect_seconds: float
    update_seconds: float
    transfer_seconds: float
    media_seconds: float
    """Without media of a party, until the call ends."""
    signaling_seconds: float
    """Without a party's WebSocket while its media flows, until the call ends."""
    vanished_seconds: float
    """Without both."""


class Welcome(Transient, frozen=True, tag="welcome"):
    """The first message on every connection."""

    profile_id: int
    profile_type: str
    name: str
    avatar: str
    device_id: str
    resume: str
    """Token to come back as the same device: `?resume=…&last_seq=…`."""
    resumed: bool
    """Whether this is such a comeback: what was missed follows. If not, what an earlier connection missed is lost."""
    resume_seconds: float
    """How long after the loss of the connection the token is good."""
    server_time: int
    version: int
    """Of the protocol, as the server speaks it on this connection."""
    features: tuple[str, ...]
    """The types of version 2 that the server takes of this client."""
    limits: Limits
    recording: Literal["off", "consent", "always"] = "off"
    """Whether calls of this server may be recorded."""
    call_id: str | UnsetType = UNSET
    """The call that the profile is in at another server, which tells its state; or, if that one is lost, its successor does."""


class Pong(Transient, frozen=True, tag="pong"):
    server_time: int
    ref: str | None


class Error(ToClient, frozen=True, tag="error"):
    code: str
    message: str
    ref: str | None


_encoder = msgspec.json.Encoder()


def encode(message: ToClient, seq: int | None = None) -> bytes:
    """One text frame, in UTF-8.

    Args:
        seq: its number on this device; None for a `Transient` one.
    """
    frame: bytes = _encoder.encode(message)
    return frame if seq is None else numbered(frame, seq)


def numbered(frame: bytes, seq: int) -> bytes:
    """A text frame that has no number yet, with one."""
    return b'{"seq":%d,%b' % (seq, frame[1:])

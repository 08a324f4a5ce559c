"""What a client may send. `decode` accepts exactly the types of `AnyFromClient` and ignores unknown fields."""

import re
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.errors import SignalingError
from relay.ids import Scope, ScopeKind
from relay.signaling.messages.common import Answer, CallType, IceCandidate, Id, MediaState, Offer, ProfileType

MAX_FRAME_LENGTH = 64 * 1024
"""Bytes of one text frame. A browser's offer with simulcast and every codec is about 12 KiB."""

MAX_CHAT_LENGTH = 4000
"""Characters of one chat message."""

MAX_DECLINE_LENGTH = 200
"""Characters of what a callee says by declining: a line of a list of calls."""

CallId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
"""As `relay.ids.new_id` makes it."""

Ref = Annotated[str, Meta(max_length=200)]


class FromClient(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """Base of what a client may send. `ref` comes back in an `error`, so that a client can tell what it concerns."""

    ref: Ref | None = None


class AboutCall(FromClient, frozen=True, kw_only=True):
    """A message about a call. Where the call belongs is one of two: a conversation or a whiteboard session."""

    conversation_id: Id | UnsetType = UNSET
    whiteboard_session_id: Id | UnsetType = UNSET
    call_id: Annotated[str, Meta(max_length=64)] | None = None
    """Which call; a message that names another than the one that the profile is in is refused. Version 1 clients leave it out."""

    def __post_init__(self) -> None:
        if (self.conversation_id is UNSET) is (self.whiteboard_session_id is UNSET):
            raise ValueError("a call has either a `conversation_id` or a `whiteboard_session_id`")

    @property
    def scope(self) -> Scope:
        if self.conversation_id is not UNSET:
            return Scope(ScopeKind.CONVERSATION, self.conversation_id)
        assert self.whiteboard_session_id is not UNSET, "checked when it was made"
        return Scope(ScopeKind.WHITEBOARD_SESSION, self.whiteboard_session_id)


# -- version 1 --------------------------------------------------------------------------------------------------------


class CallInvitation(AboutCall, frozen=True, tag="call_invitation"):
    call_type: CallType
    to_profile_id: Id
    to_profile_type: ProfileType
    offer: Offer
    transferred_from: CallId | None = None
    """The `call_id` of the call that was transferred, and so led to this one."""
    can_show_recording: bool = False
    """The client shows its user that the call is recorded, and takes `call_record_request`."""


class CallAnswer(AboutCall, frozen=True, tag="call_answer"):
    answer: Answer
    can_show_recording: bool = False


class TrickledCandidate(AboutCall, frozen=True, tag="ice_candidate"):
    candidate: IceCandidate | None


class CallDeclined(AboutCall, frozen=True, tag="call_declined"):
    reason: Annotated[str, Meta(max_length=64)] = "rejected"
    message: Annotated[str, Meta(min_length=1, max_length=MAX_DECLINE_LENGTH)] | None = None
    """To the caller: "Call you back in 10 minutes"."""


class CallEnded(AboutCall, frozen=True, tag="call_ended"):
    pass


# -- within a call ----------------------------------------------------------------------------------------------------


class CallUpdate(AboutCall, frozen=True, tag="call_update"):
    """A step of a renegotiation: an offer, the answer to one, or the word that one is not taken."""

    offer: Offer | None = None
    answer: Answer | None = None
    rejected: bool = False
    call_type: CallType | None = None
    """With an offer: what the call is from then on."""
    update_id: Annotated[str, Meta(max_length=64)] | None = None
    """With an answer or `rejected`: which offer it is about. If left out, the one that came last."""

    def __post_init__(self) -> None:
        AboutCall.__post_init__(self)
        if [self.offer is not None, self.answer is not None, self.rejected].count(True) != 1:
            raise ValueError("an update carries an `offer`, an `answer`, or `rejected`")


class CallRestart(AboutCall, frozen=True, tag="call_restart"):
    """Asks for an ICE restart of one's own leg: the server's offer follows as `call_update`."""


class CallRejoin(AboutCall, frozen=True, tag="call_rejoin"):
    """A page that was loaded anew wants its call back: the server's offer for a new peer connection follows as `call_update`."""

    can_show_recording: bool = False
    move: bool = False
    """Take the call from another device of the same profile that is in it, if that one allows it."""


class CallRejoinAnswer(AboutCall, frozen=True, tag="call_rejoin_answer"):
    """The device in the call lets another one of its profile have it, or does not; or the device that asked takes that back."""

    accepted: bool
    request_id: CallId | None = None
    """Of the request. An acceptance must name it: by the time that it arrives, another device may be the one that asks."""

    def __post_init__(self) -> None:
        AboutCall.__post_init__(self)
        if self.accepted and self.request_id is None:
            raise ValueError("an answer that accepts names the `request_id` of what it accepts")


class CallMediaState(AboutCall, frozen=True, tag="call_media_state"):
    muted: bool = False
    camera_off: bool = False
    sharing: bool = False
    no_microphone: bool = False
    no_camera: bool = False

    @property
    def state(self) -> MediaState:
        return MediaState(self.muted, self.camera_off, self.sharing, self.no_microphone, self.no_camera)


class CallHold(AboutCall, frozen=True, tag="call_hold"):
    pass


class CallResume(AboutCall, frozen=True, tag="call_resume"):
    pass


class CallTransfer(AboutCall, frozen=True, tag="call_transfer"):
    """Asks that the other party call a third profile instead."""

    target_profile_id: Id
    target_profile_type: ProfileType


class CallTransferAnswer(AboutCall, frozen=True, tag="call_transfer_answer"):
    accepted: bool


class CallTransferTargets(AboutCall, frozen=True, tag="call_transfer_targets"):
    """Asks for the profiles that the other party can be transferred to."""


class CallChat(AboutCall, frozen=True, tag="call_chat"):
    text: Annotated[str, Meta(min_length=1, max_length=MAX_CHAT_LENGTH)]
    message_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """The client's name for it: sent again after a lost connection, it still arrives once."""


TextHash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""SHA-256 of a text in UTF-8, in hexadecimal digits."""


class RecordCall(AboutCall, frozen=True, tag="call_record"):
    """Asks that the call be recorded, which the other party must agree to, or ends the recording."""

    action: Literal["start", "stop"]
    text_hash: TextHash | None = None
    """Of what the user was shown before asking: who asks has consented by that."""


class CallRecordAnswer(AboutCall, frozen=True, tag="call_record_answer"):
    accepted: bool
    """False once the call is recorded: the consent is withdrawn."""
    recording_id: CallId | None = None
    """Of the request; if left out, the one that came last."""
    text_hash: TextHash | None = None
    """Of what the user was shown and has agreed to."""


class Ping(FromClient, frozen=True, tag="ping"):
    """Answered with a `pong`: a page cannot see the pings of the WebSocket itself."""

    last_seq: Annotated[int, Meta(ge=0)] | None = None
    """The highest `seq` that the client has: what came up to there need not be kept for it any longer."""


TheFive = CallInvitation | CallAnswer | TrickledCandidate | CallDeclined | CallEnded
InCall = CallUpdate | CallRestart | CallRejoin | CallMediaState | CallHold | CallResume | CallChat
Transfers = CallTransfer | CallTransferAnswer | CallTransferTargets
Recording = RecordCall | CallRecordAnswer
Moves = CallRejoinAnswer
AnyFromClient = TheFive | InCall | Transfers | Recording | Moves | Ping


FEATURES: Final = tuple(str(one.__struct_config__.tag) for one in get_args(InCall | Transfers | Recording | Moves | Ping))
"""The types that version 2 adds."""

_decoder: msgspec.json.Decoder[AnyFromClient] = msgspec.json.Decoder(AnyFromClient)


class _Envelope(msgspec.Struct):
    """The little that an error's `ref` needs, of a message that may be wrong in any other way."""

    type: object = None
    ref: object = None


_envelopes = msgspec.json.Decoder(_Envelope)


def decode(frame: str | bytes) -> AnyFromClient:
    """One message of a client.

    Raises:
        SignalingError: `too_large`, `malformed` (not a JSON object), `unknown_type` or `invalid_message`.
    """
    if _bytes_of(frame) > MAX_FRAME_LENGTH:
        raise SignalingError("too_large", f"a message may have at most {MAX_FRAME_LENGTH} bytes")
    try:
        return _decoder.decode(frame)
    except msgspec.ValidationError as error:
        # msgspec quotes an unknown type whole, however long it is.
        raise SignalingError(_code_of(error), str(error)[:300]) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        if _envelope(frame) is not None:
            text = "a string has half of a surrogate pair: it was cut in the middle of a character (RFC 8259 section 8.2)"
            raise SignalingError("invalid_message", text) from None
        raise SignalingError("malformed", f"not a JSON object: {error}") from None


def encode(message: FromClient) -> bytes:
    """What `decode` makes that message of."""
    return msgspec.json.encode(message)


def _code_of(error: msgspec.ValidationError) -> str:
    text = str(error)
    if text.startswith("Expected `object`") and " at `$" not in text:
        return "malformed"
    return "unknown_type" if text.endswith("at `$.type`") or "required field `type`" in text else "invalid_message"


def _bytes_of(frame: str | bytes) -> int:
    if isinstance(frame, bytes) or frame.isascii() or len(frame) > MAX_FRAME_LENGTH:
        return len(frame)
    return len(frame.encode(errors="surrogatepass"))


def ref_of(frame: str | bytes) -> str | None:
    """What an `error` about this frame refers to: its `ref`, else its `type`, else nothing."""
    if len(frame) > MAX_FRAME_LENGTH:
        return None
    envelope = _envelope(frame)
    for value in (envelope.ref, envelope.type) if envelope is not None else ():
        if isinstance(value, str) and value:
            return value[:200]
    return None


def _envelope(frame: str | bytes) -> _Envelope | None:
    """What is around a message, or None if it is no JSON object. Strings may have halves of surrogate pairs: RFC 8259 section 8.2
    lets them, and JSON.stringify writes them for a text that was cut by UTF-16 length, but msgspec takes them for broken JSON.
    """
    try:
        text = frame if isinstance(frame, str) else frame.decode()
        return _envelopes.decode(_ESCAPE.sub(_whole, text))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.", re.DOTALL)
"""An escape in a JSON string: a surrogate pair, half of one, or (begun) any other."""

_HALF = len(r"\ud83d")


def _whole(escape: re.Match[str]) -> str:
    return r"\ufffd" if len(escape[0]) == _HALF else escape[0]

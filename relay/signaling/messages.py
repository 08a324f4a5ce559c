"""The messages on the WebSocket, as docs/protocol.md lists them: one frozen struct each.

What a client sends is decoded by `decode`, which accepts exactly the types of `FromClient` and ignores unknown fields; what the
server sends is encoded by `encode`. Names and values on the wire are a contract with existing clients.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.errors import SignalingError
from relay.ids import MAX_PROFILE_ID

MAX_FRAME_LENGTH = 64 * 1024
"""Bytes of one text frame. A browser's offer with simulcast and every codec is about 12 KiB."""

Id = Annotated[int, Meta(ge=1, le=MAX_PROFILE_ID)]
ProfileType = Literal["tutor", "student", "parent", "advertiser"]
CallType = Literal["voice", "video"]
Ref = Annotated[str, Meta(max_length=200)]


class Description(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of `offer` and `answer`."""

    sdp: str


class Offer(Description, frozen=True, tag="offer"):
    """RTCSessionDescription of type `offer`."""


class Answer(Description, frozen=True, tag="answer"):
    """RTCSessionDescription of type `answer`."""


class IceCandidate(msgspec.Struct, frozen=True, rename="camel"):
    """RTCIceCandidateInit. An empty or null `candidate` means end of candidates."""

    candidate: Annotated[str, Meta(max_length=1024)] | None = None
    sdp_mid: Annotated[str, Meta(max_length=64)] | None = None
    sdp_m_line_index: int | None = msgspec.field(default=None, name="sdpMLineIndex")


# -- from a client ----------------------------------------------------------------------------------------------------


class FromClient(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """Base of what a client may send. `ref` comes back in an `error`, so that a client can tell what it concerns."""

    conversation_id: Id
    ref: Ref | None = None


class CallInvitation(FromClient, frozen=True, tag="call_invitation"):
    call_type: CallType
    to_profile_id: Id
    to_profile_type: ProfileType
    offer: Offer


class CallAnswer(FromClient, frozen=True, tag="call_answer"):
    answer: Answer


class TrickledCandidate(FromClient, frozen=True, tag="ice_candidate"):
    candidate: IceCandidate | None


class CallDeclined(FromClient, frozen=True, tag="call_declined"):
    reason: Annotated[str, Meta(max_length=64)] = "rejected"


class CallEnded(FromClient, frozen=True, tag="call_ended"):
    pass


AnyFromClient = CallInvitation | CallAnswer | TrickledCandidate | CallDeclined | CallEnded


# -- to a client ------------------------------------------------------------------------------------------------------


class ToClient(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """Base of what the server sends."""


class CallMessage(ToClient, frozen=True, kw_only=True):
    """A message about a call. `from_*` is the other party as the server knows it, `to_*` the receiver."""

    conversation_id: int
    call_id: str
    from_profile_id: int
    from_profile_type: str
    from_name: str
    from_avatar: str
    to_profile_id: int
    to_profile_type: str


class InvitationDelivery(CallMessage, frozen=True, tag="call_invitation"):
    call_type: str
    offer: Offer
    expires_at: int
    """When the call stops ringing: milliseconds since 1970."""
    server_time: int


class AnswerDelivery(CallMessage, frozen=True, tag="call_answer"):
    answer: Answer


class DeclinedDelivery(CallMessage, frozen=True, tag="call_declined"):
    reason: str


class EndedDelivery(CallMessage, frozen=True, tag="call_ended"):
    reason: str
    duration_seconds: int | None


class CallStateMessage(CallMessage, frozen=True, tag="call_state"):
    """Where a call stands: sent to both parties at each change, and to a device that takes a call over."""

    state: str
    call_type: str
    answered_at: int | None
    """Milliseconds since 1970, by the server's clock; the call's timer counts from here."""
    server_time: int
    """Milliseconds since 1970: now, by the server's clock."""
    reason: str | UnsetType = UNSET
    duration_seconds: int | UnsetType | None = UNSET


class Welcome(ToClient, frozen=True, tag="welcome"):
    """The first message on every connection."""

    profile_id: int
    profile_type: str
    name: str
    avatar: str
    device_id: str
    server_time: int


class Error(ToClient, frozen=True, tag="error"):
    code: str
    message: str
    ref: str | None


_decoder: msgspec.json.Decoder[AnyFromClient] = msgspec.json.Decoder(AnyFromClient)
_encoder = msgspec.json.Encoder()


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
        raise SignalingError("malformed", f"not a JSON object: {error}") from None


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
    try:
        envelope = _envelopes.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    for value in (envelope.ref, envelope.type):
        if isinstance(value, str) and value:
            return value[:200]
    return None


def encode(message: ToClient) -> bytes:
    """One text frame, in UTF-8."""
    return _encoder.encode(message)

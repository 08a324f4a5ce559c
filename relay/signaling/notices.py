"""What each party is told of its call: the messages that `calls` sends, made from a `Call`."""

from datetime import datetime
from typing import TypedDict

from relay.signaling.call import Call, EndReason, Party
from relay.signaling.messages import (
    Answer,
    AnswerDelivery,
    CallStateMessage,
    DeclinedDelivery,
    EndedDelivery,
    InvitationDelivery,
    Offer,
    ToClient,
)

DECLINING: frozenset[EndReason] = frozenset({EndReason.REJECTED, EndReason.BUSY, EndReason.OFFLINE})
"""The reasons that reach the caller as `call_declined`; all others are a `call_ended`."""


def milliseconds(at: datetime) -> int:
    """Milliseconds since 1970."""
    return int(at.timestamp() * 1000)


class _About(TypedDict):
    """The fields of every `CallMessage`."""

    conversation_id: int
    call_id: str
    from_profile_id: int
    from_profile_type: str
    from_name: str
    from_avatar: str
    to_profile_id: int
    to_profile_type: str


def _about(call: Call, to: Party) -> _About:
    other = call.other(to)
    return {
        "conversation_id": call.conversation_id,
        "call_id": call.call_id,
        "from_profile_id": other.profile.profile_id,
        "from_profile_type": other.profile.profile_type,
        "from_name": other.name,
        "from_avatar": other.avatar,
        "to_profile_id": to.profile.profile_id,
        "to_profile_type": to.profile.profile_type,
    }


def invitation(call: Call, sdp: str, expires: datetime, now: datetime) -> ToClient:
    return InvitationDelivery(
        **_about(call, call.callee),
        call_type=call.call_type,
        offer=Offer(sdp=sdp),
        expires_at=milliseconds(expires),
        server_time=milliseconds(now),
    )


def answer(call: Call, sdp: str) -> ToClient:
    return AnswerDelivery(**_about(call, call.caller), answer=Answer(sdp=sdp))


def state(call: Call, to: Party, answered_at: datetime | None, now: datetime) -> ToClient:
    """Where the call stands."""
    return CallStateMessage(
        **_about(call, to),
        state=call.state.value,
        call_type=call.call_type,
        answered_at=None if answered_at is None else milliseconds(answered_at),
        server_time=milliseconds(now),
    )


def ended_by_you(call: Call, to: Party, answered_at: datetime | None, now: datetime, duration: int | None) -> ToClient:
    """The last message to the device that ended the call. Not a `call_ended`: a client that knows only the five messages has
    already forgotten the call, and might take that for the end of its next one."""
    assert call.end_reason is not None, "the call has ended"
    return CallStateMessage(
        **_about(call, to),
        state=call.state.value,
        call_type=call.call_type,
        answered_at=None if answered_at is None else milliseconds(answered_at),
        server_time=milliseconds(now),
        reason=call.end_reason.value,
        duration_seconds=duration,
    )


def final(call: Call, to: Party, duration: int | None) -> ToClient:
    """The last message to a device that did not end the call."""
    assert call.end_reason is not None, "the call has ended"
    if to is call.caller and call.end_reason in DECLINING:
        return DeclinedDelivery(**_about(call, to), reason=call.end_reason.value)
    return ended(call, to, call.end_reason.value, duration)


def ended(call: Call, to: Party, reason: str, duration: int | None = None) -> ToClient:
    return EndedDelivery(**_about(call, to), reason=reason, duration_seconds=duration)

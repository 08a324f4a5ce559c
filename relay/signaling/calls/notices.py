"""What each party gets about its call: messages made from a `Call`."""

from datetime import datetime
from typing import Any, Final

from msgspec import UNSET

from relay.clock import Timeline
from relay.ids import Scope
from relay.records.profiles import ProfileCard
from relay.sdp.parse import MAX_SECTIONS
from relay.settings.calls import CallSettings
from relay.signaling.calls.call import TRANSFER_TIMEOUT, UPDATE_TIMEOUT, Call, EndReason, Party, State
from relay.signaling.messages import outgoing
from relay.signaling.messages.common import Answer, Offer
from relay.signaling.messages.incoming import MAX_CHAT_LENGTH, MAX_DECLINE_LENGTH, MAX_FRAME_LENGTH
from relay.signaling.messages.outgoing import CallMessage, TransferTarget
from relay.signaling.ports import MissedCallRecord, Unseen
from relay.signaling.recording import CallRecording, RecordingStage

DECLINING: Final[dict[EndReason, str]] = {
    EndReason.REJECTED: "rejected",
    EndReason.BUSY: "busy",
    EndReason.OFFLINE: "offline",
    EndReason.MEDIA_UNAVAILABLE: "media_unavailable",
    EndReason.NOT_SUPPORTED: "not_supported",
    # So that a caller cannot tell a block from a refusal.
    EndReason.BLOCKED: "rejected",
}
"""The reasons that reach the caller as `call_declined`, as it is told them; all others are a `call_ended`."""

NOT_MISSED: Final = frozenset({EndReason.REJECTED, EndReason.BLOCKED})
"""The ends of an unanswered call that the callee need not hear of: its own decision, made then or before."""


def milliseconds(at: datetime) -> int:
    """Milliseconds since 1970."""
    return int(at.timestamp() * 1000)


def _at(scope: Scope) -> dict[str, int]:
    return {scope.kind.id_field: scope.scope_id}


def _about(call: Call, to: Party) -> dict[str, Any]:
    """The fields of every `CallMessage`."""
    other = call.other(to)
    return {
        **_at(call.scope),
        "call_id": call.call_id,
        "from_profile_id": other.profile.profile_id,
        "from_profile_type": other.profile.profile_type,
        "from_name": other.name,
        "from_avatar": other.avatar,
        "to_profile_id": to.profile.profile_id,
        "to_profile_type": to.profile.profile_type,
    }


def about(message: type[CallMessage], call: Call, to: Party, **fields: Any) -> CallMessage:
    """A message about a call that needs nothing but its own fields."""
    return message(**_about(call, to), **fields)


def invitation(call: Call, sdp: str, expires: datetime, now: datetime, *, will_be_recorded: bool = False) -> CallMessage:
    return outgoing.InvitationDelivery(
        **_about(call, call.callee),
        call_type=call.call_type,
        offer=Offer(sdp=sdp),
        expires_at=milliseconds(expires),
        server_time=milliseconds(now),
        can_update=bool(call.caller.can_update),
        will_be_recorded=will_be_recorded,
        chat_kept=call.keeps_chat,
    )


def answer(call: Call, sdp: str) -> CallMessage:
    return outgoing.AnswerDelivery(**_about(call, call.caller), answer=Answer(sdp=sdp), can_update=bool(call.callee.can_update))


def state(call: Call, to: Party, answered_at: datetime | None, now: datetime, *, yours: bool = True, **end: Any) -> CallMessage:
    """Where the call stands."""
    other = call.other(to)
    holders = (("you", to), ("other", other))
    return outgoing.CallStateMessage(
        **_about(call, to),
        state=call.state.value,
        call_type=call.call_type,
        answered_at=None if answered_at is None else milliseconds(answered_at),
        server_time=milliseconds(now),
        media=other.media,
        held_by=tuple(name for name, party in holders if party.holds),  # type: ignore[misc]  # mypy widens the names to str
        yours=yours,
        can_update=other.can_update,
        chat_kept=call.keeps_chat,
        **end,
    )


def elsewhere(call: Call, to: Party, answered_at: datetime, now: datetime, *, can_move: bool) -> CallMessage:
    """A call that another device of the receiver's profile is in, or was."""
    return outgoing.CallElsewhere(
        **_about(call, to),
        call_type=call.call_type,
        answered_at=milliseconds(answered_at),
        server_time=milliseconds(now),
        can_move=can_move,
        over=call.state is State.ENDED,
    )


def recording_fields(rec: CallRecording, call: Call, to: Party, timeline: Timeline) -> dict[str, Any]:
    """The fields of `RecordingStatus` and `RecordingDelivery`, as a party sees them."""
    fields: dict[str, Any] = {
        "recording_id": rec.recording_id,
        "state": rec.stage.value,
        "reason": rec.reason,
        "since": milliseconds(timeline.at(rec.since)),
        "by": rec.origin,
        "yours": rec.asker == to.profile,
        "can_record": call.answered and rec.may_ask(to.profile) and all(one.can_show_recording for one in call.parties),
        "policy": rec.policy.value,
        "needs_answer": rec.asked == to.profile,
    }
    if rec.expires_at is not None:
        fields |= {"expires_at": milliseconds(timeline.at(rec.expires_at)), **rec.terms._asdict()}
    return fields


def recording_state(rec: CallRecording, call: Call, to: Party, timeline: Timeline) -> dict[str, Any]:
    """What `call_state` says of the recording, if there is anything to be said."""
    fields = recording_fields(rec, call, to, timeline)
    if rec.stage is not RecordingStage.IDLE or fields["can_record"]:
        return {"recording": outgoing.RecordingStatus(**fields)}
    return {"will_be_recorded": True} if rec.certain and not call.answered else {}


def ended_by_you(call: Call, to: Party, answered_at: datetime | None, now: datetime, duration: int | None) -> CallMessage:
    """The last message to the device that ended the call. Not a `call_ended`: a client that speaks version 1 has
    already forgotten the call, and might take that for the end of its next one."""
    assert call.end_reason is not None, "the call has ended"
    return state(call, to, answered_at, now, reason=call.end_reason.value, duration_seconds=duration)


def final(call: Call, to: Party, duration: int | None, transfer: TransferTarget | None = None) -> CallMessage:
    """The last message to a device that did not end the call."""
    assert call.end_reason is not None, "the call has ended"
    if to is call.caller and call.end_reason in DECLINING:
        said = UNSET if call.decline_message is None else call.decline_message
        return outgoing.DeclinedDelivery(**_about(call, to), reason=DECLINING[call.end_reason], message=said)
    return ended(call, to, call.end_reason, duration, transfer)


def ended(
    call: Call, to: Party, reason: EndReason, duration: int | None = None, transfer: TransferTarget | None = None
) -> CallMessage:
    return outgoing.EndedDelivery(
        **_about(call, to), reason=reason.value, duration_seconds=duration, transfer=UNSET if transfer is None else transfer
    )


def limits(timers: CallSettings) -> outgoing.Limits:
    """What a client gets about them when it connects."""
    return outgoing.Limits(
        message_bytes=MAX_FRAME_LENGTH,
        chat_characters=MAX_CHAT_LENGTH,
        decline_characters=MAX_DECLINE_LENGTH,
        media_sections=MAX_SECTIONS,
        ring_seconds=timers.ring_timeout,
        connect_seconds=timers.connect_timeout,
        update_seconds=UPDATE_TIMEOUT,
        transfer_seconds=TRANSFER_TIMEOUT,
        media_seconds=timers.media_grace,
        signaling_seconds=timers.signaling_grace,
        vanished_seconds=timers.vanished_grace,
    )


def missed_record(call: Call, reason: str, started_at: datetime) -> MissedCallRecord:
    caller = ProfileCard(call.caller.profile, call.caller.name, call.caller.avatar)
    return MissedCallRecord(call.call_id, call.scope, call.call_type, caller, reason, started_at)


def missed(record: MissedCallRecord) -> outgoing.MissedCall:
    return outgoing.MissedCall(
        **_at(record.scope),
        call_id=record.call_id,
        call_type=record.call_type,
        from_profile_id=record.caller.profile.profile_id,
        from_profile_type=record.caller.profile.profile_type,
        from_name=record.caller.name,
        from_avatar=record.caller.avatar,
        reason=record.reason,
        started_at=milliseconds(record.started_at),
    )


def missed_calls(unseen: Unseen) -> outgoing.MissedCalls:
    return outgoing.MissedCalls(calls=tuple(missed(one) for one in unseen.calls), unseen_count=unseen.count)

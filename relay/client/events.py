"""What a program learns of its calls, one frozen class per event. Sans-IO.

Unknown messages are `OtherMessage`, so a program can use what is newer than this library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay.ids import Profile


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """Base of all events of a call."""


@dataclass(frozen=True, slots=True)
class StateChanged(ClientEvent):
    """The call is in another state, or some of what belongs to the state has changed."""

    state: str
    """`invited`, `ringing`, `answered`, `connected`, `reconnecting` or `ended`."""
    held_by: Sequence[str] = ()
    """Of `you` and `other`: which parties hold the call."""


@dataclass(frozen=True, slots=True)
class CallFinished(ClientEvent):
    """The call has ended, or was not taken. The last event of a call."""

    reason: str
    duration_seconds: int | None = None
    """None: it was not answered."""
    message: str | None = None
    """What the callee said by declining."""


@dataclass(frozen=True, slots=True)
class ChatReceived(ClientEvent):
    """A chat message: the other party's, or the confirmation of one's own."""

    text: str
    own: bool
    message_id: str | None
    sent_at: int
    """Milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class RemoteMediaState(ClientEvent):
    """What the other party says of its media."""

    muted: bool
    camera_off: bool
    sharing: bool
    no_microphone: bool = False
    """It has no microphone that works."""
    no_camera: bool = False
    """It has no camera that works."""


@dataclass(frozen=True, slots=True)
class QualityMeasured(ClientEvent):
    """How good the path of a party is, by the relay's measurement."""

    leg: str
    """`yours` or `other`."""
    score: float
    """Mean opinion score, 1 to 4.5 (ITU-T G.107)."""
    rtt_ms: float | None
    jitter_ms: float
    loss_from_peer: float
    """0 to 1."""
    loss_to_peer: float
    bitrate: int
    """bit/s that the party sends."""
    route: str | None


@dataclass(frozen=True, slots=True)
class TransferRequested(ClientEvent):
    """The other party asks to call a third profile instead."""

    target: Profile
    conversation_id: int | None
    expires_at: int
    """Milliseconds since 1970, by the relay's clock."""


@dataclass(frozen=True, slots=True)
class RecordingRequested(ClientEvent):
    """The relay asks whether this party agrees to a recording: answer by `ClientCall.consent`."""

    policy_version: str
    policy_text: str
    expires_at: int
    """Milliseconds since 1970, by the relay's clock."""


@dataclass(frozen=True, slots=True)
class RecordingChanged(ClientEvent):
    """Whether the call is being recorded. A program must show this to the person that it acts for."""

    state: str
    """`idle`, `asked`, `declined`, `recording`, `paused` or `stopped`."""
    reason: str | None
    recording_id: str | None
    by: str | None
    """`party` or `service`."""


@dataclass(frozen=True, slots=True)
class Reconnected(ClientEvent):
    """The WebSocket was lost and is back.

    Attributes:
        resumed: this is the same device as before, and no message is missing.
    """

    resumed: bool


@dataclass(frozen=True, slots=True)
class OtherMessage(ClientEvent):
    """A message that has no class of its own."""

    type: str
    fields: Mapping[str, Any]


def event_of(message: Mapping[str, Any]) -> ClientEvent:  # noqa: PLR0911 one case per message
    """The event that a message of the relay stands for. Missing fields have the defaults of docs/protocol.md."""
    get = message.get
    match message.get("type"):
        case "call_state":
            if get("state") == "ended":
                return CallFinished(str(get("reason", "hangup")), get("duration_seconds"))
            return StateChanged(str(get("state")), tuple(get("held_by") or ()))
        case "call_ended":
            return CallFinished(str(get("reason")), get("duration_seconds"))
        case "call_declined":
            return CallFinished(str(get("reason")), message=get("message"))
        case "call_chat":
            return ChatReceived(str(get("text", "")), bool(get("own")), get("message_id"), int(get("sent_at") or 0))
        case "call_media_state":
            return RemoteMediaState(
                *(bool(get(name)) for name in ("muted", "camera_off", "sharing", "no_microphone", "no_camera"))
            )
        case "call_quality":
            return QualityMeasured(
                leg=str(get("leg")),
                score=float(get("score") or 1.0),
                rtt_ms=get("rtt_ms"),
                jitter_ms=float(get("jitter_ms") or 0.0),
                loss_from_peer=float(get("loss_from_peer") or 0.0),
                loss_to_peer=float(get("loss_to_peer") or 0.0),
                bitrate=int(get("bitrate") or 0),
                route=get("route"),
            )
        case "call_transfer":
            target = get("target") or {}
            profile = Profile(str(target.get("profile_type")), int(target.get("profile_id") or 0))
            return TransferRequested(profile, target.get("conversation_id"), int(get("expires_at") or 0))
        case "call_record_request":
            return RecordingRequested(
                str(get("policy_version") or ""), str(get("policy_text") or ""), int(get("expires_at") or 0)
            )
        case "call_recording":
            return RecordingChanged(str(get("state")), get("reason"), get("recording_id"), get("by"))
        case kind:
            return OtherMessage(str(kind), message)

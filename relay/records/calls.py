"""What is on record about calls and about people, as plain data: what `db` reads and what the API shows.

All times are timezone-aware, in UTC.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from relay.ids import Profile, Scope
from relay.records.profiles import Privacy, ProfileCard

_Entry = TypeVar("_Entry")

MAX_ENDPOINT_LENGTH = 2048
"""Characters of `PushSubscription.endpoint`. Those of the browsers' push services have 150 to 600."""

MAX_PUSH_KEY_LENGTH = 128
"""Characters of a push subscription's keys: `p256dh` has 87 and `auth` 22 (RFC 8291 section 3.2, base64url)."""

# -- calls ------------------------------------------------------------------------------------------------------------


class CallDirection(StrEnum):
    """A call as one of its two parties sees it."""

    OUTGOING = "outgoing"
    INCOMING = "incoming"


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, as one of its two parties may see it."""

    id: str
    """Its name in the API: the `call_id`, or the row's number in decimal digits for a call that the relay did not carry (one of
    the backend that it replaced)."""
    scope: Scope | None
    """None if the conversation or the session exists no longer."""
    direction: CallDirection
    other: ProfileCard | None
    """The other party, without its `user_id`; the name is empty if that is nothing for this party to know, or was erased. None if
    the log does not say who it was."""
    call_type: str
    """`voice` or `video`."""
    status: str
    """`initiated`, `answered`, `missed` or `ended`."""
    reason: str | None
    """Why it ended, as far as this party may know: never `blocked`. None if it has not ended, or that was not written down."""
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    duration_seconds: int | None
    missed: bool
    """This party missed it: it counts as unseen until `seen`."""
    seen: bool
    """This party has marked it as seen, or there is nothing to be marked (an outgoing call in a conversation)."""
    transferred_from: str | None
    """`id` of the call whose transfer led to this one."""
    recording_id: str | None
    """Of whiteboard calls only."""
    route: str | None = None
    """The route of this party's own media: `Route.transport`. None if none came, or that was not written down."""
    family: str | None = None
    """`Route.family`, likewise."""
    rtt_ms: float | None = None
    """Milliseconds between the relay and this party and back; None if unknown."""
    score: float | None = None
    """The mean opinion score of this party's connection, 1 to 4.5; None if unknown."""
    decline_message: str | None = None
    """What the callee said to the caller by declining."""


@dataclass(frozen=True, slots=True)
class CallPage:
    """Some of a profile's calls, newest first."""

    calls: tuple[CallRecord, ...]
    next_cursor: str | None
    """Opaque; where the next page begins. None: this was the last one."""


@dataclass(frozen=True, slots=True)
class ChatRecord:
    """A chat message within a call."""

    message_id: str
    author: Profile
    own: bool
    """The asking profile wrote it."""
    text: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class CallDetail:
    """One call with its chat messages."""

    call: CallRecord
    chat: tuple[ChatRecord, ...]
    """Oldest first; empty where chat is not kept."""


@dataclass(frozen=True, slots=True)
class OngoingCall:
    """A call that has not ended."""

    call_id: str
    scope: Scope
    call_type: str
    """`voice` or `video`."""
    state: str
    """`relay.signaling.calls.call.State`."""
    caller: Profile
    callee: Profile
    started_at: datetime
    answered_at: datetime | None
    node: str
    """The name of the server that has it."""


@dataclass(frozen=True, slots=True)
class OngoingCalls:
    """The calls of all nodes that have not ended."""

    calls: tuple[OngoingCall, ...]
    """Oldest first."""
    unanswered: tuple[str, ...]
    """The names of nodes that did not say which calls they have."""


@dataclass(frozen=True, slots=True)
class MeasuredStream:
    """One RTP stream that a party sends: an encoding of a microphone, a camera or a screen."""

    mid: str
    """Of the media section that it belongs to."""
    kind: str
    """`audio` or `video`."""
    ssrc: int
    codec: str
    """Lower-case encoding name; empty before a packet has arrived."""
    repair_ssrc: int | None
    """By which its packets are sent again (RFC 4588), if that was announced."""
    forwarded: bool
    """It leaves by the other party's transport: not in a hold, nor while one of the two transports is down."""
    packets: int
    lost: int
    """Sequence numbers that have not arrived."""
    loss: float
    """Of the packets expected in the last interval, 0 to 1."""
    jitter: float
    """Seconds."""
    bitrate: float
    """Bit/s, in the last interval."""
    keyframes: int
    keyframe_requests: int
    """By the receiver (PLI and FIR)."""
    nacks: int
    """Packets that the receiver asked for again."""


@dataclass(frozen=True, slots=True)
class MeasuredMedia:
    """The media of one party, by the latest report on its transport: about the last two seconds of it."""

    score: float
    """1 to 4.5 (docs/protocol.md, `call_quality`)."""
    rtt: float | None
    """Seconds between the relay and the party; None while unknown."""
    jitter: float
    """Seconds."""
    loss_from_peer: float
    loss_to_peer: float
    """Of the packets, 0 to 1."""
    bitrate: float
    """Bit/s from the party."""
    route: str | None
    """`udp`, `tcp`, `turn-udp`, `turn-tcp` or `turn-tls`; None while unknown."""
    family: str | None
    """`ipv4` or `ipv6`."""
    streams: tuple[MeasuredStream, ...]


@dataclass(frozen=True, slots=True)
class OngoingCallDetail:
    """A call that has not ended, with its media."""

    call: OngoingCall
    caller: MeasuredMedia | None
    """None before the first report: the call is not answered, or media does not flow yet."""
    callee: MeasuredMedia | None


# -- what a profile settles -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SettingsRecord:
    """What a profile has settled about being called."""

    privacy: Privacy = Privacy.EVERYONE
    do_not_disturb: bool = False


@dataclass(frozen=True, slots=True)
class ProfileSettingsChange:
    """What a profile settles anew; None: as it was."""

    profile: Profile
    privacy: Privacy | None = None
    do_not_disturb: bool | None = None


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A profile that another has blocked."""

    blocked: ProfileCard
    """Without its `user_id`; with an empty name if there is no such profile any more."""
    since: datetime


@dataclass(frozen=True, slots=True)
class PushSubscription:
    """Where a browser of a profile is reached by Web Push (RFC 8030)."""

    endpoint: str
    """The push service's URL for this browser: who knows it and the keys can write to it. No log shows it."""
    p256dh: str
    """The browser's public key (RFC 8291), base64url."""
    auth: str
    """The browser's authentication secret (RFC 8291), base64url."""
    created_at: datetime
    last_used_at: datetime
    """When the browser last registered it, or a message was last accepted for it."""
    failures: int = 0
    """Attempts that failed since then."""


@dataclass(frozen=True, slots=True)
class ScopeRecord:
    """A conversation or whiteboard session, as the platform set it up."""

    scope: Scope
    members: tuple[Profile, ...]
    """Sorted."""
    keep_chat: bool


@dataclass(frozen=True, slots=True)
class Page(Generic[_Entry]):
    """Some entries of a list, in its order."""

    entries: tuple[_Entry, ...]
    next_cursor: str | None
    """Opaque; where the next page begins. None: this was the last one."""


@dataclass(frozen=True, slots=True)
class SessionCard:
    """A whiteboard session and those in it, the asking profile included."""

    whiteboard_session_id: int
    members: tuple[ProfileCard, ...]


class RevocationCause(StrEnum):
    """Why credentials are not good any more."""

    REVOKED = "revoked"
    """The platform said so."""
    DELETED = "deleted"
    """The profile was deleted. Should it be added again, they are good again."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Credentials that were issued before a time are not good any more."""

    profile: Profile | None
    """Whose; None: everybody's."""
    cause: RevocationCause
    issued_before: datetime | None
    """None: it was lifted."""
    changed_at: datetime


# -- keeping and forgetting -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Purged:
    """What a run of the retention job removed: rows."""

    calls: int = 0
    whiteboard_calls: int = 0
    identities: int = 0
    """Calls of both tables that lost their names."""
    chat: int = 0
    """Chat messages removed for their own age."""
    push_subscriptions: int = 0
    recordings: int = 0
    """Recordings that are to be deleted now: their files go next."""
    recording_accesses: int = 0
    """Uses of recordings, and consents to recordings that are gone."""

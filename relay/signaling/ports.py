"""What the signaling plane needs from the world, as interfaces: other packages provide them, tests bring their own."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from relay.ids import Profile, Scope
from relay.media.api import Route
from relay.records.profiles import Privacy, ProfileCard
from relay.records.recordings import CaptureResult, NewRecording, RecordingConsent, RecordingPolicy


@dataclass(frozen=True, slots=True)
class ConversationCard:
    """A conversation and those in it, the asking profile included."""

    conversation_id: int
    members: tuple[ProfileCard, ...]


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What decides whether one profile may call another at a scope: `relay.signaling.calls.policy` reads it."""

    caller: ProfileCard
    """With an empty name if there is no such profile."""
    callee: ProfileCard
    members: bool
    """The scope exists and both belong to it."""
    blocked: bool
    """One of the two has blocked the other."""
    connected: bool
    """They are connections of each other."""
    privacy: Privacy
    """The callee's."""
    do_not_disturb: bool
    """The callee's."""
    keeps_chat: bool = False
    """Chat messages of calls at the scope are kept."""


class Directory(Protocol):
    """Who exists, who shares a conversation with whom, and what each has settled about being called."""

    async def profile(self, profile: Profile) -> ProfileCard | None:
        """The profile's card, or None if there is no such profile."""
        ...

    async def eligibility(self, scope: Scope, caller: Profile, callee: Profile) -> Eligibility:
        """What decides whether `caller` may call `callee` at `scope`; any of the three may not exist."""
        ...

    async def shared_conversation(self, first: Profile, second: Profile) -> int | None:
        """The conversation with the lowest id that both are members of."""
        ...

    async def visible_profiles(self, profile: Profile) -> Sequence[ProfileCard]:
        """The profile itself and everyone who shares a conversation with it, by name."""
        ...

    async def conversations(self, profile: Profile) -> Sequence[ConversationCard]:
        """The conversations that the profile is a member of, by id."""
        ...


@dataclass(frozen=True, slots=True)
class NewCall:
    """The first row of a call's life."""

    call_id: str
    scope: Scope
    call_type: str
    caller: ProfileCard
    callee: ProfileCard
    started_at: datetime
    transferred_from: str | None = None
    """The `call_id` of the call whose transfer led to this one."""
    hidden_from_callee: bool = False
    """The caller might not call it: the callee never sees the call, whatever becomes of it."""


@dataclass(frozen=True, slots=True)
class MediaPath:
    """The path between the relay and a party, as it was when it was last known."""

    route: Route | None = None
    """None: it was never known, or media never came."""
    rtt: float | None = None
    """Seconds, smoothed; None: unknown."""
    score: float | None = None
    """The mean opinion score over the call, 1 to 4.5; None: unknown, or the call is not over."""


UNKNOWN_PATH: Final = MediaPath()


class CallLog(Protocol):
    """One table of calls: `call_logs`, or `whiteboard_call_history`. Each method is one conditional update: exactly one caller
    wins it.

    A row that was closed as `expired` counts as open to the server that has its call: another server took that for abandoned.
    A row that another server has taken over is left alone, and is reported by `TakenOver`.

    Times are timezone-aware, in UTC. Every method raises `Unavailable` while the database is away.
    """

    async def opened(self, call: NewCall) -> None:
        """Insert the call's row with status `initiated`.

        Raises:
            LostRace: it is there already.
        """
        ...

    async def answered(self, call_id: str, at: datetime) -> None:
        """`initiated` → `answered`.

        Raises:
            LostRace: the row was not `initiated`.
            TakenOver: it is another server's.
        """
        ...

    async def updated(self, call_id: str, call_type: str) -> None:
        """The call is a voice call no more but a video call, or the other way round. Nothing happens if its row is closed."""
        ...

    async def ended(
        self,
        call_id: str,
        at: datetime,
        reason: str,
        *,
        answered_at: datetime | None = None,
        caller: MediaPath = UNKNOWN_PATH,
        callee: MediaPath = UNKNOWN_PATH,
        decline_message: str | None = None,
    ) -> int | None:
        """`answered` → `ended`, or `initiated` → `missed`.

        Args:
            answered_at: when it was answered, if that may not have been written; None: as the row has it.
            caller: the path to the caller, `callee` that to the callee.
            decline_message: what the callee said by declining.

        Returns:
            The call's duration in whole seconds from answered to ended, or None for a missed call.

        Raises:
            LostRace: the row was already closed.
            TakenOver: it is another server's.
        """
        ...

    async def was_transferred(self, call_id: str, profile: Profile) -> bool:
        """Whether that is a call of the profile which ended as `transferred`."""
        ...

    async def heartbeat(self, call_ids: Sequence[str], at: datetime) -> Collection[str]:
        """Note that these calls were alive at `at`, so that a crash leaves their durations nearly right.

        Those that were closed as `expired` are opened again.

        Returns:
            Those that another server has taken over.
        """
        ...

    async def signs(self, beats: Collection[datetime]) -> Mapping[str, datetime]:
        """The last sign of life of each open call, but of those that this server has just noted at one of `beats`."""
        ...

    async def take_over(self, call_ids: Sequence[str]) -> None:
        """Make calls of an earlier life of this server, which has ended, this one's, before more of them is written."""
        ...

    async def succeed(self, call_id: str, dead: int) -> bool:
        """Make a call of another server, which has lost its lease, this one's: by one conditional update, so that one wins.

        Args:
            dead: the incarnation of that server.

        Returns:
            Whether it is this one's now. If not, it has ended, is a third server's, or was never written down.
        """
        ...

    async def close_own(self) -> int:
        """Close the calls that an earlier life of this server left open. To be called before this one has any.

        They end with reason `expired` at their last sign of life. Those of a process that may be alive stay open.

        Returns:
            How many were closed.
        """
        ...

    async def close_stale(self, signs: Mapping[str, datetime]) -> int:
        """Close those of these calls whose last sign of life still is the one given.

        They end with reason `expired` at it.

        Returns:
            How many were closed.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One chat message within a call."""

    message_id: str
    author: Profile
    text: str
    sent_at: datetime


class ChatLog(Protocol):
    """The chat messages of calls."""

    async def add(self, call_id: str, scope: Scope, message: ChatMessage) -> bool:
        """Keep a chat message, if the scope allows that (`keep_chat`).

        Returns:
            Whether it was kept.
        """
        ...


class RecordingLog(Protocol):
    """The recordings of this server, as they are written down.

    Each method may be repeated with the same result, and raises `Unavailable` while the database is away.
    """

    async def started(self, recording: NewRecording) -> None:
        """Insert the recording's row with state `capturing`."""
        ...

    async def captured(self, recording_id: str, at: datetime, result: CaptureResult) -> None:
        """`capturing` → `captured`, or `failed` if nothing was written."""
        ...

    async def answered(self, consent: RecordingConsent) -> None:
        """Insert what a party has said."""
        ...

    async def discard(self, recording_id: str) -> None:
        """→ `deleting`, unless it is under legal hold: a party has withdrawn its consent, and the operator deletes then."""
        ...

    async def policy(self, scope: Scope) -> RecordingPolicy | None:
        """The policy of the scope itself; None: it has none."""
        ...

    async def close_lost(self, concerns: Callable[[str], bool], at: datetime) -> Sequence[str]:
        """`capturing` → `captured`, with reason `server_lost`, for recordings of this server that do not concern it any more.

        Also for those of other servers whose calls ended some minutes before `at`, or earlier.

        Returns:
            The ids of those that it closed.
        """
        ...


@dataclass(frozen=True, slots=True)
class MissedCallRecord:
    """A call that a profile missed."""

    call_id: str
    scope: Scope
    call_type: str
    caller: ProfileCard
    reason: str
    """What the callee may know: never `blocked`."""
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Unseen:
    """The missed calls of a profile that it has not seen yet."""

    calls: tuple[MissedCallRecord, ...]
    """The latest ones, newest first."""
    count: int
    """All of them."""


class MissedCallStore(Protocol):
    """What profiles have missed, read from both tables of calls."""

    async def unseen(self, profile: Profile, limit: int) -> Unseen:
        """Calls *to* this profile that ended as `missed`, were not blocked or refused by the rules, and not marked as seen."""
        ...


class Waker(Protocol):
    """Reaches profiles that have no connection (Web Push)."""

    async def wake(self, call: MissedCallRecord, callee: Profile) -> bool:
        """Say that the call rings (`reason` is empty).

        Returns:
            Whether there is anything that the word could be sent to. It is on its way, not arrived.
        """
        ...

    async def missed(self, call: MissedCallRecord, callee: Profile) -> None:
        """Say that the call was missed."""
        ...


class Action(StrEnum):
    """What is limited in rate."""

    MESSAGE = "message"
    INVITATION = "invitation"


class Limiter(Protocol):
    """Keeps one profile, or one address, from taking what is everyone's."""

    def admits(self, action: Action, profile: Profile, address: str | None) -> bool:
        """Count an action; whether it is within the limits."""
        ...


class Connection(Protocol):
    """One open WebSocket."""

    @property
    def local_address(self) -> str | None:
        """The address of ours that the client connected to, as a literal: media is reachable there too, most likely."""
        ...

    @property
    def remote_address(self) -> str | None:
        """The client's address, as a literal."""
        ...

    def send(self, frame: bytes) -> None:
        """Queue one text frame. Never blocks, never fails: a client that does not drain its queue is disconnected."""
        ...

    def drop(self, code: int, reason: str) -> None:
        """Close it soon, with that close code (RFC 6455 section 7.4)."""
        ...

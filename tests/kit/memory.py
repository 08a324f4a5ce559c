"""What the signaling plane needs from a database, kept in memory: for tests in virtual time, where nothing may wait for a thread.

Each does what its interface in `relay.signaling.ports` says, and lets others go on first wherever a database would.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from relay.errors import LostRace, TakenOver, Unavailable
from relay.ids import Profile, Scope, ScopeKind
from relay.records.profiles import Privacy, ProfileCard
from relay.records.recordings import CaptureResult, NewRecording, RecordingConsent, RecordingEnd, RecordingPolicy
from relay.signaling.ports import (
    UNKNOWN_PATH,
    ChatMessage,
    ConversationCard,
    Eligibility,
    MediaPath,
    MissedCallRecord,
    NewCall,
    Unseen,
)


@dataclass(slots=True)
class CallEntry:
    """A row of a table of calls."""

    call: NewCall
    call_type: str
    status: str = "initiated"
    end_reason: str | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: int | None = None
    heartbeat_at: datetime | None = None
    paths: tuple[MediaPath, MediaPath] = (UNKNOWN_PATH, UNKNOWN_PATH)
    """To the caller and to the callee."""
    decline_message: str | None = None
    owner_epoch: int = 1
    """The incarnation of the server whose it is."""

    @property
    def call_id(self) -> str:
        return self.call.call_id

    @property
    def caller_profile_id(self) -> int:
        return self.call.caller.profile.profile_id

    @property
    def is_open(self) -> bool:
        return self.status in ("initiated", "answered")

    @property
    def last_sign(self) -> datetime:
        return max(filter(None, (self.call.started_at, self.answered_at, self.heartbeat_at)))

    def reopen(self) -> None:
        self.status = "initiated" if self.answered_at is None else "answered"
        self.end_reason = self.ended_at = self.duration_seconds = None

    def close(self, at: datetime, reason: str) -> None:
        if self.answered_at is not None:
            self.duration_seconds = max(0, (at - self.answered_at) // timedelta(seconds=1))
        self.status = "ended" if self.status == "answered" else "missed"
        self.end_reason, self.ended_at = reason, at


class MemoryCallLog:
    """`relay.signaling.ports.CallLog`.

    Args:
        beside: the same table, as another server has it.
        incarnation: of the server.
    """

    def __init__(self, kind: ScopeKind, beside: "MemoryCallLog | None" = None, incarnation: int = 1) -> None:
        self._kind = kind
        self._incarnation = incarnation
        self.entries: dict[str, CallEntry] = {} if beside is None else beside.entries
        """By `call_id`, oldest first."""
        self.taken_over: set[str] = set()
        """Ids of calls that are another server's, whatever their rows say."""
        self.is_away = False
        self.delay = 0.0
        """Seconds that each statement takes."""

    async def _reach(self) -> None:
        await asyncio.sleep(self.delay)
        if self.is_away:
            raise Unavailable("the database is away")

    async def opened(self, call: NewCall) -> None:
        await self._reach()
        assert call.scope.kind is self._kind, "each table has the calls of one kind of scope"
        if call.call_id in self.entries:
            raise LostRace(f"call {call.call_id} is there already")
        self.entries[call.call_id] = CallEntry(call, call.call_type, owner_epoch=self._incarnation)

    async def answered(self, call_id: str, at: datetime) -> None:
        await self._reach()
        self._require_mine(call_id)
        entry = self.entries.get(call_id)
        if entry is None or entry.status != "initiated":
            raise LostRace(f"call {call_id} is not waiting for an answer")
        entry.status, entry.answered_at = "answered", at

    async def updated(self, call_id: str, call_type: str) -> None:
        await self._reach()
        entry = self.entries.get(call_id)
        if entry is not None and entry.is_open:
            entry.call_type = call_type

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
        await self._reach()
        self._require_mine(call_id)
        entry = self.entries.get(call_id)
        if entry is None or not (entry.is_open or entry.end_reason == "expired"):
            raise LostRace(f"call {call_id} is not open")
        if answered_at is not None:
            entry.status, entry.answered_at = "answered", answered_at
        entry.close(at, reason)
        entry.paths, entry.decline_message = (caller, callee), decline_message
        return entry.duration_seconds

    async def was_transferred(self, call_id: str, profile: Profile) -> bool:
        await self._reach()
        entry = self.entries.get(call_id)
        parties = () if entry is None else (entry.call.caller.profile, entry.call.callee.profile)
        return entry is not None and entry.end_reason == "transferred" and profile in parties

    async def heartbeat(self, call_ids: Sequence[str], at: datetime) -> Collection[str]:
        await self._reach()
        theirs = {one for one in call_ids if not self._is_mine(one)}
        for call_id in {*call_ids} - theirs:
            entry = self.entries.get(call_id)
            if entry is not None and entry.end_reason == "expired":
                entry.reopen()
            if entry is not None and entry.is_open:
                entry.heartbeat_at = at
        return theirs

    async def take_over(self, call_ids: Sequence[str]) -> None:
        await self._reach()

    async def succeed(self, call_id: str, dead: int) -> bool:
        await self._reach()
        entry = self.entries.get(call_id)
        if entry is None or entry.owner_epoch != dead or not (entry.is_open or entry.end_reason == "expired"):
            return False
        if not entry.is_open:
            entry.reopen()
        entry.owner_epoch = self._incarnation
        return True

    def _is_mine(self, call_id: str) -> bool:
        entry = self.entries.get(call_id)
        return call_id not in self.taken_over and (entry is None or entry.owner_epoch == self._incarnation)

    def _require_mine(self, call_id: str) -> None:
        if not self._is_mine(call_id):
            raise TakenOver(f"call {call_id} is another server's")

    async def signs(self, beats: Collection[datetime]) -> Mapping[str, datetime]:
        await self._reach()
        return {one.call_id: one.last_sign for one in self.entries.values() if one.is_open and one.heartbeat_at not in beats}

    async def close_own(self) -> int:
        return await self._close([one for one in self.entries.values() if one.owner_epoch == self._incarnation])

    async def close_stale(self, signs: Mapping[str, datetime]) -> int:
        return await self._close([one for one in self.entries.values() if signs.get(one.call_id) == one.last_sign])

    async def _close(self, entries: Iterable[CallEntry]) -> int:
        await self._reach()
        abandoned = [one for one in entries if one.is_open]
        for one in abandoned:
            one.close(one.last_sign, "expired")
        return len(abandoned)


@dataclass(slots=True)
class MemoryDirectory:
    """`relay.signaling.ports.Directory`; a test fills it."""

    cards: dict[Profile, ProfileCard]
    members: dict[Scope, set[Profile]]
    blocks: set[tuple[Profile, Profile]] = field(default_factory=set)
    """Who has blocked whom."""
    connections: set[frozenset[Profile]] = field(default_factory=set)
    privacy: dict[Profile, Privacy] = field(default_factory=dict)
    undisturbed: set[Profile] = field(default_factory=set)
    """Who does not want to be disturbed."""
    asked: int = 0
    """Questions about two profiles, until now."""

    async def profile(self, profile: Profile) -> ProfileCard | None:
        await asyncio.sleep(0)
        return self.cards.get(profile)

    async def eligibility(self, scope: Scope, caller: Profile, callee: Profile) -> Eligibility:
        self.asked += 1
        await asyncio.sleep(0)
        return Eligibility(
            caller=self.cards.get(caller, ProfileCard(caller, "", "")),
            callee=self.cards.get(callee, ProfileCard(callee, "", "")),
            members={caller, callee} <= self.members.get(scope, set()),
            blocked=bool({(caller, callee), (callee, caller)} & self.blocks),
            connected=frozenset({caller, callee}) in self.connections,
            privacy=self.privacy.get(callee, Privacy.EVERYONE),
            do_not_disturb=callee in self.undisturbed,
        )

    async def shared_conversation(self, first: Profile, second: Profile) -> int | None:
        self.asked += 1
        await asyncio.sleep(0)
        shared = (scope for scope, members in self.members.items() if {first, second} <= members)
        return min((one.scope_id for one in shared if one.kind is ScopeKind.CONVERSATION), default=None)

    async def visible_profiles(self, profile: Profile) -> Sequence[ProfileCard]:
        found = {card for one in await self.conversations(profile) for card in one.members}
        return sorted(found | {self.cards[profile]}, key=lambda card: card.name)

    async def conversations(self, profile: Profile) -> Sequence[ConversationCard]:
        await asyncio.sleep(0)
        return [
            ConversationCard(scope.scope_id, tuple(self.cards[one] for one in sorted(members)))
            for scope, members in sorted(self.members.items())
            if profile in members and scope.kind is ScopeKind.CONVERSATION
        ]


class MemoryChatLog:
    """`relay.signaling.ports.ChatLog`.

    Args:
        keeps: the scopes that keep texts.
    """

    def __init__(self, keeps: Iterable[Scope] = ()) -> None:
        self._keeps = frozenset(keeps)
        self.texts: list[tuple[str, ChatMessage]] = []
        """`call_id` and text, oldest first."""

    async def add(self, call_id: str, scope: Scope, message: ChatMessage) -> bool:
        await asyncio.sleep(0)
        if scope not in self._keeps:
            return False
        self.texts.append((call_id, message))
        return True


class MemoryMissedCalls:
    """`relay.signaling.ports.MissedCallStore`; nothing is ever marked as seen."""

    def __init__(self, logs: Mapping[ScopeKind, MemoryCallLog]) -> None:
        self._logs = logs

    async def unseen(self, profile: Profile, limit: int) -> Unseen:
        await asyncio.sleep(0)
        missed = [
            MissedCallRecord(
                one.call_id, one.call.scope, one.call_type, one.call.caller, one.end_reason or "", one.call.started_at
            )
            for log in self._logs.values()
            for one in log.entries.values()
            if one.call.callee.profile == profile and one.status == "missed" and one.end_reason not in ("blocked", "rejected")
        ]
        missed.sort(key=lambda one: one.started_at, reverse=True)
        return Unseen(tuple(missed[:limit]), len(missed))


@dataclass(slots=True)
class RecordingEntry:
    """A row of `recordings`."""

    recording: NewRecording
    state: str = "capturing"
    result: CaptureResult | None = None
    ended_at: datetime | None = None


class MemoryRecordings:
    """`relay.records.recordings.RecordingLog`."""

    def __init__(self) -> None:
        self.entries: dict[str, RecordingEntry] = {}
        """By id, oldest first."""
        self.consents: list[RecordingConsent] = []
        self.policies: dict[Scope, RecordingPolicy] = {}

    @property
    def ends(self) -> list[tuple[str, str | None]]:
        """State and reason of each recording."""
        return [(one.state, None if one.result is None else one.result.reason.value) for one in self.entries.values()]

    @property
    def answers(self) -> list[tuple[str, str]]:
        """Who has said what."""
        return [(one.profile.profile_type, one.answer.value) for one in self.consents]

    async def started(self, recording: NewRecording) -> None:
        await asyncio.sleep(0)
        self.entries.setdefault(recording.recording_id, RecordingEntry(recording))

    async def captured(self, recording_id: str, at: datetime, result: CaptureResult) -> None:
        await asyncio.sleep(0)
        entry = self.entries[recording_id]
        entry.result, entry.ended_at = result, at
        if entry.state == "capturing":
            entry.state = "captured" if result.files else "failed"

    async def answered(self, consent: RecordingConsent) -> None:
        await asyncio.sleep(0)
        self.consents.append(consent)

    async def discard(self, recording_id: str) -> None:
        await asyncio.sleep(0)
        self.entries[recording_id].state = "deleting"

    async def policy(self, scope: Scope) -> RecordingPolicy | None:
        await asyncio.sleep(0)
        return self.policies.get(scope)

    async def close_lost(self, concerns: Callable[[str], bool], at: datetime) -> Sequence[str]:
        await asyncio.sleep(0)
        lost = [key for key, one in self.entries.items() if one.state == "capturing" and not concerns(key)]
        for key in lost:
            await self.captured(key, at, CaptureResult(RecordingEnd.SERVER_LOST, files={f"{key}.pcapng": 0}))
        return lost

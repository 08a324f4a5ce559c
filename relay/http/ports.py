"""The interfaces that the HTTP side needs of the database and of Web Push. `db` and `relay.push` provide them.

Times are timezone-aware, in UTC.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from relay.ids import Profile, Scope, ScopeKind
from relay.records.calls import (
    BlockRecord,
    CallDetail,
    CallPage,
    OngoingCallDetail,
    OngoingCalls,
    Page,
    ProfileSettingsChange,
    Revocation,
    ScopeRecord,
    SessionCard,
    SettingsRecord,
)
from relay.records.profiles import Privacy, ProfileCard
from relay.records.ratings import CallRating


class ProfileSettings(Protocol):
    """What profiles settle about being called."""

    async def settings(self, profile: Profile) -> SettingsRecord:
        """The profile's settings; the defaults if it has settled nothing, or does not exist."""
        ...

    async def change_settings(
        self, profile: Profile, *, privacy: Privacy | None = None, do_not_disturb: bool | None = None
    ) -> SettingsRecord:
        """Change what is given; the settings afterwards.

        Raises:
            ValueError: there is no such profile.
        """
        ...

    async def change_all(self, changes: Sequence[ProfileSettingsChange]) -> Sequence[str | None]:
        """Change many, in one transaction. For each, what is wrong with it (there is no such profile), or None if it is done."""
        ...

    async def blocks(self, profile: Profile) -> Sequence[BlockRecord]:
        """The profiles that the profile has blocked, latest first."""
        ...

    async def block(self, profile: Profile, blocked: Profile) -> bool:
        """Block a profile; whether that is new.

        Raises:
            ValueError: one of the two does not exist, or they share nothing.
        """
        ...

    async def block_all(self, pairs: Sequence[tuple[Profile, Profile]]) -> Sequence[str | None]:
        """Let the first of each pair block the second, in one transaction. For each, what is wrong with it; None: it is done."""
        ...

    async def unblock(self, profile: Profile, blocked: Profile) -> bool:
        """Lift a block; whether there was one."""
        ...


class History(Protocol):
    """The calls of one kind of scope, each as one of its parties may see it. Of a call that is not the profile's own, as of one
    that does not exist, every method says None."""

    async def calls(
        self, profile: Profile, *, limit: int, cursor: str | None = None, missed: bool = False, name: str = ""
    ) -> CallPage:
        """The profile's calls, newest first.

        Args:
            name: only those whose other party is called so, or a part of it. A page may then have fewer than `limit`, though more
                follow.

        Raises:
            ValueError: the cursor is none of ours.
        """
        ...

    async def call(self, profile: Profile, record_id: str) -> CallDetail | None:
        """One call with its chat messages. `record_id` is `CallRecord.id`, here and below."""
        ...

    async def mark_seen(self, profile: Profile, record_id: str, at: datetime) -> bool | None:
        """Whether it had not been seen before."""
        ...

    async def mark_seen_up_to(self, profile: Profile, record_id: str, at: datetime) -> int | None:
        """Mark this call and what was missed before it; how many had not been seen before."""
        ...

    async def unseen_count(self, profile: Profile) -> int:
        """How many calls the profile missed and has not seen yet."""
        ...


class CallRatings(Protocol):
    """What parties say of their calls: one rating per call and party."""

    async def rate(self, profile: Profile, kind: ScopeKind, call_id: str, rating: CallRating, at: datetime) -> CallRating | None:
        """Keep what a party says of a call of its own that is over, in place of what it said before, which is returned.

        Raises:
            LookupError: the profile has no such call.
        """
        ...

    async def rating(self, profile: Profile, call_id: str) -> CallRating | None:
        """What the profile has said of a call."""
        ...

    async def take_back(self, profile: Profile, call_id: str) -> bool:
        """Delete what the profile has said of a call; whether there was anything."""
        ...


Histories = Mapping[ScopeKind, History]
"""The history of each kind of scope."""


class Enforcer(Protocol):
    """What changes mean for calls and connections that there are, at whichever server of the cluster. Each method is done when
    nothing is left at this one that should not be, and the others are told."""

    async def ongoing(self) -> OngoingCalls:
        """The calls that have not ended."""
        ...

    async def detail(self, call_id: str) -> OngoingCallDetail | None:
        """A call that has not ended, with what its parties send; None: there is none.

        Raises:
            Unavailable: the server that has it, or may have it, does not answer.
        """
        ...

    async def end_call(self, call_id: str) -> bool:
        """End a call; whether it was going on.

        Raises:
            Unavailable: the server that has it, or may have it, does not answer. It may end it all the same.
        """
        ...

    async def remove(self, profile: Profile) -> None:
        """The profile is deleted: its call ends, its devices are disconnected. What it did in the call is written by then.

        Raises:
            Unavailable: the server that has its call does not answer; everything else is done.
        """
        ...

    async def drop(self, profile: Profile) -> None:
        """The profile's devices are disconnected, and the call that they are in ends."""
        ...

    async def revoke(self, profile: Profile | None, issued_before: float) -> None:
        """The same for devices whose credential was issued before a time (seconds since 1970); without a profile: everybody's."""
        ...

    async def block(self, blocker: Profile, blocked: Profile) -> None:
        """A call between the two ends."""
        ...

    async def review(self, *scopes: Scope) -> None:
        """Who belongs to these scopes has changed: calls there end whose parties do not."""
        ...


class RevocationStore(Protocol):
    """Which credentials are not good any more."""

    async def put(self, revocation: Revocation) -> None:
        """Write one down. It takes the place of an earlier one of the same profile and cause."""
        ...

    async def restore(self, profiles: Collection[Profile], at: datetime) -> None:
        """Lift those that there are because the profiles were deleted."""
        ...

    async def changed_since(self, at: datetime | None) -> Sequence[Revocation]:
        """Those that changed then or later, oldest change first; None: all."""
        ...


class PersonalData(Protocol):
    """Everything that the database has about one profile."""

    async def export(self, profile: Profile) -> dict[str, Any] | None:
        """All of it, in values that JSON has. None if there is nothing."""
        ...

    async def erase(self, profile: Profile, at: datetime) -> bool:
        """Delete the profile, and all that tells about it; whether there was anything. The other parties' calls stay."""
        ...


class OwnHistory(Protocol):
    """The data that a profile may erase itself."""

    async def erase_history(self, profile: Profile, at: datetime) -> bool:
        """Remove the profile from its calls, and delete its chat messages; whether it had any. The other parties' calls stay."""
        ...


class WhiteboardSessions(Protocol):
    """The whiteboard sessions of a profile."""

    async def whiteboard_sessions(self, profile: Profile) -> Sequence[SessionCard]:
        """The sessions that the profile is a member of, by id."""
        ...


class Platform(Protocol):
    """The data that the platform synchronizes from its own database. Every method is idempotent."""

    async def put_profiles(self, cards: Collection[ProfileCard]) -> None: ...

    async def delete_profile(self, profile: Profile) -> bool:
        """Delete a profile; its calls stay as they are. Whether it was there."""
        ...

    async def put_scope(self, scope: Scope, members: Collection[Profile], *, keep_chat: bool = False) -> bool:
        """Add a scope or bring it up to date: these are its members now, and no others. Whether it is new.

        Raises:
            ValueError: a member does not exist; nothing has changed.
        """
        ...

    async def put_scopes(self, kind: ScopeKind, scopes: Sequence[ScopeRecord]) -> Sequence[str | None]:
        """The same for many, in one transaction. For each, what is wrong with it (a member does not exist); None: it is done."""
        ...

    async def delete_scope(self, scope: Scope) -> bool:
        """Delete a scope; its calls stay. Whether it was there."""
        ...

    async def scope(self, scope: Scope) -> ScopeRecord | None: ...

    async def add_member(self, scope: Scope, profile: Profile) -> bool:
        """Whether it was none before.

        Raises:
            ValueError: there is no such profile, or no such scope.
        """
        ...

    async def remove_member(self, scope: Scope, profile: Profile) -> bool:
        """Whether it was one."""
        ...

    async def connect(self, one: Profile, other: Profile) -> bool:
        """The two are connections of each other; whether that is new.

        Raises:
            ValueError: one of them does not exist, or both are the same.
        """
        ...

    async def connect_all(self, pairs: Sequence[tuple[Profile, Profile]]) -> Sequence[str | None]:
        """The same for many, in one transaction. For each, what is wrong with it, or None if it is done."""
        ...

    async def disconnect(self, one: Profile, other: Profile) -> bool:
        """Whether they were connections."""
        ...

    async def connections(self, profile: Profile) -> Sequence[ProfileCard]:
        """The connections of the profile, by name."""
        ...

    async def list_profiles(self, limit: int, cursor: str | None = None) -> Page[ProfileCard]:
        """All profiles, page by page; `cursor` is the `next_cursor` of the page before, here and below.

        Raises:
            ValueError: the cursor is none of ours.
        """
        ...

    async def list_scopes(self, kind: ScopeKind, limit: int, cursor: str | None = None) -> Page[ScopeRecord]:
        """All conversations, or all whiteboard sessions."""
        ...

    async def list_connections(self, limit: int, cursor: str | None = None) -> Page[tuple[Profile, Profile]]:
        """All pairs of profiles that are connected."""
        ...


class PushSubscriptions(Protocol):
    """Where profiles are reached by Web Push."""

    async def add(self, profile: Profile, endpoint: str, p256dh: str, auth: str, at: datetime) -> bool:
        """Register a browser; whether the endpoint is new to this profile.

        Raises:
            ValueError: there is no such profile.
        """
        ...

    async def remove(self, profile: Profile, endpoint: str) -> bool:
        """Whether the profile had registered it."""
        ...


class PushGate(Protocol):
    """What `relay.push` says about subscriptions before they are kept."""

    @property
    def public_key(self) -> str:
        """`applicationServerKey` of the browsers' PushManager: base64url."""
        ...

    def check(self, endpoint: str, p256dh: str, auth: str) -> None:
        """
        Raises:
            ValueError: the endpoint or a key is invalid, or the endpoint is not allowed.
        """
        ...

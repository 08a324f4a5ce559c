"""What the signaling plane needs from the world, as interfaces: other packages provide them, tests bring their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from relay.ids import Profile


@dataclass(frozen=True, slots=True)
class ProfileCard:
    """A profile as others see it."""

    profile: Profile
    name: str
    avatar: str
    """A URL, or empty."""
    user_id: int | None = None
    """The platform's account behind the profile; written to `call_logs.caller_user_id`."""


@dataclass(frozen=True, slots=True)
class ConversationCard:
    """A conversation and those in it, the asking profile included."""

    conversation_id: int
    members: tuple[ProfileCard, ...]


class Directory(Protocol):
    """Who exists, and who shares a conversation with whom."""

    async def profile(self, profile: Profile) -> ProfileCard | None:
        """The profile's card, or None if there is no such profile."""
        ...

    async def members(self, conversation_id: int) -> frozenset[Profile]:
        """The members of a conversation; empty if there is no such conversation."""
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
    conversation_id: int
    call_type: str
    caller: ProfileCard
    callee: ProfileCard
    started_at: datetime


class CallLog(Protocol):
    """The `call_logs` table. Each method is one conditional update: exactly one caller wins it.

    Times are timezone-aware, in UTC.
    """

    async def opened(self, call: NewCall) -> None:
        """Insert the call's row with status `initiated`."""
        ...

    async def answered(self, call_id: str, at: datetime) -> None:
        """`initiated` → `answered`.

        Raises:
            LostRace: the row was not `initiated`.
        """
        ...

    async def ended(self, call_id: str, at: datetime, reason: str) -> int | None:
        """`answered` → `ended`, or `initiated` → `missed`.

        Returns:
            The call's duration in whole seconds from answered to ended, or None for a missed call.

        Raises:
            LostRace: the row was already closed.
        """
        ...

    async def heartbeat(self, call_ids: Sequence[str], at: datetime) -> None:
        """Note that these calls were alive at `at`, so that a crash leaves their durations nearly right."""
        ...

    async def close_own(self) -> int:
        """Close the calls that an earlier life of this server left open. To be called before this one has any.

        They end with reason `expired` at their last sign of life.

        Returns:
            How many were closed.
        """
        ...

    async def close_stale(self, stale_before: datetime) -> int:
        """Close the calls of any server whose last heartbeat, or start if there was none, is older than `stale_before`.

        They end with reason `expired` at their last sign of life.

        Returns:
            How many were closed.
        """
        ...


class Device(Protocol):
    """One connection of a profile."""

    @property
    def device_id(self) -> str: ...

    @property
    def profile(self) -> Profile: ...

    @property
    def reached_address(self) -> str | None:
        """The address of ours that this device connected to, as a literal: media is reachable there too, most likely."""
        ...

    def send(self, frame: bytes) -> None:
        """Queue one text frame. Never blocks, never fails: a device that does not drain its queue is disconnected."""
        ...

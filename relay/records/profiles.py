"""Profiles, as plain data."""

from dataclasses import dataclass
from enum import StrEnum

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


class Privacy(StrEnum):
    """Who may call a profile, among those who share the conversation or whiteboard session with it."""

    EVERYONE = "everyone"
    CONNECTIONS = "connections"
    """Profiles that the platform says it is connected with."""
    NOBODY = "nobody"

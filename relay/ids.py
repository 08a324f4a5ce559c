"""Identifiers: of profiles, of the scopes of calls, and of what lives for one call."""

import re
import uuid
from enum import StrEnum
from typing import NamedTuple, Self

PROFILE_TYPES = ("tutor", "student", "parent", "advertiser")

_KEY = re.compile(rf"({'|'.join(PROFILE_TYPES)})_([1-9][0-9]{{0,9}})")

MAX_PROFILE_ID = 2**31 - 1
"""`call_logs.caller_profile_id` is a 32-bit integer column."""


class Profile(NamedTuple):
    """A user's identity. The wire, the token and the logs carry its key, `{profile_type}_{profile_id}`."""

    profile_type: str
    profile_id: int

    @property
    def key(self) -> str:
        return f"{self.profile_type}_{self.profile_id}"

    @classmethod
    def parse(cls, key: str) -> Self:
        """The profile named by `key`, such as `student_456`.

        Raises:
            ValueError: `key` names no possible profile.
        """
        match = _KEY.fullmatch(key)
        if match is None or int(match[2]) > MAX_PROFILE_ID:
            raise ValueError(f"not a profile key: {key[:60]!r}")
        return cls(match[1], int(match[2]))


class ScopeKind(StrEnum):
    CONVERSATION = "conversation"
    WHITEBOARD_SESSION = "whiteboard_session"

    @property
    def id_field(self) -> str:
        """The field of messages and responses that has the id."""
        return f"{self.value}_id"


class Scope(NamedTuple):
    """The scope of a call. It decides who is eligible to call, and which table logs the call."""

    kind: ScopeKind
    scope_id: int


def new_id() -> str:
    """A new random identifier of a call, a device or a transport: 32 hexadecimal digits."""
    return uuid.uuid4().hex

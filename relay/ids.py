"""Identities: who is calling, and the names of things that live for one call."""

import re
import uuid
from enum import StrEnum
from typing import NamedTuple, Self

PROFILE_TYPES = ("tutor", "student", "parent", "advertiser")

_KEY = re.compile(rf"({'|'.join(PROFILE_TYPES)})_([1-9][0-9]{{0,9}})")

MAX_PROFILE_ID = 2**31 - 1
"""`call_logs.caller_profile_id` is a 32-bit integer column."""


class Profile(NamedTuple):
    """Who you are. Its key, `{profile_type}_{profile_id}`, is what the wire, the token and the logs carry."""

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


class PlaceKind(StrEnum):
    CONVERSATION = "conversation"
    WHITEBOARD_SESSION = "whiteboard_session"

    @property
    def id_field(self) -> str:
        """The field of a message or an answer that has the id of such a place."""
        return f"{self.value}_id"


class Place(NamedTuple):
    """Where a call belongs: it says who may call whom there, and in which table the call is written down."""

    kind: PlaceKind
    place_id: int


def new_id() -> str:
    """A fresh name for a call, a device or a transport: 32 hexadecimal digits, not guessable."""
    return uuid.uuid4().hex

"""Parameters of requests, in paths, queries and bodies: profiles, scopes, and pages of a list."""

from typing import Annotated, Final, Self, cast

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.errors import RelayError
from relay.http.api import Parameter
from relay.ids import Profile, Scope, ScopeKind
from relay.records.profiles import ProfileCard
from relay.signaling.messages.common import Id, ProfileType

PROFILE: Final = r"{profile_type:\w+}/{profile_id:\d+}"
"""Part of a path that names a profile."""
OTHER_PROFILE: Final = r"{other_type:\w+}/{other_id:\d+}"
"""Part of a path that names a second one."""
SCOPE: Final = r"{scope_id:\d+}"
CALL: Final = r"{call_id:\w{1,32}}"
RECORDING: Final = r"{recording_id:[0-9a-f]{32}}"

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
"""Entries of one page."""

MAX_CURSOR_LENGTH: Final = 256
"""Characters; ours have far less."""

MAX_MILLISECONDS: Final = 253_402_300_799_000
"""The last moment that a `datetime` has."""

_FALSE: Final = frozenset({"", "0", "false"})
_TRUE: Final = frozenset({"1", "true"})


CallName = Annotated[str, Meta(min_length=1, max_length=32)]
"""Of a call, as paths and bodies name it."""

RecordingName = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", examples=["0123456789abcdef0123456789abcdef"])]
"""Of a recording."""

Milliseconds = Annotated[int, Meta(description="Milliseconds since 1970 UTC.")]

PATH_PARAMETERS: Final = {
    parameter.name: parameter
    for parameter in (
        Parameter("profile_type", ProfileType, "The type of the profile."),
        Parameter("profile_id", Id, "The id of the profile."),
        Parameter("other_type", ProfileType, "The type of the other profile."),
        Parameter("other_id", Id, "The id of the other profile."),
        Parameter("scope_id", Id, "The id of the conversation or whiteboard session."),
        Parameter("call_id", CallName, "The id of the call."),
        Parameter("recording_id", RecordingName, "The id of the recording."),
        Parameter("file_name", Annotated[str, Meta(min_length=1, max_length=64)], "The name of the file, from `files`."),
    )
}
"""The schema of each variable of a path."""

CURSOR: Final = Parameter(
    "cursor", Annotated[str, Meta(max_length=MAX_CURSOR_LENGTH)], "`next_cursor` of the page before. Without it: the first page."
)

Cursor = Annotated[str, Meta(description="`cursor` of the next page; null: this is the last one.")] | None


def limit_parameter(highest: int) -> Parameter:
    """`?limit=`, as `limit_in` reads it."""
    kind = Annotated[int, Meta(ge=1, le=highest, extra_json_schema={"default": DEFAULT_LIMIT})]
    return Parameter("limit", kind, "The most entries that the page may have.")


def flag_parameter(name: str, description: str) -> Parameter:
    """A parameter as `flag_in` reads it."""
    return Parameter(name, Annotated[str, Meta(extra_json_schema={"enum": sorted(_TRUE | _FALSE)})], description)


class ProfileName(msgspec.Struct, frozen=True):
    """A profile, as bodies and answers name it."""

    profile_type: ProfileType
    profile_id: Id

    @classmethod
    def of(cls, profile: Profile) -> Self:
        return cls(cast(ProfileType, profile.profile_type), profile.profile_id)

    @property
    def profile(self) -> Profile:
        return Profile(self.profile_type, self.profile_id)


class ProfileView(msgspec.Struct, frozen=True):
    """A profile as the API shows it."""

    profile_type: str
    profile_id: int
    name: Annotated[str, Meta(description="Empty if it is not known, or was erased.")]
    avatar: Annotated[str, Meta(description="A URL, or empty.")]


Name = Annotated[str, Meta(min_length=1, max_length=200)]
"""Of a profile."""
Avatar = Annotated[str, Meta(max_length=2048)]
"""A URL, or empty."""


def view(card: ProfileCard) -> ProfileView:
    return ProfileView(card.profile.profile_type, card.profile.profile_id, card.name, card.avatar)


def profile_in(request: web.Request) -> Profile:
    """The profile that the path names.

    Raises:
        HTTPNotFound: there can be no such profile.
    """
    return _profile(request.match_info["profile_type"], request.match_info["profile_id"])


def other_profile_in(request: web.Request) -> Profile:
    """The second profile that the path names.

    Raises:
        HTTPNotFound: there can be no such profile.
    """
    return _profile(request.match_info["other_type"], request.match_info["other_id"])


def scope_in(request: web.Request, kind: ScopeKind) -> Scope:
    """The scope that the path names.

    Raises:
        HTTPNotFound: there can be no such scope.
    """
    try:
        return Scope(kind, msgspec.convert(request.match_info["scope_id"], Id, strict=False))
    except msgspec.ValidationError:
        raise web.HTTPNotFound(text="there is no such scope") from None


def limit_in(request: web.Request, highest: int = MAX_LIMIT) -> int:
    """`?limit=`: how many entries the answer may have.

    Raises:
        RelayError: it is no number from 1 to `highest`.
    """
    text = request.query.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= highest):
        raise RelayError(f"limit is a number from 1 to {highest}")
    return int(text)


def cursor_in(request: web.Request, name: str = "cursor") -> str | None:
    """`?cursor=`: where the page begins.

    Raises:
        RelayError: it is none of ours.
    """
    cursor = request.query.get(name)
    if cursor is not None and len(cursor) > MAX_CURSOR_LENGTH:
        raise RelayError(f"{name}: at most {MAX_CURSOR_LENGTH} characters; take `next_cursor` of the page before")
    return cursor or None


def flag_in(request: web.Request, name: str) -> bool:
    """`?name=1`.

    Raises:
        RelayError: it is neither yes nor no.
    """
    text = request.query.get(name, "").lower()
    if text not in _TRUE | _FALSE:
        raise RelayError(f"{name} is 1 or 0")
    return text in _TRUE


def _profile(profile_type: str, profile_id: str) -> Profile:
    try:
        return Profile.parse(f"{profile_type}_{profile_id}")
    except ValueError:
        raise web.HTTPNotFound(text="there is no such profile") from None

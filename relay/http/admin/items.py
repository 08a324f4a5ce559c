"""What the platform may say with `/api/admin/sync`. An item is done altogether, or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Protocol, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.http.parameters import Avatar, Name, ProfileName
from relay.http.ports import Platform, ProfileSettings
from relay.ids import MAX_PROFILE_ID, Profile, Scope, ScopeKind
from relay.records.calls import ProfileSettingsChange, ScopeRecord
from relay.records.profiles import Privacy, ProfileCard
from relay.signaling.messages.common import Id, ProfileType

MAX_MEMBERS: Final = 1000
"""Of a conversation or whiteboard session."""

MAX_NAME_LENGTH: Final = 200
"""Bytes of a value that is said again to name an item."""

Members = Annotated[list[ProfileName], Meta(min_length=1, max_length=MAX_MEMBERS)]


@dataclass(frozen=True, slots=True)
class Stores:
    """Where items are done."""

    platform: Platform
    settings: ProfileSettings


class Item(Protocol):
    """Something to be done. Doing it again changes nothing."""

    @classmethod
    async def do_all(cls, stores: Stores, items: Sequence[Self]) -> Sequence[str | None]:
        """Do several in one transaction, where there are many of the kind.

        Returns:
            For each, what is wrong with it, and then nothing of it was done; None if it is done.
        """
        ...


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of bodies and items: a field that is misspelt is an error, not a default."""


class _Single(_Strict, frozen=True, kw_only=True):
    """An item that is done by itself."""

    async def do(self, stores: Stores) -> None:
        raise NotImplementedError

    @classmethod
    async def do_all(cls, stores: Stores, items: Sequence[Self]) -> Sequence[str | None]:
        for item in items:
            await item.do(stores)
        return [None] * len(items)


class ProfileBody(_Strict, frozen=True, kw_only=True):
    """A profile as the platform describes it. What is left out becomes empty."""

    name: Name
    avatar: Avatar = ""
    user_id: Annotated[int, Meta(ge=0, le=MAX_PROFILE_ID)] | None = None

    def card(self, profile: Profile) -> ProfileCard:
        return ProfileCard(profile, self.name, self.avatar, self.user_id)


class ScopeBody(_Strict, frozen=True, kw_only=True):
    """A conversation or whiteboard session as the platform describes it."""

    members: Members
    keep_chat: bool = False

    def record(self, scope: Scope) -> ScopeRecord:
        return ScopeRecord(scope, tuple(sorted({member.profile for member in self.members})), self.keep_chat)


class ScopeView(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation or whiteboard session as the platform set it up. One of the two ids is there."""

    conversation_id: int | UnsetType = UNSET
    whiteboard_session_id: int | UnsetType = UNSET
    members: list[ProfileName]
    keep_chat: Annotated[bool, Meta(description="Whether chat messages are kept with their call.")]

    @classmethod
    def of(cls, record: ScopeRecord) -> Self:
        scope: dict[str, Any] = {record.scope.kind.id_field: record.scope.scope_id}
        return cls(members=[ProfileName.of(member) for member in record.members], keep_chat=record.keep_chat, **scope)


class ProfileDetails(msgspec.Struct, frozen=True):
    """All that there is to know about a profile."""

    profile_type: str
    profile_id: int
    name: str
    avatar: str
    user_id: int | None

    @classmethod
    def of(cls, card: ProfileCard) -> Self:
        return cls(*card.profile, card.name, card.avatar, card.user_id)


class ProfileItem(ProfileBody, frozen=True, kw_only=True):
    profile_type: ProfileType
    profile_id: Id
    deleted: bool = False

    @classmethod
    async def do_all(cls, stores: Stores, items: Sequence[Self]) -> Sequence[str | None]:
        await stores.platform.put_profiles([one.card(Profile(one.profile_type, one.profile_id)) for one in items])
        return [None] * len(items)


class ProfileRemoval(_Single, frozen=True, kw_only=True):
    profile_type: ProfileType
    profile_id: Id
    deleted: bool

    async def do(self, stores: Stores) -> None:
        await stores.platform.delete_profile(Profile(self.profile_type, self.profile_id))


class _Scoped(_Strict, frozen=True, kw_only=True):
    """Names a conversation or a whiteboard session, in the field of its kind."""

    kind: ClassVar[ScopeKind]

    @property
    def scope(self) -> Scope:
        return Scope(self.kind, getattr(self, self.kind.id_field))


class _ScopeItem(ScopeBody, _Scoped, frozen=True, kw_only=True):
    deleted: bool = False

    @classmethod
    async def do_all(cls, stores: Stores, items: Sequence[Self]) -> Sequence[str | None]:
        return await stores.platform.put_scopes(cls.kind, [one.record(one.scope) for one in items])


class _ScopeRemoval(_Scoped, _Single, frozen=True, kw_only=True):
    deleted: bool

    async def do(self, stores: Stores) -> None:
        await stores.platform.delete_scope(self.scope)


class ConversationItem(_ScopeItem, frozen=True, kw_only=True):
    kind: ClassVar = ScopeKind.CONVERSATION
    conversation_id: Id


class ConversationRemoval(_ScopeRemoval, frozen=True, kw_only=True):
    kind: ClassVar = ScopeKind.CONVERSATION
    conversation_id: Id


class WhiteboardSessionItem(_ScopeItem, frozen=True, kw_only=True):
    kind: ClassVar = ScopeKind.WHITEBOARD_SESSION
    whiteboard_session_id: Id


class WhiteboardSessionRemoval(_ScopeRemoval, frozen=True, kw_only=True):
    kind: ClassVar = ScopeKind.WHITEBOARD_SESSION
    whiteboard_session_id: Id


class _Pair(_Strict, frozen=True, kw_only=True):
    profiles: Annotated[list[ProfileName], Meta(min_length=2, max_length=2)]

    @property
    def pair(self) -> tuple[Profile, Profile]:
        [one, other] = self.profiles
        return one.profile, other.profile


class ConnectionItem(_Pair, frozen=True, kw_only=True):
    deleted: bool = False

    @classmethod
    async def do_all(cls, stores: Stores, items: Sequence[Self]) -> Sequence[str | None]:
        return await stores.platform.connect_all([one.pair for one in items])


class ConnectionRemoval(_Pair, _Single, frozen=True, kw_only=True):
    deleted: bool

    async def do(self, stores: Stores) -> None:
        await stores.platform.disconnect(*self.pair)


class SettingsItem(_Strict, frozen=True, kw_only=True):
    profile_type: ProfileType
    profile_id: Id
    privacy: Privacy | None = None
    do_not_disturb: bool | None = None

    @classmethod
    async def do_all(cls, stores: Stores, items: Sequence[Self]) -> Sequence[str | None]:
        changes = [
            ProfileSettingsChange(Profile(one.profile_type, one.profile_id), one.privacy, one.do_not_disturb) for one in items
        ]
        return await stores.settings.change_all(changes)


class _BlockNames(_Strict, frozen=True, kw_only=True):
    profile: ProfileName
    blocked: ProfileName


class BlockItem(_BlockNames, frozen=True, kw_only=True):
    deleted: bool = False

    @classmethod
    async def do_all(cls, stores: Stores, items: Sequence[Self]) -> Sequence[str | None]:
        return await stores.settings.block_all([(one.profile.profile, one.blocked.profile) for one in items])


class BlockRemoval(_BlockNames, _Single, frozen=True, kw_only=True):
    deleted: bool

    async def do(self, stores: Stores) -> None:
        await stores.settings.unblock(self.profile.profile, self.blocked.profile)


class _Fate(msgspec.Struct, frozen=True):
    deleted: bool = False


ITEMS: Final[Mapping[str, tuple[type[Item], type[Item]]]] = {
    # In this order: what comes later may need what came before.
    "profiles": (ProfileItem, ProfileRemoval),
    "connections": (ConnectionItem, ConnectionRemoval),
    "conversations": (ConversationItem, ConversationRemoval),
    "whiteboard_sessions": (WhiteboardSessionItem, WhiteboardSessionRemoval),
    "settings": (SettingsItem, SettingsItem),
    "blocks": (BlockItem, BlockRemoval),
}
"""Name of a list → what its items are: to be there, or to be deleted."""

LISTS: Final = tuple(ITEMS)


def item_of(name: str, raw: msgspec.Raw) -> Item:
    """An item of the list of that name.

    Raises:
        ValueError: it is none.
    """
    put, delete = ITEMS[name]
    deleted = msgspec.json.decode(raw, type=_Fate).deleted
    return msgspec.json.decode(raw, type=delete if deleted else put)


_KEYS: Final = ("profile_type", "profile_id", "conversation_id", "whiteboard_session_id", "profiles", "profile", "blocked")


def name_of(raw: msgspec.Raw) -> dict[str, Any] | None:
    """What an item says that it is about, however wrong the rest may be; None if it says nothing."""
    try:
        said = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return {key: said[key] for key in _KEYS if key in said and len(msgspec.json.encode(said[key])) <= MAX_NAME_LENGTH} or None

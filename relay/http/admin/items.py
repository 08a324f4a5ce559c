"""What the platform may say with `/api/admin/sync`, one thing at a time: an item is done altogether, or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Protocol, Self

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.http.parameters import Avatar, Name, ProfileName
from relay.http.ports import PLATFORM, PROFILE_SETTINGS, Platform, ProfileSettings
from relay.ids import MAX_PROFILE_ID, Place, PlaceKind, Profile
from relay.signaling.messages.common import Id, ProfileType
from relay.signaling.ports import Privacy, ProfileCard

MAX_MEMBERS: Final = 1000
"""Of a conversation or whiteboard session."""

Members = Annotated[list[ProfileName], Meta(min_length=1, max_length=MAX_MEMBERS)]


@dataclass(frozen=True, slots=True)
class Stores:
    """Where items are done."""

    platform: Platform
    settings: ProfileSettings

    @classmethod
    def of(cls, app: web.Application) -> Self:
        return cls(app[PLATFORM], app[PROFILE_SETTINGS])


class Item(Protocol):
    """Something to be done. Doing it again changes nothing."""

    async def do(self, stores: Stores) -> None:
        """
        Raises:
            ValueError: it cannot be done, and nothing of it was.
        """
        ...


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of bodies and items: a field that is misspelt is an error, not a default."""


class ProfileBody(_Strict, frozen=True, kw_only=True):
    """What there is to know about a profile."""

    name: Name
    avatar: Avatar = ""
    user_id: Annotated[int, Meta(ge=0, le=MAX_PROFILE_ID)] | None = None

    async def put(self, platform: Platform, profile: Profile) -> None:
        await platform.put_profiles([ProfileCard(profile, self.name, self.avatar, self.user_id)])


class PlaceBody(_Strict, frozen=True, kw_only=True):
    """What there is to know about a conversation or whiteboard session."""

    members: Members
    keep_chat: bool = False

    async def put(self, platform: Platform, place: Place) -> None:
        """
        Raises:
            ValueError: a member does not exist.
        """
        await platform.put_place(place, {member.profile for member in self.members}, keep_chat=self.keep_chat)


class _PutProfile(ProfileBody, frozen=True, kw_only=True):
    profile_type: ProfileType
    profile_id: Id
    deleted: bool = False

    async def do(self, stores: Stores) -> None:
        await self.put(stores.platform, Profile(self.profile_type, self.profile_id))


class _DeleteProfile(_Strict, frozen=True, kw_only=True):
    profile_type: ProfileType
    profile_id: Id
    deleted: bool

    async def do(self, stores: Stores) -> None:
        await stores.platform.delete_profile(Profile(self.profile_type, self.profile_id))


class _PutConversation(PlaceBody, frozen=True, kw_only=True):
    conversation_id: Id
    deleted: bool = False

    async def do(self, stores: Stores) -> None:
        await self.put(stores.platform, Place(PlaceKind.CONVERSATION, self.conversation_id))


class _DeleteConversation(_Strict, frozen=True, kw_only=True):
    conversation_id: Id
    deleted: bool

    async def do(self, stores: Stores) -> None:
        await stores.platform.delete_place(Place(PlaceKind.CONVERSATION, self.conversation_id))


class _PutSession(PlaceBody, frozen=True, kw_only=True):
    whiteboard_session_id: Id
    deleted: bool = False

    async def do(self, stores: Stores) -> None:
        await self.put(stores.platform, Place(PlaceKind.WHITEBOARD_SESSION, self.whiteboard_session_id))


class _DeleteSession(_Strict, frozen=True, kw_only=True):
    whiteboard_session_id: Id
    deleted: bool

    async def do(self, stores: Stores) -> None:
        await stores.platform.delete_place(Place(PlaceKind.WHITEBOARD_SESSION, self.whiteboard_session_id))


class _Connection(_Strict, frozen=True, kw_only=True):
    profiles: Annotated[list[ProfileName], Meta(min_length=2, max_length=2)]
    deleted: bool = False

    async def do(self, stores: Stores) -> None:
        [one, other] = [named.profile for named in self.profiles]
        if self.deleted:
            await stores.platform.disconnect(one, other)
        else:
            await stores.platform.connect(one, other)


class _Settings(_Strict, frozen=True, kw_only=True):
    profile_type: ProfileType
    profile_id: Id
    privacy: Privacy | None = None
    do_not_disturb: bool | None = None

    async def do(self, stores: Stores) -> None:
        profile = Profile(self.profile_type, self.profile_id)
        await stores.settings.change_settings(profile, privacy=self.privacy, do_not_disturb=self.do_not_disturb)


class _Block(_Strict, frozen=True, kw_only=True):
    profile: ProfileName
    blocked: ProfileName
    deleted: bool = False

    async def do(self, stores: Stores) -> None:
        profile, blocked = self.profile.profile, self.blocked.profile
        if self.deleted:
            await stores.settings.unblock(profile, blocked)
        elif profile == blocked:
            raise ValueError("nobody can block itself")
        else:
            await stores.settings.block(profile, blocked)


class _Fate(msgspec.Struct, frozen=True):
    deleted: bool = False


_ITEMS: Final[Mapping[str, tuple[type[Item], type[Item]]]] = {
    # In this order: what comes later may need what came before.
    "profiles": (_PutProfile, _DeleteProfile),
    "connections": (_Connection, _Connection),
    "conversations": (_PutConversation, _DeleteConversation),
    "whiteboard_sessions": (_PutSession, _DeleteSession),
    "settings": (_Settings, _Settings),
    "blocks": (_Block, _Block),
}
"""Name of a list → what its items are: to be there, or to be deleted."""

LISTS: Final = tuple(_ITEMS)


def item_of(name: str, raw: msgspec.Raw) -> Item:
    """An item of the list of that name.

    Raises:
        ValueError: it is none.
    """
    put, delete = _ITEMS[name]
    deleted = msgspec.json.decode(raw, type=_Fate).deleted
    return msgspec.json.decode(raw, type=delete if deleted else put)

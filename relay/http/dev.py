"""Development mode only: `POST /api/dev/login` and `POST /api/dev/conversations`."""

from typing import Final, Protocol

import msgspec
from aiohttp import web

from relay.errors import RelayError
from relay.http.auth import TOKENS, set_cookie
from relay.http.directory import ice_servers_for
from relay.http.parameters import ProfileName, view
from relay.http.responses import answer, body_of
from relay.ids import Profile
from relay.signaling.ports import ProfileCard


class WritableDirectory(Protocol):
    """What development mode adds to `relay.signaling.ports.Directory`."""

    async def add_profile(self, card: ProfileCard) -> ProfileCard:
        """Insert a profile if it is not there; the stored one comes back."""
        ...

    async def add_conversation(self, members: frozenset[Profile]) -> int:
        """Insert a conversation between profiles that exist.

        Raises:
            ValueError: one of them does not.
        """
        ...


WRITABLE_DIRECTORY: Final = web.AppKey("writable_directory", WritableDirectory)


class _NewConversation(msgspec.Struct, frozen=True):
    members: list[ProfileName]


async def log_in(request: web.Request) -> web.Response:
    """Sign in as any profile, without a password; one that does not exist is made."""
    profile = (await body_of(request, ProfileName)).profile
    name = f"{profile.profile_type.capitalize()} {profile.profile_id}"
    card = await request.app[WRITABLE_DIRECTORY].add_profile(ProfileCard(profile, name, ""))
    tokens = request.app[TOKENS]
    token = tokens.issue(profile)
    response = answer({"token": token, "profile": view(card), "ice_servers": ice_servers_for(request, profile)})
    set_cookie(request, response, token, tokens.lifetime)
    return response


async def add_conversation(request: web.Request) -> web.Response:
    members = frozenset(member.profile for member in (await body_of(request, _NewConversation)).members)
    if len(members) < 2:
        raise RelayError("a conversation has at least two different members")
    try:
        conversation_id = await request.app[WRITABLE_DIRECTORY].add_conversation(members)
    except ValueError as error:
        raise RelayError(str(error)) from None
    return answer({"conversation_id": conversation_id}, 201)


ROUTES: Final = [
    web.post("/api/dev/login", log_in),
    web.post("/api/dev/conversations", add_conversation),
]

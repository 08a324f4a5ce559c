"""Development mode only: `POST /api/dev/login` and `POST /api/dev/conversations`."""

from collections.abc import Sequence
from typing import Annotated, Final, Protocol

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.errors import RelayError
from relay.http.access.auth import Tokens, set_cookie
from relay.http.api import Access, Operation, post
from relay.http.directory import IceServers, host_of
from relay.http.parameters import ProfileName, ProfileView, view
from relay.http.responses import answer, body_of
from relay.ice_servers import IceServer
from relay.ids import Profile
from relay.records.profiles import ProfileCard


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


class NewConversation(msgspec.Struct, frozen=True):
    """A conversation between profiles that exist."""

    members: Annotated[list[ProfileName], Meta(description="At least two different ones.")]


class ConversationName(msgspec.Struct, frozen=True):
    conversation_id: int


class Login(msgspec.Struct, frozen=True):
    """Comes with the cookie."""

    token: str
    profile: ProfileView
    ice_servers: Sequence[IceServer]


async def log_in(request: web.Request, *, directory: WritableDirectory, tokens: Tokens, servers: IceServers) -> web.Response:
    """Sign in as any profile, without a password; one that does not exist is made."""
    profile = (await body_of(request, ProfileName)).profile
    name = f"{profile.profile_type.capitalize()} {profile.profile_id}"
    card = await directory.add_profile(ProfileCard(profile, name, ""))
    token = tokens.issue(profile)
    response = answer(Login(token, view(card), servers(profile, host_of(request))))
    set_cookie(request, response, token, tokens.lifetime)
    return response


async def add_conversation(request: web.Request, *, directory: WritableDirectory) -> web.Response:
    members = frozenset(member.profile for member in (await body_of(request, NewConversation)).members)
    if len(members) < 2:
        raise RelayError("a conversation has at least two different members")
    try:
        conversation_id = await directory.add_conversation(members)
    except ValueError as error:
        raise RelayError(str(error)) from None
    return answer(ConversationName(conversation_id), 201)


ROUTES: Final = [
    post(
        "/api/dev/login",
        log_in,
        Operation("Signs in as any profile, which is made if it does not exist.", Login, body=ProfileName, access=Access.ANYONE),
    ),
    post(
        "/api/dev/conversations",
        add_conversation,
        Operation("Makes a conversation.", ConversationName, status=201, body=NewConversation, access=Access.ANYONE),
    ),
]

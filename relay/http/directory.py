"""`GET /api/profiles` and `GET /api/conversations`: what the signed-in profile may see."""

from typing import Final

import msgspec
from aiohttp import web

from relay.http.auth import signed_in
from relay.http.responses import answer
from relay.signaling.ports import Directory, ProfileCard

DIRECTORY: Final = web.AppKey("directory", Directory)


class ProfileView(msgspec.Struct, frozen=True):
    """A profile as the API shows it."""

    profile_type: str
    profile_id: int
    name: str
    avatar: str


class ConversationView(msgspec.Struct, frozen=True):
    conversation_id: int
    members: list[ProfileView]


def view(card: ProfileCard) -> ProfileView:
    return ProfileView(card.profile.profile_type, card.profile.profile_id, card.name, card.avatar)


async def profiles(request: web.Request) -> web.Response:
    cards = await request.app[DIRECTORY].visible_profiles(signed_in(request))
    return answer({"profiles": [view(card) for card in cards]})


async def conversations(request: web.Request) -> web.Response:
    cards = await request.app[DIRECTORY].conversations(signed_in(request))
    found = [ConversationView(card.conversation_id, [view(member) for member in card.members]) for card in cards]
    return answer({"conversations": found})


ROUTES: Final = [
    web.get("/api/profiles", profiles),
    web.get("/api/conversations", conversations),
]

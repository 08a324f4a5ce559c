"""What the signed-in profile may see, `GET /api/profiles` and `GET /api/conversations`; and how it reaches the relay,
`GET /api/ice-servers`."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from relay.http.auth import signed_in
from relay.http.parameters import ProfileView, view
from relay.http.responses import answer
from relay.ids import Profile
from relay.signaling.ports import Directory


class IceServer(msgspec.Struct, frozen=True):
    """RTCIceServer of WebRTC."""

    urls: tuple[str, ...]
    username: str | UnsetType = UNSET
    credential: str | UnsetType = UNSET


IceServers = Callable[[Profile], Sequence[IceServer]]
"""The servers that a profile may use, with credentials of its own."""

DIRECTORY: Final = web.AppKey("directory", Directory)
ICE_SERVERS: Final[web.AppKey[IceServers]] = web.AppKey("ice_servers")


class ConversationView(msgspec.Struct, frozen=True):
    conversation_id: int
    members: list[ProfileView]


def no_ice_servers(_profile: Profile) -> Sequence[IceServer]:
    """The relay is a public peer itself: where UDP passes, a browser needs no STUN or TURN server to reach it."""
    return ()


async def profiles(request: web.Request) -> web.Response:
    cards = await request.app[DIRECTORY].visible_profiles((await signed_in(request)).profile)
    return answer({"profiles": [view(card) for card in cards]})


async def conversations(request: web.Request) -> web.Response:
    cards = await request.app[DIRECTORY].conversations((await signed_in(request)).profile)
    found = [ConversationView(card.conversation_id, [view(member) for member in card.members]) for card in cards]
    return answer({"conversations": found})


async def ice_servers(request: web.Request) -> web.Response:
    return answer({"ice_servers": request.app[ICE_SERVERS]((await signed_in(request)).profile)})


ROUTES: Final = [
    web.get("/api/profiles", profiles),
    web.get("/api/conversations", conversations),
    web.get("/api/ice-servers", ice_servers),
]

"""`/api/blocks`: whom the signed-in profile does not want to hear from. The blocked side cannot tell."""

from typing import Final

import msgspec
from aiohttp import web

from relay.errors import RelayError
from relay.http.access.auth import HttpAuthenticator
from relay.http.api import Operation, delete, get, put
from relay.http.parameters import PROFILE, Milliseconds, ProfileView, profile_in, view
from relay.http.ports import ProfileSettings
from relay.http.responses import answer
from relay.ids import Profile
from relay.signaling.calls.notices import milliseconds


class BlockView(msgspec.Struct, frozen=True):
    """A blocked profile."""

    profile: ProfileView
    """Its name is empty if there is no such profile any more."""
    since: Milliseconds


class Blocks(msgspec.Struct, frozen=True):
    blocks: list[BlockView]


async def read(request: web.Request, *, who: HttpAuthenticator, settings: ProfileSettings) -> web.Response:
    return await read_of((await who.signed_in(request)).profile, settings)


async def add(request: web.Request, *, who: HttpAuthenticator, settings: ProfileSettings) -> web.Response:
    profile = (await who.signed_in(request)).profile
    await block(settings, profile, profile_in(request))
    return web.Response(status=204)


async def remove(request: web.Request, *, who: HttpAuthenticator, settings: ProfileSettings) -> web.Response:
    profile = (await who.signed_in(request)).profile
    await settings.unblock(profile, profile_in(request))
    return web.Response(status=204)


async def read_of(profile: Profile, settings: ProfileSettings) -> web.Response:
    """The profiles that a profile has blocked, latest first."""
    records = await settings.blocks(profile)
    return answer(Blocks([BlockView(view(record.blocked), milliseconds(record.since)) for record in records]))


async def block(settings: ProfileSettings, profile: Profile, blocked: Profile) -> None:
    """Block one profile for another.

    Raises:
        HTTPNotFound: one of the two does not exist, or they share nothing.
        RelayError: the two are the same profile.
    """
    if blocked == profile:
        raise RelayError("a profile cannot block itself")
    try:
        await settings.block(profile, blocked)
    except ValueError as error:
        raise web.HTTPNotFound(text=str(error)) from None


READ: Final = Operation("Blocked profiles, latest first.", Blocks)
BLOCK: Final = Operation(
    "Blocks a profile.",
    errors={400: "It is the profile itself.", 404: "The profile shares nothing with such a profile."},
)
UNBLOCK: Final = Operation("Lifts a block.")

ROUTES: Final = [
    get("/api/blocks", read, READ),
    put(f"/api/blocks/{PROFILE}", add, BLOCK),
    delete(f"/api/blocks/{PROFILE}", remove, UNBLOCK),
]

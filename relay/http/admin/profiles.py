"""`/api/admin/profiles`: a profile, what it has settled, and everything about it. `/api/admin/connections`: who knows whom."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from relay.http import blocks, me, settings
from relay.http.admin.access import guarded
from relay.http.admin.items import ProfileBody
from relay.http.directory import DIRECTORY
from relay.http.parameters import OTHER_PROFILE, PROFILE, other_profile_in, profile_in, view
from relay.http.ports import OWN_HISTORY, PERSONAL_DATA, PLATFORM, PROFILE_SETTINGS
from relay.http.responses import answer, body_of

_PROFILE: Final = f"/api/admin/profiles/{PROFILE}"


async def read(request: web.Request) -> web.Response:
    profile = profile_in(request)
    card = await request.app[DIRECTORY].profile(profile)
    if card is None:
        raise web.HTTPNotFound(text="there is no such profile")
    return answer({**profile._asdict(), "name": card.name, "avatar": card.avatar, "user_id": card.user_id})


async def put(request: web.Request) -> web.Response:
    profile = profile_in(request)
    await request.app[PLATFORM].put_profiles([(await body_of(request, ProfileBody)).card(profile)])
    return web.Response(status=204)


async def delete(request: web.Request) -> web.Response:
    """Its calls stay as they are; `erase` takes it out of those too."""
    await request.app[PLATFORM].delete_profile(profile_in(request))
    return web.Response(status=204)


async def erase(request: web.Request) -> web.Response:
    await request.app[PERSONAL_DATA].erase(profile_in(request), datetime.now(UTC))
    return web.Response(status=204)


async def erase_history(request: web.Request) -> web.Response:
    await request.app[OWN_HISTORY].erase_history(profile_in(request), datetime.now(UTC))
    return web.Response(status=204)


async def export(request: web.Request) -> web.Response:
    return await me.export_of(request, profile_in(request))


async def read_settings(request: web.Request) -> web.Response:
    return answer(await request.app[PROFILE_SETTINGS].settings(profile_in(request)))


async def change_settings(request: web.Request) -> web.Response:
    return await settings.change_of(request, profile_in(request))


async def read_blocks(request: web.Request) -> web.Response:
    return await blocks.read_of(request, profile_in(request))


async def block(request: web.Request) -> web.Response:
    await blocks.block(request.app[PROFILE_SETTINGS], profile_in(request), other_profile_in(request))
    return web.Response(status=204)


async def unblock(request: web.Request) -> web.Response:
    await request.app[PROFILE_SETTINGS].unblock(profile_in(request), other_profile_in(request))
    return web.Response(status=204)


async def read_connections(request: web.Request) -> web.Response:
    cards = await request.app[PLATFORM].connections(profile_in(request))
    return answer({"connections": [view(card) for card in cards]})


async def connect(request: web.Request) -> web.Response:
    try:
        await request.app[PLATFORM].connect(profile_in(request), other_profile_in(request))
    except ValueError as error:
        raise web.HTTPNotFound(text=str(error)) from None
    return web.Response(status=204)


async def disconnect(request: web.Request) -> web.Response:
    await request.app[PLATFORM].disconnect(profile_in(request), other_profile_in(request))
    return web.Response(status=204)


ROUTES: Final = guarded(
    [
        web.get(_PROFILE, read),
        web.put(_PROFILE, put),
        web.delete(_PROFILE, delete),
        web.get(f"{_PROFILE}/export", export),
        web.delete(f"{_PROFILE}/data", erase),
        web.delete(f"{_PROFILE}/history", erase_history),
        web.get(f"{_PROFILE}/settings", read_settings),
        web.put(f"{_PROFILE}/settings", change_settings),
        web.get(f"{_PROFILE}/blocks", read_blocks),
        web.put(f"{_PROFILE}/blocks/{OTHER_PROFILE}", block),
        web.delete(f"{_PROFILE}/blocks/{OTHER_PROFILE}", unblock),
        web.get(f"{_PROFILE}/connections", read_connections),
        web.put(f"{_PROFILE}/connections/{OTHER_PROFILE}", connect),
        web.delete(f"{_PROFILE}/connections/{OTHER_PROFILE}", disconnect),
    ]
)

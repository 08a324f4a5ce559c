"""`/api/admin/profiles`: a profile, what it has settled, and everything about it. `/api/admin/connections`: who knows whom."""

from datetime import UTC, datetime
from typing import Final

import msgspec
from aiohttp import web

from relay.http import api, blocks, me, settings
from relay.http.access.service_token import guarded
from relay.http.admin.items import ProfileBody, ProfileDetails
from relay.http.parameters import OTHER_PROFILE, PROFILE, ProfileView, other_profile_in, profile_in, view
from relay.http.ports import OwnHistory, PersonalData, Platform, ProfileSettings
from relay.http.responses import answer, body_of
from relay.signaling.ports import Directory

_PROFILE: Final = f"/api/admin/profiles/{PROFILE}"


class Connections(msgspec.Struct, frozen=True):
    """Profiles that a profile is connected with."""

    connections: list[ProfileView]


async def read(request: web.Request, *, directory: Directory) -> web.Response:
    profile = profile_in(request)
    card = await directory.profile(profile)
    if card is None:
        raise web.HTTPNotFound(text="there is no such profile")
    return answer(ProfileDetails.of(card))


async def put(request: web.Request, *, platform: Platform) -> web.Response:
    profile = profile_in(request)
    await platform.put_profiles([(await body_of(request, ProfileBody)).card(profile)])
    return web.Response(status=204)


async def delete(request: web.Request, *, platform: Platform) -> web.Response:
    """Its calls stay as they are; `erase` takes it out of those too."""
    await platform.delete_profile(profile_in(request))
    return web.Response(status=204)


async def erase(request: web.Request, *, data: PersonalData) -> web.Response:
    await data.erase(profile_in(request), datetime.now(UTC))
    return web.Response(status=204)


async def erase_history(request: web.Request, *, history: OwnHistory) -> web.Response:
    await history.erase_history(profile_in(request), datetime.now(UTC))
    return web.Response(status=204)


async def export(request: web.Request, *, data: PersonalData) -> web.Response:
    return await me.export_of(profile_in(request), data)


async def read_settings(request: web.Request, *, profile_settings: ProfileSettings) -> web.Response:
    return answer(await profile_settings.settings(profile_in(request)))


async def change_settings(request: web.Request, *, profile_settings: ProfileSettings) -> web.Response:
    return await settings.change_of(request, profile_in(request), profile_settings)


async def read_blocks(request: web.Request, *, profile_settings: ProfileSettings) -> web.Response:
    return await blocks.read_of(profile_in(request), profile_settings)


async def block(request: web.Request, *, profile_settings: ProfileSettings) -> web.Response:
    await blocks.block(profile_settings, profile_in(request), other_profile_in(request))
    return web.Response(status=204)


async def unblock(request: web.Request, *, profile_settings: ProfileSettings) -> web.Response:
    await profile_settings.unblock(profile_in(request), other_profile_in(request))
    return web.Response(status=204)


async def read_connections(request: web.Request, *, platform: Platform) -> web.Response:
    cards = await platform.connections(profile_in(request))
    return answer(Connections([view(card) for card in cards]))


async def connect(request: web.Request, *, platform: Platform) -> web.Response:
    try:
        await platform.connect(profile_in(request), other_profile_in(request))
    except ValueError as error:
        raise web.HTTPNotFound(text=str(error)) from None
    return web.Response(status=204)


async def disconnect(request: web.Request, *, platform: Platform) -> web.Response:
    await platform.disconnect(profile_in(request), other_profile_in(request))
    return web.Response(status=204)


ROUTES: Final = guarded(
    [
        api.get(_PROFILE, read, api.Operation("A profile.", ProfileDetails)),
        api.put(_PROFILE, put, api.Operation("Adds a profile, or brings it up to date.", body=ProfileBody)),
        api.delete(
            _PROFILE,
            delete,
            api.Operation(
                "Deletes a profile with its settings, blocks, connections, memberships and push subscriptions. Its devices are "
                "disconnected (4401), and its tokens are refused until it is added again. Its calls stay."
            ),
        ),
        api.get(f"{_PROFILE}/export", export, me.EXPORT),
        api.delete(
            f"{_PROFILE}/data",
            erase,
            api.Operation(
                "Deletes a profile likewise, and takes it out of its calls: the other parties keep them without its name."
            ),
        ),
        api.delete(f"{_PROFILE}/history", erase_history, me.ERASE_HISTORY),
        api.get(f"{_PROFILE}/settings", read_settings, settings.READ),
        api.put(f"{_PROFILE}/settings", change_settings, settings.CHANGE),
        api.get(f"{_PROFILE}/blocks", read_blocks, blocks.READ),
        api.put(f"{_PROFILE}/blocks/{OTHER_PROFILE}", block, blocks.BLOCK),
        api.delete(f"{_PROFILE}/blocks/{OTHER_PROFILE}", unblock, blocks.UNBLOCK),
        api.get(
            f"{_PROFILE}/connections",
            read_connections,
            api.Operation("The profiles that a profile is connected with, by name.", Connections),
        ),
        api.put(
            f"{_PROFILE}/connections/{OTHER_PROFILE}",
            connect,
            api.Operation(
                "Connects two profiles, in both directions.", errors={404: "One of them does not exist, or both are the same."}
            ),
        ),
        api.delete(f"{_PROFILE}/connections/{OTHER_PROFILE}", disconnect, api.Operation("Disconnects two profiles.")),
    ]
)

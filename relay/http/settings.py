"""`/api/settings`: what the signed-in profile wants about being called."""

from typing import Final

import msgspec
from aiohttp import web

from relay.http.access.auth import HttpAuthenticator
from relay.http.api import Operation, get, put
from relay.http.ports import ProfileSettings
from relay.http.responses import answer, body_of
from relay.ids import Profile
from relay.records.calls import SettingsRecord
from relay.records.profiles import Privacy


class SettingsChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    privacy: Privacy | None = None
    do_not_disturb: bool | None = None


async def read(request: web.Request, *, who: HttpAuthenticator, settings: ProfileSettings) -> web.Response:
    return answer(await settings.settings((await who.signed_in(request)).profile))


async def change(request: web.Request, *, who: HttpAuthenticator, settings: ProfileSettings) -> web.Response:
    return await change_of(request, (await who.signed_in(request)).profile, settings)


async def change_of(request: web.Request, profile: Profile, settings: ProfileSettings) -> web.Response:
    """Change a profile's settings as the body says; the answer has them all.

    Raises:
        HTTPNotFound: there is no such profile.
    """
    wanted = await body_of(request, SettingsChange)
    try:
        changed = await settings.change_settings(profile, privacy=wanted.privacy, do_not_disturb=wanted.do_not_disturb)
    except ValueError as error:
        raise web.HTTPNotFound(text=str(error)) from None
    return answer(changed)


READ: Final = Operation("What the profile wants about being called.", SettingsRecord)
CHANGE: Final = Operation(
    "Changes the settings that are given, and leaves the others; answers with all of them.",
    SettingsRecord,
    body=SettingsChange,
    errors={404: "There is no such profile."},
)

ROUTES: Final = [
    get("/api/settings", read, READ),
    put("/api/settings", change, CHANGE),
]

"""`/api/me`: what there is about the signed-in profile, to take along or to take back."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from relay.http.auth import signed_in
from relay.http.ports import OWN_HISTORY, PERSONAL_DATA
from relay.http.responses import answer
from relay.ids import Profile


async def export(request: web.Request) -> web.Response:
    return await export_of(request, (await signed_in(request)).profile)


async def erase_history(request: web.Request) -> web.Response:
    await request.app[OWN_HISTORY].erase_history((await signed_in(request)).profile, datetime.now(UTC))
    return web.Response(status=204)


async def export_of(request: web.Request, profile: Profile) -> web.Response:
    """Everything about a profile, as a file to keep.

    Raises:
        HTTPNotFound: there is nothing.
    """
    found = await request.app[PERSONAL_DATA].export(profile)
    if found is None:
        raise web.HTTPNotFound(text=f"there is nothing about {profile.key}")
    response = answer(found)
    response.headers["Content-Disposition"] = f'attachment; filename="{profile.key}.json"'
    return response


ROUTES: Final = [
    web.get("/api/me/export", export),
    web.delete("/api/me/history", erase_history),
]

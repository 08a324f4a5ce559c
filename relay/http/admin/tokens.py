"""`POST /api/admin/tokens`: a token for a profile, for platforms that sign none themselves."""

from typing import Final

from aiohttp import web

from relay.http.admin.access import guarded
from relay.http.auth import TOKENS
from relay.http.directory import DIRECTORY
from relay.http.parameters import ProfileName
from relay.http.responses import answer, body_of


async def issue(request: web.Request) -> web.Response:
    profile = (await body_of(request, ProfileName)).profile
    if await request.app[DIRECTORY].profile(profile) is None:
        raise web.HTTPNotFound(text="there is no such profile")
    tokens = request.app[TOKENS]
    return answer({"token": tokens.issue(profile), "expires_in": tokens.lifetime}, 201)


ROUTES: Final = guarded([web.post("/api/admin/tokens", issue)])
"""Only where there is a secret to sign with."""

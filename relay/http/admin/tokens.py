"""`POST /api/admin/tokens`: a token for a profile, for platforms that sign none themselves."""

from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.http.access.auth import Tokens
from relay.http.access.service_token import guarded
from relay.http.api import Operation, post
from relay.http.parameters import ProfileName
from relay.http.responses import answer, body_of
from relay.signaling.ports import Directory


class IssuedToken(msgspec.Struct, frozen=True):
    token: str
    expires_in: Annotated[float, Meta(description="Seconds.")]


async def issue(request: web.Request, *, directory: Directory, tokens: Tokens) -> web.Response:
    profile = (await body_of(request, ProfileName)).profile
    if await directory.profile(profile) is None:
        raise web.HTTPNotFound(text="there is no such profile")
    return answer(IssuedToken(tokens.issue(profile), tokens.lifetime), 201)


ROUTES: Final = guarded(
    [
        post(
            "/api/admin/tokens",
            issue,
            Operation(
                "A token for a profile, for platforms that sign none themselves.",
                IssuedToken,
                status=201,
                body=ProfileName,
                errors={404: "There is no such profile."},
            ),
        ),
    ]
)
"""Only where there is a secret to sign with."""

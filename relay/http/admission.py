"""Which requests are looked at: those within the limits of their address, and beyond them those with a good credential.

An address may be that of many people. One of them, signed in or not, must not shut out the others.
"""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from relay.errors import Unauthorized
from relay.http.admin.access import is_platform
from relay.http.auth import signed_in
from relay.http.limits import LIMITS, TooMany


def middleware() -> Middleware:
    """Refuses what is beyond the limits, with `TooMany`."""

    @web.middleware
    async def refuse_too_many(request: web.Request, handler: Handler) -> web.StreamResponse:
        exceeded = request.app[LIMITS].exceeded(request)
        if exceeded is not None and not is_platform(request):
            await _admit_signed_in(request, exceeded)
        return await handler(request)

    return refuse_too_many


async def _admit_signed_in(request: web.Request, exceeded: str) -> None:
    """Let a signed-in profile pass though its address is beyond the limit of that name.

    Raises:
        TooMany: it is not signed in, or is itself beyond the limit of a profile.
    """
    limits = request.app[LIMITS]
    try:
        credential = await signed_in(request)
    except (Unauthorized, TooMany):
        raise limits.refusal(request, exceeded) from None
    limits.admit_beyond(credential.profile, exceeded)

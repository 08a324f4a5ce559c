"""Admission of requests: those within the limits of their address, and beyond them those with a valid credential.

An address may be that of many people. One of them, signed in or not, must not shut out the others.
"""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from relay.errors import Unauthorized
from relay.http.access.auth import HttpAuthenticator
from relay.http.access.service_token import ServiceToken
from relay.http.limits import HttpLimits, TooMany


def middleware(limits: HttpLimits, who: HttpAuthenticator, service_token: ServiceToken) -> Middleware:
    """Refuses requests beyond the limits, with `TooMany`."""

    @web.middleware
    async def refuse_too_many(request: web.Request, handler: Handler) -> web.StreamResponse:
        exceeded = limits.exceeded(request)
        if exceeded is not None and not service_token.is_in(request):
            await _admit_signed_in(request, exceeded, limits, who)
        return await handler(request)

    return refuse_too_many


async def _admit_signed_in(request: web.Request, exceeded: str, limits: HttpLimits, who: HttpAuthenticator) -> None:
    """Admit a signed-in profile although its address exceeds the limit of that name.

    Raises:
        TooMany: it is not signed in, or is itself beyond the limit of a profile.
    """
    try:
        credential = await who.signed_in(request)
    except (Unauthorized, TooMany):
        raise limits.refusal(request, exceeded) from None
    limits.admit_beyond(credential.profile, exceeded)

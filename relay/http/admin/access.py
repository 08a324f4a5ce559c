"""Who may: whoever has the service token."""

import hmac
from typing import Final

from aiohttp import web

from relay.errors import Unauthorized
from relay.http.api import Access, DescribedRoute, Handler
from relay.http.auth import bearer_token, checking_credential

SERVICE_TOKEN: Final = web.AppKey("service_token", str)


def is_platform(request: web.Request) -> bool:
    """Whether the request has the service token. False where there is no such token."""
    given, expected = bearer_token(request) or "", request.app.get(SERVICE_TOKEN, "")
    # Bytes: of texts, `compare_digest` takes ASCII only. Headers may have bytes that are no UTF-8.
    return bool(expected) and hmac.compare_digest(given.encode(errors="surrogateescape"), expected.encode())


def platform_only(handler: Handler) -> Handler:
    """Let nobody in but the platform."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        with checking_credential(request):
            if not is_platform(request):
                raise Unauthorized("this takes the service token")
        return await handler(request)

    return guarded


def guarded(routes: list[DescribedRoute]) -> list[DescribedRoute]:
    """The same routes, for the platform only."""
    return [one.guarded(platform_only, Access.PLATFORM) for one in routes]

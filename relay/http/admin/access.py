"""Who may: whoever has the service token."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from relay.errors import Unauthorized
from relay.http.auth import bearer_token, checking_credential

SERVICE_TOKEN: Final = web.AppKey("service_token", str)

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_platform(request: web.Request) -> bool:
    """Whether the request has the service token. False where there is no such token."""
    given, expected = bearer_token(request) or "", request.app.get(SERVICE_TOKEN, "")
    # Bytes: of texts, `compare_digest` takes ASCII only. Headers may have bytes that are no UTF-8.
    return bool(expected) and hmac.compare_digest(given.encode(errors="surrogateescape"), expected.encode())


def platform_only(answering: Answering) -> Answering:
    """Let nobody in but the platform."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        with checking_credential(request):
            if not is_platform(request):
                raise Unauthorized("this takes the service token")
        return await answering(request)

    return guarded


def guarded(routes: list[web.RouteDef]) -> list[web.RouteDef]:
    """The same routes, for the platform only."""
    return [web.RouteDef(one.method, one.path, platform_only(one.handler), one.kwargs) for one in routes]

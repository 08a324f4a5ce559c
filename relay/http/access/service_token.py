"""Access for requests that carry the service token."""

import hmac

from aiohttp import web

from relay.errors import Unauthorized
from relay.http.access.auth import bearer_token, checking_credential
from relay.http.api import Access, DescribedRoute
from relay.http.limits import HttpLimits


class ServiceToken:
    """The platform's credential.

    Args:
        expected: empty: there is none.
    """

    def __init__(self, expected: str) -> None:
        self._expected = expected.encode()

    def is_in(self, request: web.Request) -> bool:
        """Whether a request has it. False where there is no such token."""
        # Bytes: of texts, `compare_digest` takes ASCII only. Headers may have bytes that are no UTF-8.
        given = (bearer_token(request) or "").encode(errors="surrogateescape")
        return bool(self._expected) and hmac.compare_digest(given, self._expected)


async def platform_only(request: web.Request, *, service_token: ServiceToken, limits: HttpLimits) -> None:
    """Let the platform in, and no other.

    Raises:
        Unauthorized: the request does not have the service token.
    """
    with checking_credential(request, limits):
        if not service_token.is_in(request):
            raise Unauthorized("this takes the service token")


def guarded(routes: list[DescribedRoute]) -> list[DescribedRoute]:
    """The same routes, for the platform only."""
    return [one.guarded(platform_only, Access.PLATFORM) for one in routes]

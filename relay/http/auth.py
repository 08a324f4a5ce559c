"""Who is asking: tokens, and where a request carries one."""

from datetime import UTC, datetime, timedelta
from typing import Final

import jwt
from aiohttp import web

from relay.errors import Unauthorized
from relay.ids import Profile

COOKIE: Final = "relay_token"
SUBPROTOCOL: Final = "bearer"
"""A browser cannot set headers on a WebSocket, but subprotocols: `new WebSocket(url, ["bearer", token])`."""

_ALGORITHM: Final = "HS256"


class Tokens:
    """JSON Web Tokens (RFC 7519) whose subject is a profile key.

    Args:
        secret: signs and verifies (HS256).
        lifetime: seconds that a token issued here is good for.
    """

    def __init__(self, secret: str, lifetime: float) -> None:
        self._secret = secret
        self.lifetime = lifetime

    def issue(self, profile: Profile) -> str:
        now = datetime.now(UTC)
        claims = {"sub": profile.key, "iat": now, "exp": now + timedelta(seconds=self.lifetime)}
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def verify(self, token: str) -> Profile:
        """The profile that a token names.

        Raises:
            Unauthorized: it is expired, malformed or not signed by us.
        """
        try:
            claims = jwt.decode(token, self._secret, algorithms=[_ALGORITHM], options={"require": ["exp", "sub"]})
            return Profile.parse(claims["sub"])
        except (jwt.InvalidTokenError, ValueError) as error:
            raise Unauthorized(f"the token is not good: {error}") from None


TOKENS: Final = web.AppKey("tokens", Tokens)


def signed_in(request: web.Request) -> Profile:
    """The profile of a request's credential. An explicit one outranks the cookie, which all tabs of a browser share.

    Raises:
        Unauthorized: there is none, or it is not good.
    """
    token = _bearer(request) or request.query.get("token") or request.cookies.get(COOKIE)
    if not token:
        raise Unauthorized("no credential: log in first")
    return request.app[TOKENS].verify(token)


def _bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    offered = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    return offered[1] if len(offered) == 2 and offered[0] == SUBPROTOCOL else None

"""Who is asking: tokens, and where a request carries one.

`await authenticator.signed_in(request)` is a `Credential`: the profile, and when the credential ends.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import jwt
from aiohttp import web

from relay.errors import Unauthorized
from relay.http.access.identity import Identifier
from relay.http.access.keys import ALGORITHMS, Keys
from relay.http.access.revocations import Revocations, Revoked
from relay.http.limits import HttpLimits
from relay.http.proxies import asker_of
from relay.ids import Profile
from relay.settings.auth import AuthSettings

COOKIE: Final = "relay_token"
SECURE_COOKIE: Final = f"__Host-{COOKIE}"
"""Its name where it came by https. Browsers take it only from this very host, and only by https (RFC 6265bis section 4.1.3.2): a
neighbour below the same domain, or a page without TLS, cannot plant one."""

SUBPROTOCOL: Final = "bearer"
"""A browser cannot set headers on a WebSocket, but subprotocols: `new WebSocket(url, ["bearer", token])`."""

MAX_TOKEN_LENGTH: Final = 8192
"""Characters. More than that no header carries."""

_SHARED: Final = "HS256"
_LAST_MOMENT: Final = datetime.max.replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Credential:
    """The profile that a request was authenticated as, and until when."""

    profile: Profile
    expires_at: float
    """Seconds since the epoch; the leeway is in it."""
    issued_at: float | None = None
    """Seconds since the epoch; None: the credential has no such claim."""


class Expired(Unauthorized):
    """The token has expired. Its signature is valid, so it does not count as a failed login."""


class NotYetValid(Unauthorized):
    """The token is of the future: one of the clocks is wrong. Its signature is valid, so it does not count as a failed login."""


class ForeignToken(Unauthorized):
    """The token is valid, and for another service: its `iss` or `aud` says so."""


class Tokens:
    """JSON Web Tokens (RFC 7519) that name a profile.

    A token says by which algorithm it is signed, and must not have the choice of the key with it (RFC 8725 section 3.1): HS256
    is only ever verified with the secret, and a public key only with the one algorithm that it is for.

    Args:
        settings: its secret signs and verifies (HS256); empty: such tokens are refused, and none can be issued.
        keys: verify tokens that others sign.
    """

    def __init__(self, settings: AuthSettings, keys: Keys | None = None) -> None:
        self._settings = settings
        self.keys = keys

    @property
    def lifetime(self) -> float:
        """Seconds that a token issued here is good for."""
        return self._settings.token_lifetime

    def issue(self, profile: Profile) -> str:
        # To the millisecond (RFC 7519 section 2 allows fractions): so a token issued just after a revocation is good.
        now = round(time.time(), 3)
        claims: dict[str, Any] = {"iat": now, "exp": now + self.lifetime, "sub": profile.key}
        claims |= {
            name: value for name, value in (("iss", self._settings.jwt_issuer), ("aud", self._settings.jwt_audience)) if value
        }
        return jwt.encode(claims | {self._settings.jwt_profile_claim: profile.key}, self._settings.jwt_secret, algorithm=_SHARED)

    def reload(self) -> None:
        """Fetch the keys of others again, if there are any."""
        if self.keys is not None:
            self.keys.reload()

    async def verify(self, token: str) -> Credential:
        """The profile that a token names.

        Raises:
            Expired: it was good once.
            NotYetValid: its `nbf` or `iat` is in the future.
            ForeignToken: it has another `iss` or `aud` than it must have.
            Unauthorized: it is malformed, not for us, or not signed by anyone that we believe.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthorized("the token is not good: it is too long")
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            key = await self._key(algorithm, header.get("kid"))
            assert isinstance(algorithm, str), "there is a key for it"
            return self._credential(self._decode(token, key, algorithm))
        except jwt.ExpiredSignatureError as error:
            raise Expired(f"the token is not good: {error}") from None
        except jwt.ImmatureSignatureError as error:
            raise NotYetValid(f"the token is not good: {error}") from None
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError) as error:
            raise ForeignToken(f"the token is not good: {error}") from None
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise Unauthorized(f"the token is not good: {error}") from None

    async def _key(self, algorithm: object, key_id: str | None) -> jwt.PyJWK | str:
        if algorithm == _SHARED and self._settings.jwt_secret:
            return self._settings.jwt_secret
        if isinstance(algorithm, str) and algorithm in ALGORITHMS and self.keys is not None:
            key = await self.keys.find(algorithm, key_id)
            if key is None:
                raise jwt.InvalidKeyError("no key for it is known")
            return key
        raise jwt.InvalidAlgorithmError("tokens signed in this way are not taken")

    def _decode(self, token: str, key: jwt.PyJWK | str, algorithm: str) -> dict[str, Any]:
        expected = self._settings
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=expected.jwt_issuer or None,
            audience=expected.jwt_audience or None,
            leeway=expected.jwt_leeway,
            options={"require": ["exp", expected.jwt_profile_claim]},
        )

    def _credential(self, claims: dict[str, Any]) -> Credential:
        key = claims[self._settings.jwt_profile_claim]
        if not isinstance(key, str):
            raise ValueError(f"its {self._settings.jwt_profile_claim!r} is no profile key")
        # What `jwt` takes for a number may be one that no clock reaches, and no float holds.
        expires_at = min(int(claims["exp"]), _LAST_MOMENT) + self._settings.jwt_leeway
        stated = claims.get("iat")
        # Not in the future: `jwt` has looked. But it may be a number below all that a float holds.
        issued_at = float(max(0, stated)) if isinstance(stated, int | float) else None
        return Credential(Profile.parse(key), expires_at, issued_at)


TOKENS: Final = web.AppKey("tokens", Tokens)
_CREDENTIAL: Final = web.RequestKey("credential", Credential)
"""The request's credential. Its token is verified once."""


class HttpAuthenticator:
    """Finds out who sends a request.

    Args:
        identifier: asks the embedding program; None: only tokens say it.
    """

    def __init__(
        self, tokens: Tokens, limits: HttpLimits, revocations: Revocations, identifier: Identifier | None = None
    ) -> None:
        self._tokens = tokens
        self._limits = limits
        self._revocations = revocations
        self._identifier = identifier

    async def signed_in(self, request: web.Request) -> Credential:
        """A request's credential. An explicit one outranks the cookie, which all tabs of a browser share.

        Raises:
            Unauthorized: there is none, or it is not good.
            TooMany: it is not good, and neither were too many before it from this address.
        """
        known: Credential | None = request.get(_CREDENTIAL)
        if known is not None:
            return known
        token = bearer_token(request) or request.query.get("token")
        if not token and (identity := await self._identified(request)) is not None:
            request[_CREDENTIAL] = identity
            return identity
        token = token or _cookie(request)
        if not token:
            raise Unauthorized("no credential: log in first")
        with checking_credential(request, self._limits):
            credential = await self._tokens.verify(token)
            if self.is_revoked(credential):
                raise Revoked("the token was revoked")
        request[_CREDENTIAL] = credential
        return credential

    async def _identified(self, request: web.Request) -> Credential | None:
        """The identity of the client according to the embedding program.

        Raises:
            Revoked: it is good no more.
            Unavailable: the program failed, or did not answer in time.
        """
        identity = None if self._identifier is None else await self._identifier.identify(request)
        if identity is None:
            return None
        if identity.expires_at <= time.time():
            raise Expired("the session has expired")
        credential = Credential(identity.profile, identity.expires_at, identity.issued_at)
        if self.is_revoked(credential):
            raise Revoked("the session was revoked")
        return credential

    def is_revoked(self, credential: Credential) -> bool:
        """Whether a credential is not good any more, since it was verified."""
        return self._revocations.revokes(credential.profile, credential.issued_at)


@contextmanager
def checking_credential(request: web.Request, limits: HttpLimits) -> Iterator[None]:
    """Around the check of any credential: counts what raises `Unauthorized`.

    Each credential is checked, however many were not good before it: its address may be that of many people, of whom one guesses.

    Raises:
        TooMany: in place of `Unauthorized`, after too many of them from this address.
    """
    try:
        yield
    except (Expired, NotYetValid, Revoked):
        raise
    except Unauthorized:
        limits.count_failed_login(request)
        raise


def bearer_token(request: web.Request) -> str | None:
    """The token of the Authorization header (RFC 6750 section 2.1), or of the subprotocols."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    offered = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    return offered[1] if len(offered) == 2 and offered[0] == SUBPROTOCOL else None


def is_given(request: web.Request) -> bool:
    """Whether a request carries a token at all."""
    return bool(bearer_token(request) or request.query.get("token") or _cookie(request))


def _cookie(request: web.Request) -> str | None:
    """The token of the cookie. The one without a prefix is that of plain HTTP, or of a log-in before there were two."""
    return request.cookies.get(SECURE_COOKIE) or request.cookies.get(COOKIE)


def set_cookie(request: web.Request, response: web.Response, token: str, lifetime: float) -> None:
    """Let the browser send `token` with its further requests. No script sees it and no other site can send it; after https, no
    http carries it.
    """
    # Strict is enough: the page does not need it as it is opened, and asks for a token where another site has it in a frame.
    secure = asker_of(request).secure
    name = SECURE_COOKIE if secure else COOKIE
    response.set_cookie(name, token, max_age=int(lifetime), path="/", httponly=True, samesite="Strict", secure=secure)
    if secure:
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=True)


def clear_cookie(request: web.Request, response: web.Response) -> None:
    """Let the browser forget the token."""
    secure = asker_of(request).secure
    for name in (SECURE_COOKIE, COOKIE) if secure else (COOKIE,):
        response.del_cookie(name, path="/", httponly=True, samesite="Strict", secure=secure)

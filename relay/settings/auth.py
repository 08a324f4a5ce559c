"""The issuers of tokens, and the claims that a token must have (RFC 7519 section 4.1)."""

import dataclasses
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Self

from msgspec import Meta

from relay.settings.base import PREFIX, Development, Seconds, Secret, parsing_problem, secret_problem
from relay.settings.notation import check_key_source


@dataclass(frozen=True, kw_only=True)
class AuthSettings(Development):
    jwt_secret: Secret = ""
    """Key that signs the tokens (HS256), at least 32 characters. Required outside development mode."""
    jwks: str = ""
    """Path or https URL of the JSON Web Key Set that verifies the platform's own tokens (RS256, ES256, EdDSA)."""
    jwt_issuer: str = ""
    """The `iss` that a token must have; empty: any, or none."""
    jwt_audience: str = ""
    """The `aud` that a token must have; empty: it must have none."""
    jwt_profile_claim: str = "sub"
    """The claim that has the profile's key, such as `student_456`."""
    jwt_leeway: Annotated[float, Meta(ge=0, le=300, extra={"unit": "s"})] = 30.0
    """Seconds that the clock of the tokens' issuer may differ; a token is good for so much longer."""
    token_lifetime: Seconds = 3600.0
    """Seconds until a token from `/api/dev/login` expires."""
    service_token: Secret = ""
    """What the platform shows to use `/api/admin`, at least 32 characters; empty: there is no `/api/admin`."""

    def _problems(self) -> Iterator[str]:
        if not self.jwt_secret and not (self.dev or self.jwks):
            yield f"{PREFIX}JWT_SECRET: required outside development mode; try: openssl rand -hex 32"
        yield from secret_problem("jwt_secret", self.jwt_secret)
        yield from secret_problem("service_token", self.service_token)
        yield from parsing_problem("jwks", lambda: check_key_source(self.jwks))

    def with_secret(self) -> Self:
        """These settings, with a made-up secret where development mode left it out: tokens then end with the process."""
        if self.jwt_secret or not self.dev:
            return self
        return dataclasses.replace(self, jwt_secret=secrets.token_hex(32))

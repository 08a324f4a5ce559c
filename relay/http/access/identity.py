"""Authentication by the program that embeds the relay: by the session that its users have already."""

import asyncio
import math
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import web

from relay.errors import Unavailable
from relay.ids import Profile
from relay.signaling.calls.faults import Faults

PATIENCE: Final = 5.0
"""Seconds that a request waits for the embedding program to identify it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The profile of a session, and until when the session lasts."""

    profile: Profile
    expires_at: float = math.inf
    """Seconds since the epoch: WebSockets end then. Infinite: they do not, for that."""
    issued_at: float | None = None
    """Seconds since the epoch: when the session began. None: not known; any revocation by `/api/admin` concerns it then."""


class Identification(Protocol):
    """Reads the sessions of the embedding program."""

    async def identify(self, request: web.Request) -> Identity | None:
        """The identity that a request's cookies and headers carry. None: no session; the relay then reads its own cookie.

        Not called for a request with a token in a header or in the query.
        """
        ...


class Identifier:
    """Asks the embedding program, with a deadline."""

    def __init__(self, identification: Identification, faults: Faults, patience: float = PATIENCE) -> None:
        self._identification = identification
        self._faults = faults
        self._patience = patience

    async def identify(self, request: web.Request) -> Identity | None:
        """The identity of the client; None if the program does not know it.

        Raises:
            Unavailable: the program failed, or did not answer in time.
        """
        try:
            async with asyncio.timeout(self._patience):
                identity = await self._identification.identify(request)
            if identity is not None:
                Profile.parse(identity.profile.key)
        except Exception as error:
            self._faults.failed("identity", error)
            raise Unavailable("who you are cannot be found out now") from None
        self._faults.succeeded("identity")
        return identity

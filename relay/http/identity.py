"""Who somebody is, by the word of the program that embeds the relay: by the session that its users have anyway."""

import asyncio
import math
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import web

from relay.errors import Unavailable
from relay.ids import Profile
from relay.signaling.calls.faults import Faults

PATIENCE: Final = 5.0
"""Seconds that a request waits to be told whose it is."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking, and for how long that is so."""

    profile: Profile
    expires_at: float = math.inf
    """Seconds since the epoch: WebSockets end then. Infinite: they do not, for that."""
    issued_at: float | None = None
    """Seconds since the epoch: when the session began. None: not known; any revocation by `/api/admin` concerns it then."""


class Identification(Protocol):
    """Knows the embedding program's own sessions."""

    async def identify(self, request: web.Request) -> Identity | None:
        """Who sends a request, as its cookies and headers say. None: no session; the relay's own cookie is looked at then.

        Is not asked if the request has a token, in its header or its address.
        """
        ...


class Identifier:
    """Asks it, for so long and no longer."""

    def __init__(self, identification: Identification, faults: Faults, patience: float = PATIENCE) -> None:
        self._identification = identification
        self._faults = faults
        self._patience = patience

    async def identify(self, request: web.Request) -> Identity | None:
        """Who sends the request; None if that is nobody known.

        Raises:
            Unavailable: it cannot be found out now.
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

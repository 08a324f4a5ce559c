"""Tickets: they open the files of one recording for a while, in a URL.

A `<video>`, a frame and a download of a page cannot send a header, and the service token must not be in a URL.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from typing import Final

from aiohttp import web

from relay.errors import Unauthorized
from relay.http.access.auth import checking_credential
from relay.http.access.service_token import ServiceToken, platform_only
from relay.http.limits import HttpLimits

LIFETIME: Final = 3600
"""Seconds: as long as it takes to watch a lesson. URLs end up in logs."""

_TICKET: Final = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})")


class Tickets:
    """Makes and checks them. None is stored: the secret, the recording and the time are in each.

    Args:
        secret: the service token; empty: there are no tickets.
        now: seconds since 1970.
    """

    def __init__(self, secret: str, now: Callable[[], float] = time.time) -> None:
        self._key = hashlib.sha256(b"relay recording ticket" + secret.encode()).digest() if secret else b""
        self._now = now

    def issue(self, recording_id: str) -> tuple[str, int]:
        """A ticket, and when it ends: seconds since 1970."""
        ends = int(self._now()) + LIFETIME
        return f"{ends}.{self._signature(recording_id, ends)}", ends

    def opens(self, ticket: str, recording_id: str) -> bool:
        match = _TICKET.fullmatch(ticket)
        if match is None or not self._key or int(match[1]) <= self._now():
            return False
        return hmac.compare_digest(match[2], self._signature(recording_id, int(match[1])))

    def _signature(self, recording_id: str, ends: int) -> str:
        return hmac.new(self._key, f"{recording_id} {ends}".encode(), hashlib.sha256).hexdigest()


async def platform_or_ticket(request: web.Request, *, service_token: ServiceToken, limits: HttpLimits, tickets: Tickets) -> None:
    """Let the platform in, and who has a ticket for the recording of the path.

    Raises:
        Unauthorized: the request has neither.
    """
    ticket = request.query.get("ticket")
    if ticket is None:
        await platform_only(request, service_token=service_token, limits=limits)
        return
    with checking_credential(request, limits):
        if not tickets.opens(ticket, request.match_info["recording_id"]):
            raise Unauthorized("the ticket is not good for this recording, or not any more")

"""`GET /ws/{profile_id}/{profile_type}`: the WebSocket that carries the calls."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import WSCloseCode, web

from relay.http.access.auth import SUBPROTOCOL, Credential, HttpAuthenticator
from relay.http.access.revocations import Revocations
from relay.http.api import Access, Operation, Parameter, get
from relay.http.proxies import remote_address
from relay.http.responses import OUTAGE_RETRY, problem
from relay.records.profiles import ProfileCard
from relay.settings.http import HttpSettings
from relay.signaling.calls.enforcement import CREDENTIAL_OVER
from relay.signaling.calls.service import Calls
from relay.signaling.ports import Directory
from relay.signaling.presence.websocket import WebSocketConnection

LONGEST_WAIT: Final = 30 * 86_400.0
"""Seconds. A credential that lasts longer than this ends its connection then all the same: event loops have a longest timer."""


class OpenSockets:
    """Every open WebSocket and what it was opened with: to close them at the end, or when that is revoked."""

    def __init__(self) -> None:
        self._opened: dict[WebSocketConnection, Credential] = {}

    @contextlib.asynccontextmanager
    async def registered(
        self, connection: WebSocketConnection, credential: Credential, who: HttpAuthenticator
    ) -> AsyncIterator[bool]:
        """Around the life of an open WebSocket.

        Whether its credential is still good: it may have been revoked during the upgrade.
        """
        self._opened[connection] = credential
        try:
            good = not who.is_revoked(credential)
            if not good:
                connection.drop(CREDENTIAL_OVER, "the credential was revoked")
            yield good
        finally:
            del self._opened[connection]
            await connection.close()

    def drop_revoked(self, revocations: Revocations) -> None:
        """Close those whose credential is not good any more."""
        for connection, credential in self._opened.items():
            if revocations.revokes(credential.profile, credential.issued_at):
                connection.drop(CREDENTIAL_OVER, "the credential was revoked")

    async def close_all(self) -> None:
        """The server stops; the calls have ended before."""
        # All at once: one that does not read takes a second to give up.
        await asyncio.gather(*(one.close(WSCloseCode.GOING_AWAY, "the server is shutting down") for one in self._opened))


OPEN_SOCKETS: Final = web.AppKey("open_sockets", OpenSockets)


async def connect(
    request: web.Request,
    *,
    who: HttpAuthenticator,
    calls: Calls,
    directory: Directory,
    sockets: OpenSockets,
    settings: HttpSettings,
) -> web.StreamResponse:
    credential = await who.signed_in(request)
    profile = credential.profile
    if f"{request.match_info['profile_type']}_{request.match_info['profile_id']}" != profile.key:
        return problem(403, "forbidden", f"the credential is that of {profile.key}")
    # A party of a call comes back to it; for everything else there is another server, or this one in a moment.
    if not calls.accepting and calls.card_in_call(profile) is None:
        refusal = problem(503, "unavailable", "the server is about to stop; come back in a moment")
        refusal.headers["Retry-After"] = str(OUTAGE_RETRY)
        return refusal
    connection = WebSocketConnection(
        profile.key, (SUBPROTOCOL,), settings.ping_interval, on_overdue=lambda: calls.refused.update(["unfinished"])
    )
    if not connection.response.can_prepare(request).ok:
        return problem(426, "upgrade_required", "this address is a WebSocket")
    # A party of a call can reconnect while the database is away: the call has its card.
    card = calls.card_in_call(profile) or await directory.profile(profile)
    card = card or ProfileCard(profile, "", "")
    resume = request.query.get("resume", "")
    # A device that resumes takes no new slot. Its token is only checked later, so `resume` allows one device more here.
    if await calls.devices_of(profile) >= settings.max_devices + bool(resume):
        return problem(429, "too_many_devices", "this profile has too many connections")
    await connection.open(request, remote_address(request))
    async with sockets.registered(connection, credential, who) as good:
        if good:
            await _serve(request, card, credential, connection, calls)
    return connection.response


async def _serve(
    request: web.Request, card: ProfileCard, credential: Credential, connection: WebSocketConnection, calls: Calls
) -> None:
    device = await calls.connect(
        card,
        connection,
        version=2 if request.query.get("version") == "2" else 1,
        resume=request.query.get("resume", ""),
        last_seq=_number(request.query.get("last_seq", "")),
        issued_at=credential.issued_at,
        takes=request.query.get("takes", "").split(","),
    )
    left = min(max(0.0, credential.expires_at - time.time()), LONGEST_WAIT)
    expiry = asyncio.get_running_loop().call_later(left, connection.drop, CREDENTIAL_OVER, "the credential has expired")
    try:
        while (frame := await connection.receive()) is not None:
            await calls.receive(device, frame)
    finally:
        expiry.cancel()
        await calls.disconnected(device, connection)


def _number(text: str) -> int:
    """A count that a client gives; 0 if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


UPGRADE: Final = {
    403: "`foreign_origin`: a page of another site. `forbidden`: the credential is another profile's.",
    426: "`upgrade_required`: the request does not ask for a WebSocket.",
}

ROUTES: Final = [
    get(
        r"/ws/{profile_id:\d+}/{profile_type:\w+}",
        connect,
        Operation(
            "Opens the WebSocket that carries the profile's calls (RFC 6455). Its messages are those of `docs/protocol.md`: JSON "
            "objects with a `type`, one in each text frame.",
            status=101,
            query=(
                Parameter("version", str, "`2`: the client speaks protocol version 2."),
                Parameter("resume", str, "The token of an earlier connection: the client is the same device again."),
                Parameter("last_seq", str, "With `resume`: the highest `seq` that arrived."),
                Parameter("takes", str, "Message types that the client asks for beyond those of its version, with commas."),
            ),
            errors={
                **UPGRADE,
                429: "`too_many_requests`, or `too_many_devices`: the profile has too many connections.",
                503: "`unavailable`: the database is away, or the server is about to stop, and the profile is in no call.",
            },
            access=Access.SOCKET,
        ),
    ),
]

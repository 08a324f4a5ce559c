"""`GET /ws/{profile_id}/{profile_type}`: the WebSocket that carries the calls."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from aiohttp import WSCloseCode, web

from relay.http.auth import SUBPROTOCOL, signed_in
from relay.http.directory import DIRECTORY
from relay.http.responses import problem
from relay.signaling.calls import Calls
from relay.signaling.io.websocket import WebSocketDevice
from relay.signaling.messages import Welcome, encode
from relay.signaling.notices import milliseconds
from relay.signaling.ports import ProfileCard

CALLS: Final = web.AppKey("calls", Calls)
DEVICES: Final = web.AppKey("devices", set[WebSocketDevice])
"""Every open WebSocket, to close them all at the end."""


async def connect(request: web.Request) -> web.StreamResponse:
    profile = signed_in(request)
    if f"{request.match_info['profile_type']}_{request.match_info['profile_id']}" != profile.key:
        return problem(403, "forbidden", f"the credential is that of {profile.key}")
    device = WebSocketDevice(profile, (SUBPROTOCOL,))
    if not device.response.can_prepare(request).ok:
        return problem(426, "upgrade_required", "this address is a WebSocket")
    card = await request.app[DIRECTORY].profile(profile) or ProfileCard(profile, "", "")
    await device.open(request)
    request.app[DEVICES].add(device)
    try:
        device.send(encode(_welcome(device, card)))
        await _serve(request.app[CALLS], device)
    finally:
        request.app[DEVICES].discard(device)
        await device.close()
    return device.response


def _welcome(device: WebSocketDevice, card: ProfileCard) -> Welcome:
    return Welcome(
        profile_id=card.profile.profile_id,
        profile_type=card.profile.profile_type,
        name=card.name,
        avatar=card.avatar,
        device_id=device.device_id,
        server_time=milliseconds(datetime.now(UTC)),
    )


async def _serve(calls: Calls, device: WebSocketDevice) -> None:
    try:
        await calls.connected(device)
        while (frame := await device.receive()) is not None:
            await calls.receive(device, frame)
    finally:
        await calls.disconnected(device)


async def close_all(app: web.Application) -> None:
    """Signal handler for `on_shutdown`, after the calls have ended."""
    # All at once: one that does not read takes a second to give up.
    await asyncio.gather(*(one.close(WSCloseCode.GOING_AWAY, b"the server is shutting down") for one in app[DEVICES]))


ROUTES: Final = [web.get(r"/ws/{profile_id:\d+}/{profile_type:\w+}", connect)]

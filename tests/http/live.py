"""A call in progress, between WebSockets without media."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from relay.ids import Profile
from tests.http.conftest import socket_of
from tests.http.records import DANIEL, MAYA
from tests.signaling.people import answer, invitation

Socket = aiohttp.ClientWebSocketResponse


async def heard(socket: Socket, kind: str) -> dict[str, Any]:
    """The next message of that type."""
    while True:
        message = await socket.receive_json(timeout=20)
        if message["type"] == kind:
            return dict(message)


@contextlib.asynccontextmanager
async def talking(http: aiohttp.ClientSession) -> AsyncIterator[tuple[Socket, Socket]]:
    """Maya has called Daniel, and he has answered: their sockets."""
    async with socket_of(http, MAYA) as caller, socket_of(http, DANIEL) as callee:
        await caller.send_str(invitation(Profile.parse(DANIEL)))
        await heard(callee, "call_invitation")
        await callee.send_str(answer())
        await heard(caller, "call_answer")
        yield caller, callee

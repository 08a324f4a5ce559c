"""The WebSocket of a device that breaks, and breaks again as soon as it is back."""

import asyncio

import aiohttp
from aiohttp import web
from yarl import URL

from relay.client.connection import ServerMessage, SignalingSocket
from relay.client.signin import SignedIn
from relay.ids import Profile
from tests.kit.wait import eventually

LARGE = 6 * 1024 * 1024
"""Bytes: more than the kernel takes at once for a server that does not read."""

WELCOME = {"type": "welcome", "resume": "token", "resume_seconds": 30.0}


class Server:
    """Takes WebSockets, and breaks the second one in the middle of the second message that comes by it."""

    def __init__(self) -> None:
        self.connections = 0
        self.heard: list[str] = []
        self.first: web.WebSocketResponse | None = None

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        self.connections += 1
        breaks = self.connections == 2
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        self.first = self.first or socket
        await socket.send_json({**WELCOME, "resumed": self.connections > 1})
        async for frame in socket:
            self.heard.append(str(frame.json()["type"]))
            if breaks:
                assert request.transport is not None
                request.transport.abort()
                break
        return socket


async def test_what_waits_for_a_connection_that_breaks_in_turn_goes_by_the_next() -> None:
    server = Server()
    app = web.Application()
    app.add_routes([web.get("/ws/{id}/{type}", server.connect)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    heard: list[ServerMessage] = []
    gone: list[str] = []
    try:
        await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()

        may_come_back = asyncio.Event()

        async def access() -> SignedIn:
            if server.connections:
                await may_come_back.wait()
            return SignedIn(URL(f"{site.name}/"), "token", ())

        async with aiohttp.ClientSession() as http:
            person = Profile("student", 1)
            device = SignalingSocket(http, person, access, heard.append, lambda _: None, lambda: gone.append("lost"))
            await device.open()
            assert server.first is not None
            await server.first.close()
            await eventually(lambda: device._socket is not None and device._socket.closed, "it is lost")
            for message in ({"type": "one"}, {"type": "two", "text": "x" * LARGE}, {"type": "three"}):
                await device.send(message)
            may_come_back.set()
            await eventually(lambda: len(server.heard) == 3 or gone, "all arrives")
            assert (server.heard, server.connections, gone) == (["one", "two", "three"], 3, [])
            await device.close()
    finally:
        await runner.cleanup()

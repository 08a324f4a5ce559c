"""One WebSocket, with a real peer at its other end."""

import asyncio
import base64
import contextlib
import json
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from relay.signaling.messages.incoming import MAX_FRAME_LENGTH
from relay.signaling.presence.outbox import MAX_FRAMES
from relay.signaling.presence.websocket import HARD_LIMIT, MESSAGE_TIMEOUT, OUTGOING_LIMIT, WebSocketConnection
from tests.kit.garbage import garbage_of
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually
from tests.signaling.people import STUDENT

PATIENCE = 8.0
"""Seconds until a device that is told to go must be gone; only ever used up by a test that fails."""


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)


class Line:
    """A server that opens a connection for everyone who comes.

    Attributes:
        connections: all that came, oldest first.
        heard: what each of them said.
        over: the connections that are over.
        message_timeout: of the connections that come from here on.
    """

    def __init__(self) -> None:
        self.connections: list[WebSocketConnection] = []
        self.heard: dict[WebSocketConnection, list[str | bytes]] = {}
        self.over: set[WebSocketConnection] = set()
        self.host, self.port = "127.0.0.1", 0
        self.message_timeout = MESSAGE_TIMEOUT

    async def serve(self, request: web.Request) -> web.StreamResponse:
        connection = WebSocketConnection(STUDENT.key, message_timeout=self.message_timeout)
        await connection.open(request, "203.0.113.7")
        self.connections.append(connection)
        heard = self.heard[connection] = []
        try:
            while (frame := await connection.receive()) is not None:
                heard.append(frame)
        finally:
            self.over.add(connection)
            await connection.close()
        return connection.response

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, WebSocketConnection]]:
        """A peer that reads, and the connection to it."""
        async with aiohttp.ClientSession() as http, http.ws_connect(f"http://{self.host}:{self.port}/", max_msg_size=0) as socket:
            await eventually(lambda: len(self.connections), "the connection is there")
            yield socket, self.connections[-1]

    @contextlib.asynccontextmanager
    async def deaf_client(self) -> AsyncIterator[WebSocketConnection]:
        """The connection to a peer that stays connected and reads nothing."""
        before = len(self.connections)
        reader, writer = await asyncio.open_connection(self.host, self.port)
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        writer.write(f"GET / HTTP/1.1\r\nHost: relay\r\n{upgrade}Sec-WebSocket-Key: {key}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        await eventually(lambda: len(self.connections) > before, "the connection is there")
        try:
            yield self.connections[-1]
        finally:
            transport.abort()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    app = web.Application()
    app.router.add_get("/", line.serve)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, line.host, 0).start()
    line.port = runner.addresses[0][1]
    yield line
    await runner.cleanup()


async def test_what_is_sent_arrives_in_order_as_text(line: Line) -> None:
    async with line.client() as (socket, connection):
        for number in range(MAX_FRAMES):
            connection.send(b"%d" % number)
        frames = [await socket.receive(timeout=PATIENCE) for _ in range(MAX_FRAMES)]
    assert [(frame.type, frame.data) for frame in frames] == [(WSMsgType.TEXT, str(n)) for n in range(MAX_FRAMES)]


async def test_a_connection_knows_both_of_its_addresses(line: Line) -> None:
    async with line.client() as (_, connection):
        assert (connection.local_address, connection.remote_address) == ("127.0.0.1", "203.0.113.7")


async def test_everything_that_a_device_can_have_missed_fits_into_a_connection_at_once(line: Line) -> None:
    """What is kept for a device that is away is sent again without a pause."""
    async with line.client() as (socket, connection):
        for number in range(MAX_FRAMES + 2):
            connection.send(b"%d" % number)
        frames = [await socket.receive(timeout=PATIENCE) for _ in range(MAX_FRAMES + 2)]
    assert frames[-1].data == str(MAX_FRAMES + 1)


async def test_text_and_binary_frames_are_both_heard(line: Line) -> None:
    async with line.client() as (socket, connection):
        await socket.send_str("text")
        await socket.send_bytes(b"bytes")
        await eventually(lambda: line.heard[connection] == ["text", b"bytes"], "both are heard")


async def test_a_frame_up_to_the_hard_limit_is_heard(line: Line) -> None:
    async with line.client() as (socket, connection):
        await socket.send_bytes(b"x" * (HARD_LIMIT - 1))
        await eventually(lambda: len(line.heard[connection]) == 1, "it is heard")


async def test_a_frame_above_the_hard_limit_ends_the_connection(line: Line) -> None:
    reader, writer = await asyncio.open_connection(line.host, line.port)
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    answer = asyncio.create_task(reader.readexactly(4))
    writer.write(b"\x82\xff" + struct.pack("!Q", HARD_LIMIT + 1) + bytes(4))
    # No more once the answer is there: what a server has not read when it closes makes TCP reset the connection.
    for _ in range(HARD_LIMIT // 4096):
        if answer.done():
            break
        writer.write(bytes(4096))
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        frame = await answer
    assert (frame[0], int.from_bytes(frame[2:], "big")) == (0x88, aiohttp.WSCloseCode.MESSAGE_TOO_BIG)
    await eventually(lambda: line.connections[0] in line.over, "the connection is over")
    writer.close()


async def test_text_that_is_no_utf8_ends_the_connection(line: Line) -> None:
    async with line.client() as (socket, connection):
        await socket.send_frame(b"\xff\xfe", WSMsgType.TEXT)
        frame = await socket.receive(timeout=PATIENCE)
        assert (frame.type, frame.data) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.INVALID_TEXT)
        await eventually(lambda: connection in line.over, "the connection is over")


async def test_what_is_too_long_is_not_kept(line: Line) -> None:
    async with line.client() as (socket, connection):
        await socket.send_str("ä" * 500_000)
        await socket.send_bytes(b"x" * (HARD_LIMIT - 1))
        await socket.send_str("and on")
        await eventually(lambda: len(line.heard[connection]) == 3, "all three are heard")
        assert [len(one) for one in line.heard[connection]] == [MAX_FRAME_LENGTH + 1, MAX_FRAME_LENGTH + 1, 6]


@pytest.mark.parametrize("said", [b"\x81", b"\x81\xfe\xff", b"\x81\x85abcdxx", b"\x01\x80abcd", b"\x01\x80abcd\x89\x80abcd"])
async def test_a_message_that_does_not_come_to_its_end_closes_the_connection(line: Line, said: bytes) -> None:
    line.message_timeout = 0.2
    reader, writer = await upgraded(line)
    writer.write(b"\x81\x84\0\0\0\0good" + said)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    assert b"\x88" in answer
    assert int(aiohttp.WSCloseCode.POLICY_VIOLATION).to_bytes(2) + b"a message did not come" in answer
    [connection] = line.connections
    await eventually(lambda: connection in line.over, "the connection is over")
    assert line.heard[connection] == ["good"]
    writer.transport.abort()


async def upgraded(line: Line) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket, byte by byte."""
    reader, writer = await asyncio.open_connection(line.host, line.port)
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    await eventually(lambda: len(line.connections), "the connection is there")
    return reader, writer


async def test_a_client_that_does_not_wait_for_the_upgrade_is_refused(line: Line) -> None:
    """Its frames would go past the limit."""
    reader, writer = await asyncio.open_connection(line.host, line.port)
    writer.write(UPGRADE + b"\x81\xff" + (HARD_LIMIT - 1).to_bytes(8) + b"mask" + b"x" * 100_000)
    assert b" 400 " in await reader.readuntil(b"\r\n")
    writer.transport.abort()


async def test_what_waits_is_sent_before_the_connection_is_closed(line: Line) -> None:
    async with line.client() as (socket, connection):
        for number in range(100):
            connection.send(b"%d" % number)
        await connection.close(aiohttp.WSCloseCode.GOING_AWAY, "good night")
        frames = [await socket.receive(timeout=PATIENCE) for _ in range(101)]
    assert [frame.data for frame in frames[:-1]] == [str(number) for number in range(100)]
    assert (frames[-1].data, frames[-1].extra) == (aiohttp.WSCloseCode.GOING_AWAY, "good night")


async def test_a_connection_that_is_dropped_is_closed_with_the_code_that_says_why(line: Line) -> None:
    async with line.client() as (socket, connection):
        connection.send(b"last words")
        connection.drop(4409, "resumed elsewhere")
        connection.drop(4401, "too late")
        frames = [await socket.receive(timeout=PATIENCE) for _ in range(2)]
        assert frames[0].data == "last words"
        assert (frames[1].data, frames[1].extra) == (4409, "resumed elsewhere")
        await eventually(lambda: connection in line.over, "the connection is over")


async def test_a_connection_may_be_closed_as_often_as_one_likes(line: Line) -> None:
    async with line.client() as (_, connection):
        await asyncio.gather(connection.close(), connection.close())
        await connection.close()
        connection.send(b"too late")


async def flood(connection: WebSocketConnection) -> None:
    """Send until the network takes no more, and then more than a device may leave unread."""
    for _ in range(4 * OUTGOING_LIMIT):
        connection.send(b"x" * MAX_FRAME_LENGTH)
        await asyncio.sleep(0)


async def test_a_device_that_does_not_read_is_disconnected(line: Line) -> None:
    async with line.deaf_client() as connection:
        await flood(connection)
        await eventually(lambda: connection in line.over, "the connection is over", within=PATIENCE)


async def test_a_device_that_does_not_read_delays_no_other(line: Line) -> None:
    async with line.deaf_client() as deaf, line.client() as (socket, connection):
        await flood(deaf)
        connection.send(b"hello")
        assert await socket.receive_str(timeout=PATIENCE) == "hello"
        await socket.send_str("hello yourself")
        await eventually(lambda: line.heard[connection] == ["hello yourself"], "it is heard")


async def test_a_device_that_does_not_read_can_be_closed(line: Line) -> None:
    """Few messages, but large ones: they fill the network's buffers, not the queue. Shutting down waits for this."""
    async with line.deaf_client() as connection:
        for _ in range(OUTGOING_LIMIT - 1):
            connection.send(b"x" * MAX_FRAME_LENGTH)
        await asyncio.wait_for(connection.close(), PATIENCE)


# -- the whole way ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def relay(no_errors_logged: None, tmp_path: Path) -> AsyncIterator[RunningRelay]:
    async with running_relay(tmp_path, media_host="127.0.0.1") as running:
        yield running


Say = Callable[[], Awaitable[object]]


async def test_a_frame_is_judged_by_what_it_says_and_not_by_its_kind(relay: RunningRelay) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(relay.url, cookie_jar=jar) as http:
        await http.post("/api/dev/login", json=STUDENT._asdict())
        async with http.ws_connect("/ws/456/student") as socket:
            assert (await socket.receive_json(timeout=PATIENCE))["type"] == "welcome"
            hang_up = json.dumps({"type": "call_ended", "conversation_id": 123})
            says: list[tuple[Say, str]] = [
                (lambda: socket.send_str(hang_up), "no_call"),
                (lambda: socket.send_bytes(hang_up.encode()), "no_call"),
                (lambda: socket.send_bytes(b"\xff\x00"), "malformed"),
                (lambda: socket.send_str(""), "malformed"),
                (lambda: socket.send_str("x" * (MAX_FRAME_LENGTH + 1)), "too_large"),
                (lambda: socket.send_str("x" * 2**20), "too_large"),
            ]
            for say, code in says:
                await say()
                assert (await socket.receive_json(timeout=PATIENCE))["code"] == code
            assert (await relay.counters())["relay_devices"] == 1


# -- what is left -----------------------------------------------------------------------------------------------------


async def test_the_garbage_collector_need_not_look_for_connections_that_are_over(line: Line) -> None:
    async def connection() -> None:
        async with line.client() as (socket, connection):
            connection.send(b"{}")
            await socket.receive()
            await socket.send_str("hello")
        await eventually(lambda: connection in line.over, "the connection is over")
        await connection.close()
        line.connections.clear()
        line.heard.clear()
        line.over.clear()

    left = await garbage_of(connection, 5)
    # The client is in this process too, and is not looked at.
    assert not [kind for kind in left if kind.startswith(("relay.", "aiohttp.web"))], left

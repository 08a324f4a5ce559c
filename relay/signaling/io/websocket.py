"""One WebSocket of a client."""

import asyncio
import contextlib
import logging
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from relay.signaling.outbox import MAX_FRAMES

logger = logging.getLogger(__name__)

HARD_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of one frame. Above `incoming.MAX_FRAME_LENGTH` a frame is answered with an error; above this the connection is closed,
since reading on would only cost memory."""

OUTGOING_LIMIT: Final = MAX_FRAMES + 256
"""Messages that wait for a client. One that does not read them is disconnected: it will come back, and others must not wait. All
that was kept for a device that comes back is sent at once, so it must fit."""

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that a client gets to read what waits for it, and as many to close its side, before it is cut off."""


class WebSocketConnection:
    """`relay.signaling.ports.Connection` over an aiohttp WebSocket.

    Args:
        name: of whoever is behind it, for the log.
        ping_interval: seconds between pings; a client that does not answer within half of it is gone.
    """

    def __init__(self, name: str, subprotocols: tuple[str, ...] = (), ping_interval: float = 20.0) -> None:
        self.local_address: str | None = None
        self.remote_address: str | None = None
        self.response = web.WebSocketResponse(
            max_msg_size=HARD_LIMIT, heartbeat=ping_interval, protocols=subprotocols, compress=False, timeout=CLOSE_TIMEOUT
        )
        self._name = name
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(OUTGOING_LIMIT)
        self._writer: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._overflow = False
        self._transport: asyncio.Transport | None = None

    async def open(self, request: web.Request, remote_address: str | None) -> None:
        """Upgrade the request of a client that is at that address."""
        await self.response.prepare(request)
        self.remote_address = remote_address
        self._transport = request.transport
        if request.transport is not None:
            name = request.transport.get_extra_info("sockname")
            self.local_address = name[0] if name else None
        self._writer = asyncio.get_running_loop().create_task(self._write())

    def send(self, frame: bytes) -> None:
        if self._overflow:
            return
        try:
            self._outgoing.put_nowait(frame)
        except asyncio.QueueFull:
            logger.warning("a device of %s does not read its messages; it is disconnected", self._name)
            self._overflow = True
            self._abort()

    def drop(self, code: int, reason: str) -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(code, reason.encode()))

    async def receive(self) -> str | bytes | None:
        """The next frame, or None when the connection is over."""
        message = await self.response.receive()
        if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
            frame: str | bytes = message.data
            return frame
        return None

    async def close(self, code: int = WSCloseCode.OK, reason: str = "") -> None:
        """Send what waits, close the connection and free everything."""
        self.drop(code, reason)
        assert self._closing is not None, "drop closes"
        await self._closing

    async def _close(self, code: int, reason: bytes) -> None:
        if self._writer is not None and not self.response.closed:
            try:
                await asyncio.wait_for(self._outgoing.join(), CLOSE_TIMEOUT)
            except TimeoutError:
                self._abort()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self.response.close(code=code, message=reason)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _write(self) -> None:
        while True:
            frame = await self._outgoing.get()
            # A connection that breaks here is noticed by `receive`; what was to be said is then void.
            with contextlib.suppress(ConnectionError):
                await self.response.send_frame(frame, WSMsgType.TEXT)
            self._outgoing.task_done()

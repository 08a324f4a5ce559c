"""One WebSocket: a device of a profile."""

import asyncio
import contextlib
import logging
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from relay.ids import Profile, new_id

logger = logging.getLogger(__name__)

HARD_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of one frame. Above `messages.MAX_FRAME_LENGTH` a frame is answered with an error; above this the connection is closed,
since reading on would only cost memory."""

OUTGOING_LIMIT: Final = 256
"""Messages that wait for a device. One that does not read them is disconnected: it will come back, and others must not wait."""

PING_INTERVAL: Final = 20.0
"""Seconds between pings; a device that does not answer within half of it is gone."""


class WebSocketDevice:
    """`relay.signaling.ports.Device` over an aiohttp WebSocket."""

    def __init__(self, profile: Profile, subprotocols: tuple[str, ...] = ()) -> None:
        self.device_id = new_id()
        self.profile = profile
        self.reached_address: str | None = None
        self.response = web.WebSocketResponse(
            max_msg_size=HARD_LIMIT, heartbeat=PING_INTERVAL, protocols=subprotocols, compress=False
        )
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(OUTGOING_LIMIT)
        self._writer: asyncio.Task[None] | None = None
        self._overflow = False
        self._transport: asyncio.Transport | None = None

    async def open(self, request: web.Request) -> None:
        """Upgrade the request."""
        await self.response.prepare(request)
        self._transport = request.transport
        if request.transport is not None:
            name = request.transport.get_extra_info("sockname")
            self.reached_address = name[0] if name else None
        self._writer = asyncio.get_running_loop().create_task(self._write())

    def send(self, frame: bytes) -> None:
        if self._overflow:
            return
        try:
            self._outgoing.put_nowait(frame)
        except asyncio.QueueFull:
            logger.warning("a device of %s does not read its messages; it is disconnected", self.profile.key)
            self._overflow = True
            self._abort()

    async def receive(self) -> str | bytes | None:
        """The next frame, or None when the connection is over."""
        message = await self.response.receive()
        if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
            frame: str | bytes = message.data
            return frame
        return None

    async def close(self, code: int = WSCloseCode.OK, reason: bytes = b"") -> None:
        """Send what waits, close the connection and free everything."""
        if self._writer is not None and not self.response.closed:
            try:
                await asyncio.wait_for(self._outgoing.join(), 1.0)
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

"""One WebSocket of a client."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final, cast

from aiohttp import WSCloseCode, WSMsgType, web

from relay.signaling.messages.incoming import MAX_FRAME_LENGTH
from relay.signaling.presence.message_limit import MessageLimit
from relay.signaling.presence.outbox import MAX_FRAMES

logger = logging.getLogger(__name__)

HARD_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of one message. Above `incoming.MAX_FRAME_LENGTH` a message is answered with an error, and not kept; above this the
connection is closed."""

MESSAGE_TIMEOUT: Final = 20.0
"""Seconds from the first byte of a message to its last: 64 KB take 17 s at 32 kbit/s."""

OUTGOING_LIMIT: Final = MAX_FRAMES + 256
"""Messages that wait for a client. One that does not read them is disconnected: it will come back, and others must not wait. All
that was kept for a device that comes back is sent at once, so it must fit."""

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that a client gets to read what waits for it, and as many to close its side, before it is cut off."""


class WebSocketConnection:
    """`relay.signaling.ports.Connection` over an aiohttp WebSocket.

    Args:
        name: of its profile, for the log.
        ping_interval: seconds between pings; a client that does not answer within half of it is gone.
        on_overdue: called when a message has not come to its end in time; the connection is closed.
        message_timeout: as of `MESSAGE_TIMEOUT`.
    """

    def __init__(
        self,
        name: str,
        subprotocols: tuple[str, ...] = (),
        ping_interval: float = 20.0,
        on_overdue: Callable[[], None] = lambda: None,
        message_timeout: float = MESSAGE_TIMEOUT,
    ) -> None:
        self.local_address: str | None = None
        self.remote_address: str | None = None
        self.response = web.WebSocketResponse(
            max_msg_size=HARD_LIMIT,
            heartbeat=ping_interval,
            protocols=subprotocols,
            compress=False,
            timeout=CLOSE_TIMEOUT,
            decode_text=False,  # a message that is too long is cut off, maybe within a character
        )
        self._on_overdue = on_overdue
        self._message_timeout = message_timeout
        self._name = name
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(OUTGOING_LIMIT)
        self._writer: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._overflow = False
        self._transport: asyncio.Transport | None = None
        self._protocol: Any = None

    async def open(self, request: web.Request, remote_address: str | None) -> None:
        """Upgrade the request of a client that is at that address.

        Raises:
            HTTPBadRequest: it does not wait for the answer.
        """
        transport = request.transport
        # RFC 6455 section 4.1: the client waits. What it has sent already would go past the limit. (A private name.)
        if getattr(request.protocol, "_message_tail", b""):
            raise web.HTTPBadRequest(text="nothing may be sent before the upgrade is answered")
        if transport is not None:
            inner = cast(asyncio.Protocol, transport.get_protocol())
            transport.set_protocol(_Limited(inner, self._overdue, self._message_timeout))
        await self.response.prepare(request)
        self.remote_address = remote_address
        self._transport, self._protocol = request.transport, request.protocol
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
        data: bytes = message.data
        if message.type is WSMsgType.BINARY:
            return data
        if message.type is not WSMsgType.TEXT:
            return None
        if len(data) > MAX_FRAME_LENGTH:
            return data
        try:
            return data.decode()
        except UnicodeDecodeError:  # RFC 6455 section 8.1
            await self.close(WSCloseCode.INVALID_TEXT, "not UTF-8")
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
            # Its error knows the frame in which it was raised, and that this connection: a cycle, which only the garbage
            # collector would find.
            self._writer = None
        await self.response.close(code=code, message=reason)
        # By this, which is called for data, aiohttp's protocol keeps the response, which keeps the request, which keeps the
        # protocol: another cycle, with all that was known of the connection. A version without this private name works, too.
        protocol, self._protocol = self._protocol, None
        if hasattr(protocol, "_data_received_cb"):
            protocol._data_received_cb = None

    def _overdue(self) -> None:
        self._on_overdue()
        self.drop(WSCloseCode.POLICY_VIOLATION, f"a message did not come within {self._message_timeout:g} s")

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


class _Limited(asyncio.Protocol):
    """Stands before the protocol that reads frames, and keeps from it what is beyond the limit.

    Args:
        on_overdue: called once, when a message takes too long.
        timeout: seconds that one may take.
    """

    def __init__(self, inner: asyncio.Protocol, on_overdue: Callable[[], None], timeout: float) -> None:
        self._inner = inner
        self._timeout = timeout
        self._on_overdue = on_overdue
        self._limit = MessageLimit(MAX_FRAME_LENGTH, HARD_LIMIT)
        self._finished = 0
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        kept = self._limit.feed(data)
        if self._limit.finished != self._finished or not self._limit.is_unfinished:
            self._stop()
            self._finished = self._limit.finished
        if self._limit.is_unfinished and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._timeout, self._on_overdue)
        self._inner.data_received(kept)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._inner.connection_lost(exc)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

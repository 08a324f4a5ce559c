"""The WebSocket of a device: messages in and out, and the device's coming back when it is lost."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import aiohttp

from relay.client.errors import Disconnected, Refused, SignInFailed
from relay.client.resumption import Resumption
from relay.client.signin import TIMEOUT, SignedIn
from relay.client.websocket import decoded, open_websocket
from relay.ids import Profile

MAX_UNSENT: Final = 64
"""Messages that wait for the WebSocket to come back."""

ServerMessage = Mapping[str, Any]

Wanted = Callable[[ServerMessage], bool]

_log = logging.getLogger(__name__)


class SignalingSocket:
    """A device's connection to the relay, protocol version 2.

    Args:
        access: gives the base URL and a token that is valid, each time that a connection is made.
        on_message: called with each new message, in order.
        on_welcome: called with whether the device is the same as before; not for the first connection.
        on_gone: called once when the device cannot come back.

    Attributes:
        welcome: the first message of the latest connection.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        profile: Profile,
        access: Callable[[], Awaitable[SignedIn]],
        on_message: Callable[[ServerMessage], None],
        on_welcome: Callable[[bool], None],
        on_gone: Callable[[], None],
    ) -> None:
        self.welcome: ServerMessage = {}
        self._http = http
        self._profile = profile
        self._access = access
        self._on_message = on_message
        self._on_welcome = on_welcome
        self._on_gone = on_gone
        self._resumption = Resumption()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._unsent: list[str] = []
        self._waiting: list[tuple[str, Wanted, asyncio.Future[ServerMessage]]] = []
        self._refs = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Connect for the first time.

        Raises:
            SignInFailed: the relay cannot be reached, or refuses the connection.
        """
        socket = await self._connect()
        self._task = asyncio.create_task(self._run(socket))

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self._socket is not None and not self._socket.closed

    async def close(self) -> None:
        """Disconnect; the device does not come back."""
        self._closed = True
        if self._socket is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT):
                    await self._socket.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._fail_waiting()

    async def lose(self, *, forget: bool = False) -> None:
        """Close the WebSocket as a network would; the device comes back, as a new one with `forget`."""
        if forget:
            self._resumption.forget()
        if self._socket is not None:
            await self._socket.close()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message, or keep it until the device is back.

        Raises:
            Disconnected: the device cannot come back, or too many messages wait.
        """
        text = json.dumps(message)
        if self._socket is not None and not self._socket.closed:
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await self._socket.send_str(text)
                return
        if self._closed or len(self._unsent) >= MAX_UNSENT:
            raise Disconnected("there is no connection to the relay")
        self._unsent.append(text)

    async def ask(self, message: Mapping[str, Any], wanted: Wanted, within: float = 3 * TIMEOUT) -> ServerMessage:
        """Send a message, and wait for the first one that is wanted.

        Raises:
            Refused: an `error` came for the message, or nothing within so many seconds.
            Disconnected: the connection is lost for good.
        """
        self._refs += 1
        ref = f"{message['type']}-{self._refs}"
        future: asyncio.Future[ServerMessage] = asyncio.get_running_loop().create_future()
        entry = (ref, wanted, future)
        self._waiting.append(entry)
        try:
            await self.send({**message, "ref": ref})
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            raise Refused("silent", f"the relay did not answer {message['type']} within {within:g} s") from None
        finally:
            self._waiting.remove(entry)

    # -- receiving ----------------------------------------------------------------------------------------------------

    async def _run(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                async for frame in socket:
                    self._receive(frame)
                if self._closed or not self._resumption.lost(loop.time(), socket.close_code):
                    return
                found = await self._come_back()
                if found is None:
                    return
                socket = found
        finally:
            self._closed = True
            self._fail_waiting()
            self._on_gone()

    def _receive(self, frame: aiohttp.WSMessage) -> None:
        if frame.type is aiohttp.WSMsgType.ERROR:  # none of the relay's: a ping without an answer, say
            _log.info("the connection is lost: %s", frame.data)
            return
        message = decoded(frame)
        if message is None:
            _log.warning("the relay has sent something that is no JSON object")
            return
        if not self._resumption.is_new(message):
            return
        for ref, wanted, future in [*self._waiting]:
            if future.done():
                continue
            if message.get("type") == "error":
                if message.get("ref") == ref:
                    future.set_exception(Refused(str(message.get("code")), str(message.get("message", ""))))
            elif wanted(message):
                future.set_result(message)
        self._on_message(message)

    async def _come_back(self) -> aiohttp.ClientWebSocketResponse | None:
        loop = asyncio.get_running_loop()
        while (delay := self._resumption.delay(loop.time())) is not None:
            await asyncio.sleep(delay)
            try:
                socket = await self._connect(again=True)
            except SignInFailed as failed:
                _log.info("cannot reconnect yet: %s", failed)
                continue
            return socket
        return None

    async def _connect(self, *, again: bool = False) -> aiohttp.ClientWebSocketResponse:
        access = await self._access()
        url = access.base / f"ws/{self._profile.profile_id}/{self._profile.profile_type}"
        socket = await open_websocket(self._http, url.with_query(self._resumption.query), access.token, within=TIMEOUT)
        try:
            welcome = decoded(await socket.receive(TIMEOUT))
        except TimeoutError as error:
            await socket.close()
            raise SignInFailed("silent", "the WebSocket does not begin with a welcome") from error
        if welcome is None or welcome.get("type") != "welcome":
            await socket.close()
            raise SignInFailed("not_relay", "the WebSocket does not begin with a welcome")
        self.welcome = welcome
        resumed = self._resumption.welcomed(welcome)
        self._socket = socket
        if again:
            self._on_welcome(resumed)
            await self._send_unsent(socket)
        return socket

    async def _send_unsent(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Send what has waited for this connection. If it breaks in turn, the rest waits for the next one."""
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            while self._unsent:
                await socket.send_str(self._unsent[0])
                del self._unsent[0]

    def _fail_waiting(self) -> None:
        for _, _, future in self._waiting:
            if not future.done():
                future.set_exception(Disconnected("the connection to the relay is lost"))

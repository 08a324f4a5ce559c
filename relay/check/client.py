"""The client of a relay under test: HTTP, and the WebSocket of the connection test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import aiohttp
import msgspec
from yarl import URL

from relay.check.report import Target
from relay.client.errors import SignInFailed
from relay.client.signin import TIMEOUT, ClientLogin, RelayHttp, SignedIn
from relay.client.websocket import decoded, open_websocket
from relay.ice_servers import IceServer


class HopFailed(Exception):
    """A hop failed.

    Attributes:
        reason, detail: as of `relay.check.report.Result`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class _Message(msgspec.Struct, frozen=True):
    """Any message of the relay on the WebSocket."""

    type: str
    sdp: str = ""
    message: str = ""
    address: str | None = None


def target_of(url: URL) -> Target:
    return Target(url.host or "", url.port or 0)


class RelayClient:
    """
    Args:
        timeout: seconds for one answer.
    """

    def __init__(self, http: aiohttp.ClientSession, *, timeout: float = TIMEOUT) -> None:
        self._http = http
        self._timeout = timeout

    async def sign_in(self, url: URL, credential: ClientLogin) -> SignedIn:
        """As every client does.

        Raises:
            HopFailed: of the page.
        """
        try:
            return await RelayHttp(self._http, timeout=self._timeout).sign_in(url, credential)
        except SignInFailed as failed:
            raise HopFailed(failed.reason, failed.detail) from failed

    @contextlib.asynccontextmanager
    async def connect(self, access: SignedIn) -> AsyncIterator["ProbeSocket"]:
        """Open the WebSocket, and wait until the relay is ready for the test.

        Raises:
            HopFailed: of the WebSocket.
        """
        url = access.base / "ws/connectivity"
        try:
            websocket = await open_websocket(self._http, url, access.token, within=self._timeout, heartbeat=None)
        except SignInFailed as failed:
            raise HopFailed("silent" if failed.reason == "silent" else "upgrade", failed.detail) from failed
        socket = ProbeSocket(websocket, self._timeout)
        try:
            await socket.wait_until_ready()
            yield socket
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeout):
                    await websocket.close()


class ProbeSocket:
    """The WebSocket of the connection test. Made by `RelayClient.connect`.

    Attributes:
        address: the address of this client as the relay sees it; empty if it does not say.
    """

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse, timeout: float) -> None:
        self.address = ""
        self._websocket = websocket
        self._timeout = timeout

    async def wait_until_ready(self) -> None:
        """
        Raises:
            HopFailed: `silent`: nothing came through; `busy`: the relay accepts no test now.
        """
        try:
            first = await self._receive()
        except HopFailed:
            raise HopFailed("silent") from None
        if first.type != "ready":
            raise HopFailed("busy", first.message)
        self.address = first.address or ""

    async def exchange(self, kind: str, sdp: str) -> str:
        """Send an `offer` or an `answer`; returns the relay's description of the same kind.

        Raises:
            HopFailed: `lost`: the WebSocket broke; `unavailable`: the relay refuses it.
        """
        try:
            await self._websocket.send_str(msgspec.json.encode({"type": kind, "sdp": sdp}).decode())
        except (ConnectionError, aiohttp.ClientError):
            raise HopFailed("lost") from None
        message = await self._receive()
        if message.type != kind:
            raise HopFailed("unavailable", message.message)
        return message.sdp

    async def _receive(self) -> _Message:
        try:
            message = await self._websocket.receive(self._timeout)
        except TimeoutError:
            raise HopFailed("lost") from None
        try:
            return msgspec.convert(decoded(message), _Message)
        except msgspec.ValidationError:
            raise HopFailed("lost") from None


def turn_url(servers: Sequence[IceServer], scheme: str, transport: str) -> tuple[Target, IceServer] | None:
    """The first TURN server (RFC 7065) with that scheme and transport.

    Args:
        scheme: `turn` or `turns`.
        transport: `udp` or `tcp`.
    """
    for server in servers:
        for url in server.urls:
            found, _, rest = url.partition(":")
            authority, _, query = rest.partition("?")
            # RFC 7065 section 3.1 leaves the default to RFC 5928: UDP for turn, TCP for turns.
            default = "tcp" if found == "turns" else "udp"
            if (found, query.removeprefix("transport=") or default) != (scheme, transport):
                continue
            host, _, port = authority.rpartition(":") if ":" in authority and not authority.endswith("]") else (authority, "", "")
            if host and (not port or (port.isascii() and port.isdigit() and int(port) < 65536)):
                usual = 5349 if scheme == "turns" else 3478
                return Target(host.strip("[]"), int(port or usual)), server
    return None

"""The client of a relay under test: HTTP, and the WebSocket of the connection test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from relay.check.report import Target
from relay.ice_servers import IceServer

TIMEOUT: Final = 5.0
"""Seconds for one answer."""

MAX_BODY: Final = 64 * 1024
"""Bytes of an answer that are read."""

_ICE_SERVERS: Final = "api/ice-servers"


class HopFailed(Exception):
    """A hop failed.

    Attributes:
        reason, detail: as of `relay.check.report.Result`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ClientLogin:
    """A token, or, in development mode, the profile to log in as."""

    token: str = ""
    profile_type: str = "student"
    profile_id: int = 456


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What signing in gives."""

    base: URL
    """URL of the relay, after redirects; its path ends with a slash."""
    token: str
    ice_servers: tuple[IceServer, ...]


class _IceServers(msgspec.Struct, frozen=True):
    ice_servers: tuple[IceServer, ...]


class _LoggedIn(msgspec.Struct, frozen=True):
    token: str


class _Error(msgspec.Struct, frozen=True):
    code: str
    message: str = ""


class _Problem(msgspec.Struct, frozen=True):
    error: _Error


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
        """Ask for the ICE servers, and log in for that where no token is given and development mode allows it.

        Raises:
            HopFailed: of the page.
        """
        base = url if url.path.endswith("/") else url.with_path(f"{url.path}/")
        token = credential.token
        status, body, reached = await self._request("GET", base / _ICE_SERVERS, token)
        base = reached.with_query(None).with_fragment(None).parent.parent
        base = base if base.path.endswith("/") else base.with_path(f"{base.path}/")
        if status == 401 and not token:
            _problem_in(status, body)
            token = await self._log_in(base, credential)
            status, body, _ = await self._request("GET", base / _ICE_SERVERS, token)
        if status != 200:
            raise _problem_in(status, body)
        return SignedIn(base, token, _decoded(status, body, _IceServers).ice_servers)

    @contextlib.asynccontextmanager
    async def connect(self, access: SignedIn) -> AsyncIterator["ProbeSocket"]:
        """Open the WebSocket, and wait until the relay is ready for the test.

        Raises:
            HopFailed: of the WebSocket.
        """
        url = access.base / "ws/connectivity"
        headers = {"Authorization": f"Bearer {access.token}"}
        try:
            async with asyncio.timeout(self._timeout):
                websocket = await self._http.ws_connect(url, headers=headers)
        except aiohttp.WSServerHandshakeError as error:
            raise HopFailed("upgrade", f"HTTP status {error.status} instead of 101") from error
        except TimeoutError as error:
            raise HopFailed("silent") from error
        except (aiohttp.ClientError, OSError) as error:
            raise HopFailed("upgrade", str(error)[:200]) from error
        socket = ProbeSocket(websocket, self._timeout)
        try:
            await socket.wait_until_ready()
            yield socket
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeout):
                    await websocket.close()

    async def _log_in(self, base: URL, credential: ClientLogin) -> str:
        profile = {"profile_type": credential.profile_type, "profile_id": credential.profile_id}
        status, body, _ = await self._request("POST", base / "api/dev/login", "", profile)
        if status == 404:
            raise HopFailed("unauthorized", "give a token with --token (only development mode logs in without one)")
        if status != 200:
            raise _problem_in(status, body)
        answer: _LoggedIn = _decoded(status, body, _LoggedIn)
        return answer.token

    async def _request(self, method: str, url: URL, token: str, content: object = None) -> tuple[int, bytes, URL]:
        """Status and body of the answer, and the URL that it came from."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._http.request(method, url, headers=headers, json=content) as response,
            ):
                return response.status, await _body(response), response.url
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error) from error


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
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise HopFailed("lost")
        try:
            return msgspec.json.decode(message.data, type=_Message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise HopFailed("lost") from None


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, up to `MAX_BODY`."""
    body = b""
    while len(body) < MAX_BODY and (chunk := await response.content.read(MAX_BODY - len(body))):
        body += chunk
    return body


def _failure(error: Exception) -> HopFailed:
    """Why a request failed. aiohttp's exceptions are subclasses of each other: the order of the cases counts."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            inner = error.certificate_error
            return HopFailed("certificate", getattr(inner, "verify_message", "") or str(inner))
        case aiohttp.ClientSSLError():
            return HopFailed("broken", "the server does not speak TLS")
        case aiohttp.ClientConnectorDNSError():
            return HopFailed("name")
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, ConnectionRefusedError):
            return HopFailed("refused")
        case TimeoutError() | aiohttp.ClientConnectorError():
            return HopFailed("silent")
        case _:
            return HopFailed("broken", str(error)[:200] or type(error).__name__)


def _problem_in(status: int, body: bytes) -> HopFailed:
    """The relay's error answer as a failed hop.

    Raises:
        HopFailed: the answer is not a relay's.
    """
    error = _decoded(status, body, _Problem).error
    return HopFailed("unauthorized" if status in {401, 403} else "broken", error.message or error.code)


def _decoded(status: int, body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        what = "HTML" if body.lstrip()[:1] == b"<" else "unknown content"
        raise HopFailed("not_relay", f"it answers with status {status} and {what}") from None


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

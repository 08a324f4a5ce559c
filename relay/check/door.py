"""The relay's door: its HTTP, and the WebSocket of the test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from relay.check.report import Target

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


class IceServer(msgspec.Struct, frozen=True):
    """What the relay says of a TURN server (RTCIceServer)."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """Who we are. Without a token, development mode lets anybody in."""

    token: str = ""
    profile_type: str = "student"
    profile_id: int = 456


@dataclass(frozen=True, slots=True)
class Entrance:
    """The relay has let us in."""

    base: URL
    """Where it is, after redirects; its path ends with a slash."""
    token: str
    ice_servers: tuple[IceServer, ...]


class _IceServers(msgspec.Struct, frozen=True):
    ice_servers: tuple[IceServer, ...]


class _LoggedIn(msgspec.Struct, frozen=True):
    token: str


class _Error(msgspec.Struct, frozen=True):
    code: str
    message: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error


class _Frame(msgspec.Struct, frozen=True):
    """Any message of the relay on the WebSocket."""

    type: str
    sdp: str = ""
    message: str = ""
    address: str | None = None


def target_of(url: URL) -> Target:
    return Target(url.host or "", url.port or 0)


async def enter(http: aiohttp.ClientSession, url: URL, credential: Credential) -> Entrance:
    """Ask for what a call needs, and log in for it where that is possible.

    Raises:
        HopFailed: of the page.
    """
    base = url if url.path.endswith("/") else url.with_path(f"{url.path}/")
    token = credential.token
    status, body, reached = await _ask(http, "GET", base / _ICE_SERVERS, token)
    base = reached.with_query(None).with_fragment(None).parent.parent
    base = base if base.path.endswith("/") else base.with_path(f"{base.path}/")
    if status == 401 and not token:
        _see_refusal(status, body)
        token = await _log_in(http, base, credential)
        status, body, _ = await _ask(http, "GET", base / _ICE_SERVERS, token)
    if status != 200:
        raise _see_refusal(status, body)
    return Entrance(base, token, _decoded(status, body, _IceServers).ice_servers)


async def _log_in(http: aiohttp.ClientSession, base: URL, credential: Credential) -> str:
    profile = {"profile_type": credential.profile_type, "profile_id": credential.profile_id}
    status, body, _ = await _ask(http, "POST", base / "api/dev/login", "", profile)
    if status == 404:
        raise HopFailed("unauthorized", "give one with --token (it is not in development mode, where anybody may log in)")
    if status != 200:
        raise _see_refusal(status, body)
    answer: _LoggedIn = _decoded(status, body, _LoggedIn)
    return answer.token


async def _ask(http: aiohttp.ClientSession, method: str, url: URL, token: str, content: object = None) -> tuple[int, bytes, URL]:
    """Status, body, and where it came from."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with asyncio.timeout(TIMEOUT), http.request(method, url, headers=headers, json=content) as response:
            return response.status, await _body(response), response.url
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise _failure(error) from error


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, or as much of it as `MAX_BODY`."""
    body = b""
    while len(body) < MAX_BODY and (chunk := await response.content.read(MAX_BODY - len(body))):
        body += chunk
    return body


def _failure(error: Exception) -> HopFailed:
    """Why a request failed, from the most particular to the most general."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            inner = error.certificate_error
            return HopFailed("certificate", getattr(inner, "verify_message", "") or str(inner))
        case aiohttp.ClientSSLError():
            return HopFailed("broken", "no TLS is spoken there")
        case aiohttp.ClientConnectorDNSError():
            return HopFailed("name")
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, ConnectionRefusedError):
            return HopFailed("refused")
        case TimeoutError() | aiohttp.ClientConnectorError():
            return HopFailed("silent")
        case _:
            return HopFailed("broken", str(error)[:200] or type(error).__name__)


def _see_refusal(status: int, body: bytes) -> HopFailed:
    """What a relay says when it does not do something.

    Raises:
        HopFailed: no relay says that.
    """
    error = _decoded(status, body, _Refusal).error
    return HopFailed("unauthorized" if status in {401, 403} else "broken", error.message or error.code)


def _decoded(status: int, body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        what = "HTML" if body.lstrip()[:1] == b"<" else "not what a relay says"
        raise HopFailed("not_relay", f"it answers with status {status} and {what}") from None


class Socket:
    """The WebSocket of the test. Make it with `opened`.

    Attributes:
        address: where the relay sees us; empty if it does not say.
    """

    def __init__(self, frames: aiohttp.ClientWebSocketResponse) -> None:
        self.address = ""
        self._frames = frames

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, http: aiohttp.ClientSession, entrance: Entrance) -> AsyncIterator["Socket"]:
        """
        Raises:
            HopFailed: of the WebSocket.
        """
        url = entrance.base / "ws/connectivity"
        headers = {"Authorization": f"Bearer {entrance.token}"}
        try:
            async with asyncio.timeout(TIMEOUT):
                frames = await http.ws_connect(url, headers=headers)
        except aiohttp.WSServerHandshakeError as error:
            raise HopFailed("upgrade", f"HTTP status {error.status} instead of 101") from error
        except TimeoutError as error:
            raise HopFailed("silent") from error
        except (aiohttp.ClientError, OSError) as error:
            raise HopFailed("upgrade", str(error)[:200]) from error
        made = cls(frames)
        try:
            try:
                first = await made._receive()
            except HopFailed:
                raise HopFailed("silent") from None
            if first.type != "ready":
                raise HopFailed("busy", first.message)
            made.address = first.address or ""
            yield made
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT):
                    await frames.close()

    async def ask(self, kind: str, sdp: str) -> str:
        """Give the relay an `offer` or an `answer`; its own.

        Raises:
            HopFailed: `lost`: the WebSocket has broken; `unavailable`: the relay does not take it.
        """
        try:
            await self._frames.send_str(msgspec.json.encode({"type": kind, "sdp": sdp}).decode())
        except (ConnectionError, aiohttp.ClientError):
            raise HopFailed("lost") from None
        frame = await self._receive()
        if frame.type != kind:
            raise HopFailed("unavailable", frame.message)
        return frame.sdp

    async def _receive(self) -> _Frame:
        try:
            message = await self._frames.receive(TIMEOUT)
        except TimeoutError:
            raise HopFailed("lost") from None
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise HopFailed("lost")
        try:
            return msgspec.json.decode(message.data, type=_Frame)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise HopFailed("lost") from None


def turn_url(servers: Sequence[IceServer], scheme: str, transport: str) -> tuple[Target, IceServer] | None:
    """The first TURN server (RFC 7065) that is reached like that.

    Args:
        scheme: `turn` or `turns`.
        transport: `udp` or `tcp`.
    """
    for server in servers:
        for url in server.urls:
            found, _, rest = url.partition(":")
            place, _, query = rest.partition("?")
            default = "tcp" if found == "turns" else "udp"
            if (found, query.removeprefix("transport=") or default) != (scheme, transport):
                continue
            host, _, port = place.rpartition(":") if ":" in place and not place.endswith("]") else (place, "", "")
            if host and (not port or (port.isascii() and port.isdigit() and int(port) < 65536)):
                usual = 5349 if scheme == "turns" else 3478
                return Target(host.strip("[]"), int(port or usual)), server
    return None

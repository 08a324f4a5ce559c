"""Signing in to a relay over HTTP, and the requests that a client makes besides."""

import asyncio
from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp
import msgspec
from yarl import URL

from relay.client.errors import SignInFailed
from relay.ice_servers import IceServer
from relay.ids import Profile

TIMEOUT: Final = 5.0
"""Seconds for one answer."""

MAX_BODY: Final = 64 * 1024
"""Bytes of an answer that are read."""

MAX_LIST: Final = 4 * 1024 * 1024
"""Bytes of a list of conversations that are read."""

_ICE_SERVERS: Final = "api/ice-servers"

_T = TypeVar("_T")


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


class _Member(msgspec.Struct, frozen=True):
    profile_type: str
    profile_id: int


class _Conversation(msgspec.Struct, frozen=True):
    conversation_id: int
    members: tuple[_Member, ...] = ()


class _Conversations(msgspec.Struct, frozen=True):
    conversations: tuple[_Conversation, ...]


class _MadeConversation(msgspec.Struct, frozen=True):
    conversation_id: int


class RelayHttp:
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
            SignInFailed: it did not work.
        """
        base = url if url.path.endswith("/") else url.with_path(f"{url.path}/")
        token = credential.token
        status, body, reached = await self._request("GET", base / _ICE_SERVERS, token)
        base = reached.with_query(None).with_fragment(None).parent.parent
        base = base if base.path.endswith("/") else base.with_path(f"{base.path}/")
        if status == 401 and not token:
            _problem_in(status, body)
            token = await self.log_in(base, credential)
            status, body, _ = await self._request("GET", base / _ICE_SERVERS, token)
        if status != 200:
            raise _problem_in(status, body)
        return SignedIn(base, token, _decoded(status, body, _IceServers).ice_servers)

    async def conversation_with(self, access: SignedIn, own: Profile, other: Profile) -> int | None:
        """The first conversation that both are in; None: there is none.

        Raises:
            SignInFailed: the relay does not say.
        """
        status, body, _ = await self._request("GET", access.base / "api/conversations", access.token, limit=MAX_LIST)
        if status != 200:
            raise _problem_in(status, body)
        for one in _decoded(status, body, _Conversations).conversations:
            if {own, other} <= {Profile(member.profile_type, member.profile_id) for member in one.members}:
                return one.conversation_id
        return None

    async def new_conversation(self, access: SignedIn, *members: Profile) -> int:
        """Make a conversation between profiles that exist, which only development mode allows.

        Raises:
            SignInFailed: it does not.
        """
        names = [member._asdict() for member in members]
        status, body, _ = await self._request("POST", access.base / "api/dev/conversations", access.token, {"members": names})
        if status != 201:
            raise _problem_in(status, body)
        return _decoded(status, body, _MadeConversation).conversation_id

    async def log_in(self, base: URL, credential: ClientLogin) -> str:
        """A token for a profile, in development mode.

        Raises:
            SignInFailed: it is not development mode, or the relay cannot be reached.
        """
        profile = {"profile_type": credential.profile_type, "profile_id": credential.profile_id}
        status, body, _ = await self._request("POST", base / "api/dev/login", "", profile)
        if status == 404:
            raise SignInFailed("unauthorized", "give a token with --token (only development mode logs in without one)")
        if status != 200:
            raise _problem_in(status, body)
        return _decoded(status, body, _LoggedIn).token

    async def _request(
        self, method: str, url: URL, token: str, content: object = None, *, limit: int = MAX_BODY
    ) -> tuple[int, bytes, URL]:
        """Status and body of the answer, and the URL that it came from."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._http.request(method, url, headers=headers, json=content) as response,
            ):
                return response.status, await _body(response, limit), response.url
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error) from error


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, up to `limit` bytes."""
    body = b""
    while len(body) < limit and (chunk := await response.content.read(limit - len(body))):
        body += chunk
    return body


def _failure(error: Exception) -> SignInFailed:
    """Why a request failed. aiohttp's exceptions are subclasses of each other: the order of the cases counts."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            inner = error.certificate_error
            return SignInFailed("certificate", getattr(inner, "verify_message", "") or str(inner))
        case aiohttp.ClientSSLError():
            return SignInFailed("broken", "the server does not speak TLS")
        case aiohttp.ClientConnectorDNSError():
            return SignInFailed("name")
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, ConnectionRefusedError):
            return SignInFailed("refused")
        case TimeoutError() | aiohttp.ClientConnectorError():
            return SignInFailed("silent")
        case _:
            return SignInFailed("broken", str(error)[:200] or type(error).__name__)


def _problem_in(status: int, body: bytes) -> SignInFailed:
    """The relay's error answer.

    Raises:
        SignInFailed: the answer is not a relay's.
    """
    error = _decoded(status, body, _Problem).error
    return SignInFailed("unauthorized" if status in {401, 403} else "broken", error.message or error.code)


def _decoded(status: int, body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        what = "HTML" if body.lstrip()[:1] == b"<" else "unknown content"
        raise SignInFailed("not_relay", f"it answers with status {status} and {what}") from None

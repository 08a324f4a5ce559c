"""The client behind a reverse proxy, from `X-Forwarded-*`.

The headers count only if they come from a proxy that the operator trusts, since any client can send them. aiohttp-remotes does
not fit: one of its two variants trusts every sender, and the other requires the headers on every request.
"""

import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from relay.settings.notation import parse_networks

logger = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_HOPS: Final = 16
"""The last entries of `X-Forwarded-For` that are read: no chain of proxies is longer."""


@dataclass(frozen=True, slots=True)
class Asker:
    """The client of a request, and the scheme and host that it used."""

    address: str | None
    """A literal; None where there is none, as with a Unix socket."""
    secure: bool
    """The client used https."""
    host: str
    """The client's Host header: name or literal, with a port that is not the default."""
    proxy: str | None = field(default=None, compare=False)
    """The trusted reverse proxy that passed the request on; None: there is none."""


_ASKER: Final = web.RequestKey("asker", Asker)


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a connection from a trusted TCP proxy (PROXY protocol)."""

    address: str
    """A literal."""
    secure: bool
    """The client speaks TLS to the proxy."""


CLIENT: Final = web.RequestKey("client", Client)
"""Set by the server that took the connection; it stands for the connection's own address."""


class Proxies:
    """The reverse proxies in front of this server.

    Args:
        trusted: addresses or networks that they have.
    """

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted = parse_networks(trusted)
        self._warned = False

    def asker(self, request: web.BaseRequest) -> Asker:
        client = request.get(CLIENT)
        remote = request.remote if client is None else client.address
        secure = request.scheme == "https" or (client is not None and client.secure)
        direct = Asker(_literal(remote), secure, request.host)
        peer = _parse(remote)
        if peer is None or not self._trusts(peer):
            self._warn_of_untrusted(request)
            return direct
        address, hops = self._client(_values(request, "X-Forwarded-For"), peer)
        scheme = _of_hop(_values(request, "X-Forwarded-Proto"), hops)
        host = _of_hop(_values(request, "X-Forwarded-Host"), hops)
        secure = scheme.lower() == "https" if scheme else direct.secure
        return Asker(address, secure, host or direct.host, str(peer))

    def _client(self, forwarded: list[str], peer: Address) -> tuple[str, int]:
        """The last address that is not a trusted proxy, and its position from the right.

        Entries left of it are untrusted. An entry that is no address ends the search at the address right of it.
        """
        found, hops = peer, 0
        for text in reversed(forwarded[-_MAX_HOPS:]):
            address = _parse(text)
            if address is None:
                break
            found, hops = address, hops + 1
            if not self._trusts(address):
                break
        return str(found), max(hops, 1)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)

    def _warn_of_untrusted(self, request: web.BaseRequest) -> None:
        if self._warned or "X-Forwarded-For" not in request.headers:
            return
        self._warned = True
        logger.warning(
            "X-Forwarded-For of a request is ignored, because its sender is not in RELAY_TRUSTED_PROXIES; "
            "if there is a reverse proxy, its users share one address's rate limits"
        )

    def middleware(self) -> Middleware:
        """Must run before the callers of `asker_of`."""

        @web.middleware
        async def find_asker(request: web.Request, handler: Handler) -> web.StreamResponse:
            request[_ASKER] = self.asker(request)
            return await handler(request)

        return find_asker


_NO_PROXIES: Final = Proxies()


def asker_of(request: web.BaseRequest) -> Asker:
    """The asker of a request; without the middleware, taken from the connection."""
    asker = request.get(_ASKER)
    return _NO_PROXIES.asker(request) if asker is None else asker


def remote_address(request: web.BaseRequest) -> str | None:
    """The client's own address, as a literal; None where there is none."""
    return asker_of(request).address


def _values(request: web.BaseRequest, name: str) -> list[str]:
    return [part.strip() for line in request.headers.getall(name, ()) for part in line.split(",") if part.strip()]


def _of_hop(values: list[str], hops: int) -> str:
    """The value that the proxy at the client wrote. Some proxies keep one value only, however long the chain."""
    return values[-min(hops, len(values))] if values else ""


def _literal(text: str | None) -> str | None:
    address = _parse(text)
    return None if address is None else str(address)


def _parse(text: str | None) -> Address | None:
    """An address; some proxies write `ADDRESS:PORT` or `[ADDRESS]:PORT`."""
    if not text:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A dual-stack socket sees IPv4 addresses in their IPv6 form.
    return getattr(address, "ipv4_mapped", None) or address

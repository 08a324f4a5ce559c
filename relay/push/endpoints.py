"""Validation of push endpoints. Clients choose them, so they must not reach the server's own network (SSRF)."""

import asyncio
import base64
import binascii
import ipaddress
import socket
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from relay.records.calls import MAX_ENDPOINT_LENGTH

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

RESOLVER_THREADS: Final = 16
"""Names that are resolved at a time, in a pool of threads of their own: a slow name server must not delay other work."""

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""The global unicast addresses in use (RFC 4291 section 2.4, IANA)."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address, to which a NAT64 gateway of this network translates."""

_POINT_LENGTH: Final = 65
"""Bytes of an uncompressed point on P-256: `p256dh`."""
_SECRET_LENGTH: Final = 16
"""Bytes of `auth` (RFC 8291 section 3.2)."""


HTTPS_PORTS: Final = frozenset({443})
"""The ports of the browsers' push services. Others would let clients probe services by way of this server."""


class Forbidden(OSError):
    """The name resolves to an address that is not allowed."""


def is_public(address: Address) -> bool:
    """Whether an address is public: not of this machine, its network, or a reserved range."""
    inner = _inner(address)
    if inner is not None:
        return is_public(inner)
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast


def _inner(address: Address) -> Address | None:
    """The IPv4 address that is embedded in an IPv6 address."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def parse_endpoint(endpoint: str, ports: Container[int] = HTTPS_PORTS) -> URL:
    """Where to send, spelled as the push service spelled it; what the name leads to is seen at each connection.

    Args:
        ports: those that a push service may have.

    Raises:
        ValueError: nothing may be sent there, as far as the text tells.
    """
    problem = "the endpoint is the https URL of a push service"
    if not (endpoint.isascii() and endpoint.isprintable()) or " " in endpoint or len(endpoint) > MAX_ENDPOINT_LENGTH:
        raise ValueError(problem)
    try:
        url = URL(endpoint, encoded=True)
        port = url.port
    except (ValueError, TypeError):
        raise ValueError(problem) from None
    if url.scheme != "https" or not url.host or port not in ports or url.raw_user is not None or url.raw_password is not None:
        raise ValueError(problem)
    # Also 127.1 and 0x7f000001, which are addresses to some: a name does not end in a number (WHATWG URL, host parsing).
    last = url.host.rstrip(".").rpartition(".")[2]
    if ":" in url.host or last[:1].isdigit():
        raise ValueError("a push service has a name, not an address")
    return url


def check_keys(p256dh: str, auth: str) -> None:
    """Check that a message can be encrypted for these keys of a browser.

    Raises:
        ValueError: it cannot.
    """
    try:
        point, secret = _bytes(p256dh), _bytes(auth)
        if len(point) != _POINT_LENGTH or len(secret) != _SECRET_LENGTH:
            raise ValueError
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except (ValueError, binascii.Error):
        raise ValueError("p256dh is a point on P-256 and auth has 16 bytes, both base64url (RFC 8291)") from None


def _bytes(text: str) -> bytes:
    bare = text.rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)


class GuardedResolver(AbstractResolver):
    """Resolves names for the connections to push services, and tells no address that is not allowed. The connection goes to the
    addresses that were looked at, so it does not matter what the name leads to a moment later.

    Args:
        allowed: which addresses are.
    """

    def __init__(self, allowed: Callable[[Address], bool] = is_public) -> None:
        self._allowed = allowed
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="push-resolver")

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """
        Raises:
            Forbidden: none of the addresses is allowed.
            OSError: there is no such name.
        """
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)
        allowed = [one for one in found if self._allowed(ipaddress.ip_address(one["host"]))]
        if found and not allowed:
            raise Forbidden("the name resolves to an address that is not allowed")
        return allowed

    async def close(self) -> None:
        # Without waiting: a lookup cannot be interrupted, and ends by itself.
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    infos: Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int, ...]]]
    infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)  # type: ignore[assignment]
    return [
        # A scope (`fe80::1%eth0`) belongs to addresses that are never public.
        ResolveResult(hostname=host, host=str(where[0]).partition("%")[0], port=port, family=kind, proto=0, flags=_NUMERIC)
        for kind, _, _, _, where in infos
    ]


_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

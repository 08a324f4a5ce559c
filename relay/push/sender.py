"""One attempt to hand a message to a push service (RFC 8030 section 5)."""

import ssl
from collections.abc import Callable, Container
from datetime import datetime
from enum import StrEnum
from typing import Final

import aiohttp

from relay.push.endpoints import HTTPS_PORTS, Address, Forbidden, GuardedResolver, is_public, parse_endpoint
from relay.push.message import PushMessage, encrypt
from relay.push.vapid import VapidKey
from relay.records.calls import PushSubscription

TIMEOUT: Final = 10.0
"""Seconds that an attempt may take."""

IDLE: Final = 60.0
"""Seconds that a connection is kept for the next message. There are few push services, so most connections find a use."""


class Outcome(StrEnum):
    """The outcome of an attempt."""

    ACCEPTED = "accepted"
    GONE = "gone"
    """The subscription has expired (RFC 8030 section 7.3), or its endpoint is not allowed."""
    FAILED = "failed"
    """The push service cannot be reached, or does not take the message now."""


class Sender:
    """Encrypts, signs and sends. Not `WebPusher.send_async` of pywebpush: it follows redirects, to any host, and reads responses
    of any length.

    Args:
        connections: how many at a time.
        allowed: the addresses that may be connected to.
        tls: other certificates than the usual ones to believe.
        ports: those that a push service may have.
        timeout: seconds that an attempt may take, the look-up of the name included.
    """

    def __init__(
        self,
        key: VapidKey,
        connections: int,
        allowed: Callable[[Address], bool] = is_public,
        tls: ssl.SSLContext | None = None,
        ports: Container[int] = HTTPS_PORTS,
        timeout: float = TIMEOUT,
    ) -> None:
        self._key = key
        self._ports = ports
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(allowed),
            use_dns_cache=False,  # it is unbounded, and clients choose the names
            limit=connections,
            keepalive_timeout=IDLE,
            ssl=True if tls is None else tls,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout),
        )

    async def send(self, message: PushMessage, subscription: PushSubscription, now: datetime) -> Outcome:
        """Try once. Connects to allowed addresses only."""
        try:
            url = parse_endpoint(subscription.endpoint, self._ports)
            body = encrypt(message, subscription)
        except ValueError:
            return Outcome.GONE
        headers = {
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(message.ttl(now)),
            "Topic": message.topic,
            "Urgency": message.urgency,
            **self._key.headers(str(url.origin()), now),
        }
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return _outcome(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Outcome.GONE if _is_forbidden(error) else Outcome.FAILED

    async def close(self) -> None:
        await self._session.close()


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome.ACCEPTED
    return Outcome.GONE if status in (404, 410) else Outcome.FAILED


def _is_forbidden(error: BaseException | None) -> bool:
    """Whether the resolver refused the address. aiohttp wraps the errors of resolvers."""
    while error is not None:
        if isinstance(error, Forbidden):
            return True
        error = getattr(error, "os_error", None) or error.__cause__
    return False

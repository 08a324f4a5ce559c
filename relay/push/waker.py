"""Wakes profiles that have no connection: the queue between calls and push services."""

import asyncio
import contextlib
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from relay.clock import Clock
from relay.errors import Unavailable
from relay.ids import Profile
from relay.push.endpoints import HTTPS_PORTS, Address, check_keys, is_public, parse_endpoint
from relay.push.message import PushMessage, missed, ringing
from relay.push.sender import Outcome, Sender
from relay.push.vapid import VapidKey
from relay.records.calls import PushSubscription
from relay.signaling.ports import MissedCallRecord

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 1024
"""Messages in the queue. Further ones are dropped, and the caller gets `offline` for the callee."""

CONNECTIONS: Final = 32
"""Messages that are sent at a time."""

DRAIN: Final = 2.0
"""Seconds at shutdown for the queue: it has the missed calls that the shutdown ended."""


class Subscriptions(Protocol):
    """The stored subscriptions, and the outcomes of deliveries to them."""

    async def of(self, profile: Profile) -> Sequence[PushSubscription]: ...

    async def gone(self, endpoint: str) -> None: ...

    async def delivered(self, endpoint: str, at: datetime) -> None: ...

    async def failed(self, endpoint: str) -> bool:
        """Note a failed delivery; whether the subscription was removed for it."""
        ...


@dataclass(frozen=True, slots=True)
class _QueuedMessage:
    message: PushMessage
    subscription: PushSubscription


class PushWaker:
    """`relay.signaling.ports.Waker` by Web Push; also checks subscriptions before they are stored.

    Args:
        rings_for: seconds that a call rings.
        allowed: whether a connection to an address is allowed.
        tls: trusted certificates in place of the system's.
        ports: the allowed ports of a push service.

    Attributes:
        outcomes: messages by outcome: `accepted`, `gone`, `failed`, `late` (the call has stopped ringing) or `dropped` (the queue
            was full).
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        key: VapidKey,
        rings_for: float,
        *,
        clock: Clock | None = None,
        allowed: Callable[[Address], bool] = is_public,
        tls: ssl.SSLContext | None = None,
        ports: Container[int] = HTTPS_PORTS,
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self._subscriptions = subscriptions
        self._key = key
        self._rings_for = timedelta(seconds=rings_for)
        self._clock = clock or Clock()
        self._allowed = allowed
        self._tls = tls
        self._ports = ports
        self._waiting: asyncio.Queue[_QueuedMessage] = asyncio.Queue(MAX_WAITING)
        self._sender: Sender | None = None
        self._workers: list[asyncio.Task[None]] = []

    @property
    def public_key(self) -> str:
        """`applicationServerKey` of the browsers' PushManager."""
        return self._key.public

    def check(self, endpoint: str, p256dh: str, auth: str) -> None:
        """Check a subscription.

        Raises:
            ValueError: the endpoint or a key is invalid, or the endpoint is not allowed.
        """
        parse_endpoint(endpoint, self._ports)
        check_keys(p256dh, auth)

    async def start(self) -> None:
        sender = self._sender = Sender(self._key, CONNECTIONS, self._allowed, self._tls, self._ports)
        loop = asyncio.get_running_loop()
        self._workers = [loop.create_task(self._work(sender)) for _ in range(CONNECTIONS)]

    async def close(self) -> None:
        """Send the queue for at most `DRAIN` seconds, then stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), DRAIN)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._sender is not None:
            await self._sender.close()

    async def wake(self, call: MissedCallRecord, callee: Profile) -> bool:
        """Queue the message that the call rings; whether a browser of the callee gets it."""
        return await self._post(ringing(call, self._rings_for), callee)

    async def missed(self, call: MissedCallRecord, callee: Profile) -> None:
        """Queue the message that the call was missed."""
        await self._post(missed(call, self._clock.utcnow()), callee)

    async def _post(self, message: PushMessage, to: Profile) -> bool:
        """Queue a message for each of the profile's browsers; whether there is room for any."""
        posted = False
        for subscription in await self._subscriptions.of(to):
            try:
                self._waiting.put_nowait(_QueuedMessage(message, subscription))
                posted = True
            except asyncio.QueueFull:
                self.outcomes["dropped"] += 1
        return posted

    async def _work(self, sender: Sender) -> None:
        while True:
            queued = await self._waiting.get()
            try:
                await self._deliver(sender, queued)
            except Unavailable:
                pass  # The message was sent; only its outcome is not stored with the subscription.
            except Exception:
                logger.exception("a push message could not be accounted for")
            finally:
                self._waiting.task_done()

    async def _deliver(self, sender: Sender, queued: _QueuedMessage) -> None:
        now = self._clock.utcnow()
        if queued.message.ttl(now) <= 0:
            self.outcomes["late"] += 1
            return
        outcome = await sender.send(queued.message, queued.subscription, now)
        self.outcomes[outcome] += 1
        endpoint = queued.subscription.endpoint
        if outcome is Outcome.ACCEPTED:
            await self._subscriptions.delivered(endpoint, self._clock.utcnow())
        elif outcome is Outcome.GONE:
            await self._subscriptions.gone(endpoint)
        else:
            await self._subscriptions.failed(endpoint)

"""Rate limits per profile and per address.

Limits are in the notation of the library `limits`: `100/minute`, `10/second;1000/hour`, or `off`. They are counted in this
process, in windows that begin with the first count, and in bounded memory.

The nodes of a cluster count some of them together (`Tally`). Nothing waits for that: what is within the limit as far as this node
knows is admitted, and what all nodes have counted by then is what it knows from the next time on. So each node may exceed such a
limit by one, and by what it admits within a round trip. While the engine is away, it goes by its own windows.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final

from aiohttp import web
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from relay.errors import RelayError
from relay.http.proxies import remote_address
from relay.ids import Profile
from relay.ip import network_of
from relay.settings.limits import LimitSettings
from relay.settings.notation import parse_limit
from relay.signaling.ports import Action

_SAME_WINDOW: Final = 0.1
"""Two windows whose ends are less apart than this share of their length are the same, as this node and the engine count it."""

MAX_KEYS: Final = 16_384
"""Profiles or addresses that are counted at a time, per window; a further one evicts the oldest. Some 5 MB."""


Tally = Callable[[Mapping[str, int], Callable[[Sequence[tuple[int, float]]], None]], None]
"""Counts one in windows of all nodes: name → length in seconds; and what gets for each the count and the seconds left."""


class TooMany(RelayError):
    """A rate limit is reached.

    Attributes:
        retry_after: whole seconds until the client may retry.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _Windows(Storage):
    """Counts of one window of a limit. The library's own storage in memory has no bound, and sweeps it in a thread of its own.

    All windows are equally long, so the order in which they began is that in which they end.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float], seconds: int) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds
        self._open: dict[str, tuple[float, int]] = {}
        """Key → when the window ends, and the count. Oldest first."""

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = self._clock()
        ends, count = self._open.get(key, (0.0, 0))
        if ends > now:
            self._open[key] = ends, count + amount
            return count + amount
        self._open.pop(key, None)
        self._forget(now)
        self._open[key] = now + expiry, amount
        return amount

    def _forget(self, now: float) -> None:
        # Drop up to two expired windows per new one: they go faster than new ones come, and no call takes long.
        for _ in range(2):
            oldest = next(iter(self._open), None)
            if oldest is None or (self._open[oldest][0] > now and len(self._open) < MAX_KEYS):
                return
            del self._open[oldest]

    def learn(self, key: str, count: int, left: float) -> None:
        """All nodes together have counted that many, in a window that ends in so many seconds."""
        now = self._clock()
        own_ends, own = self._open.get(key, (0.0, 0))
        if own_ends == 0.0:  # it was evicted meanwhile
            self._forget(now)
        elif own_ends > now and abs(own_ends - now - left) < self._seconds * _SAME_WINDOW:
            count = max(own, count)  # more may have been counted here since
        self._open[key] = now + left, count

    def get(self, key: str) -> int:
        ends, count = self._open.get(key, (0.0, 0))
        return count if ends > self._clock() else 0

    def get_expiry(self, key: str) -> float:
        return max(self._open.get(key, (0.0, 0))[0], self._clock())

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        number = len(self._open)
        self._open.clear()
        return number

    def clear(self, key: str) -> None:
        self._open.pop(key, None)


class Limit:
    """One limit, counted per key.

    Args:
        text: in the library's notation, or `off`.
        clock: seconds, from any point on.
        name: of this limit among those that all nodes count together.
        tally: None: this server counts alone.

    Raises:
        ValueError: it is not in the notation.
    """

    def __init__(
        self, text: str, clock: Callable[[], float] = time.monotonic, *, name: str = "", tally: Tally | None = None
    ) -> None:
        self._clock = clock
        self._name = name
        self._tally = tally
        self._counted = tuple((item, _Windows(clock, item.get_expiry())) for item in parse_limit(text))
        self._windows = tuple((item, FixedWindowRateLimiter(windows)) for item, windows in self._counted)

    def admits(self, key: str) -> bool:
        """Count one; whether that is within the limit."""
        # A list, not a generator: every window counts, even if an earlier one is full.
        within = all([window.hit(item, key) for item, window in self._windows])  # noqa: C419
        # What is refused is not told: it would be an attacker's way to Redis.
        if within and self._counted and self._tally is not None:
            lengths = {f"{self._name}:{item.get_expiry()}:{key}": item.get_expiry() for item, _ in self._counted}
            self._tally(lengths, partial(self._learn, key))
        return within

    def _learn(self, key: str, found: Sequence[tuple[int, float]]) -> None:
        for (item, windows), (count, left) in zip(self._counted, found, strict=True):
            windows.learn(item.key_for(key), count, left)

    def reached(self, key: str) -> bool:
        """Whether one more would be beyond the limit. Nothing is counted."""
        return not all(window.test(item, key) for item, window in self._windows)

    def retry_after(self, key: str) -> int:
        """Whole seconds until one more will be within the limit; at least 1."""
        now = self._clock()
        full = (window.get_window_stats(item, key) for item, window in self._windows if not window.test(item, key))
        return max(1, math.ceil(max((stats.reset_time - now for stats in full), default=0.0)))


class HttpLimits:
    """All limits of this server. It is a `relay.signaling.ports.Limiter`.

    Args:
        tally: counts invitations and failed logins for all nodes of a cluster; None: this server is alone. What is more frequent
            each node counts by itself, and what an address does, too, but for failed logins.

    Attributes:
        refused: refusals by each limit, by the name of its setting.
    """

    def __init__(
        self, settings: LimitSettings, clock: Callable[[], float] = time.monotonic, *, tally: Tally | None = None
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._by_profile = {
            Action.MESSAGE: ("messages", Limit(settings.limit_messages, clock)),
            Action.INVITATION: (
                "invitations",
                Limit(settings.limit_invitations, clock, name="invitations", tally=tally),
            ),
        }
        self._by_address = {
            Action.MESSAGE: ("messages_per_address", Limit(settings.limit_messages_per_address, clock)),
            Action.INVITATION: ("invitations_per_address", Limit(settings.limit_invitations_per_address, clock)),
        }
        self._of_address = {
            "requests": Limit(settings.limit_requests, clock),
            "connections": Limit(settings.limit_connections, clock),
        }
        self._beyond = {
            "requests": ("requests_per_profile", Limit(settings.limit_requests_per_profile, clock)),
            "connections": ("connections_per_profile", Limit(settings.limit_connections_per_profile, clock)),
        }
        self._failed_logins = Limit(settings.limit_failed_logins, clock, name="failed_logins", tally=tally)

    def admits(self, action: Action, profile: Profile, address: str | None) -> bool:
        """Count a message or an invitation; whether it is within the limits."""
        name, limit = self._by_profile[action]
        # A refusal by the profile's limit does not count for its address, which others may share.
        admitted = limit.admits(profile.key)
        if admitted and address is not None:
            name, limit = self._by_address[action]
            admitted = limit.admits(_host(address))
        if not admitted:
            self.refused[name] += 1
        return admitted

    def count_failed_login(self, request: web.BaseRequest) -> None:
        """Count a failed login.

        Raises:
            TooMany: the address has too many of them.
        """
        key = _key(request)
        reached = self._failed_logins.reached(key)
        self._failed_logins.admits(key)
        if reached:
            raise self._refusal("failed_logins", self._failed_logins, key)

    def exceeded(self, request: web.BaseRequest) -> str | None:
        """Count a request; the limit that its address exceeds: `requests`, `connections`, or None."""
        key = _key(request)
        if not self._of_address["requests"].admits(key):
            return "requests"
        if _is_upgrade(request) and not self._of_address["connections"].admits(key):
            return "connections"
        return None

    def refusal(self, request: web.BaseRequest, name: str) -> TooMany:
        """The error for a request whose address exceeds the limit of that name."""
        return self._refusal(name, self._of_address[name], _key(request))

    def admit_beyond(self, profile: Profile, name: str) -> None:
        """Count a request of a signed-in profile whose address is beyond the limit of that name: others there may be the reason.

        Raises:
            TooMany: the profile exceeds its own limit too.
        """
        own, limit = self._beyond[name]
        if not limit.admits(profile.key):
            raise self._refusal(own, limit, profile.key)

    def _refusal(self, name: str, limit: Limit, key: str) -> TooMany:
        self.refused[name] += 1
        whose = "of this profile" if name.endswith("_per_profile") else "from this address"
        return TooMany(f"too many requests {whose}; try again later", limit.retry_after(key))


def _is_upgrade(request: web.BaseRequest) -> bool:
    return "websocket" in request.headers.get("Upgrade", "").lower()


def _key(request: web.BaseRequest) -> str:
    return _host(remote_address(request) or "")


@lru_cache(maxsize=8192)
def _host(address: str) -> str:
    """The key of an address: the same for all addresses of one host."""
    try:
        return network_of(address).hex()
    except ValueError:  # a Unix socket, or no address
        return address

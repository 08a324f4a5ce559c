"""How many allocations and unauthenticated messages one profile, one network and all clients together may have."""

from typing import Final

from relay.counting import Holdings, HostCounts
from relay.ip import network_of
from relay.settings.turn import TurnSettings
from relay.turn.refusal import Refusal

UNAUTHENTICATED_PER_SECOND: Final = 200
"""Answers to messages of one host that are not authentic, as each client's first one. More are not answered."""

WINDOW: Final = 1.0
"""Seconds that unauthentic messages are counted for."""

MAX_COUNTED_HOSTS: Final = 10_000
"""Hosts that are counted one by one; more than that are a flood with forged addresses, and share one count."""


class Quotas:
    """How many allocations each user and each network has. Remembers only those that have some."""

    def __init__(self, settings: TurnSettings) -> None:
        self._settings = settings
        self._total = 0
        self._profiles: Holdings[str] = Holdings()
        self._networks: Holdings[bytes] = Holdings()

    def take(self, profile: str, origin: bytes) -> None:
        """Count one more allocation of `profile` from the network `origin`.

        Raises:
            Refusal: 508 or 486; nothing is counted then.
        """
        if self._total >= self._settings.turn_allocations:
            raise Refusal(508, "refused_capacity")
        if (
            self._profiles.of(profile) >= self._settings.turn_allocations_per_profile
            or self._networks.of(origin) >= self._settings.turn_allocations_per_address
        ):
            raise Refusal(486, "refused_quota")
        self._total += 1
        self._profiles.take(profile)
        self._networks.take(origin)

    def give_back(self, profile: str, origin: bytes) -> None:
        """One allocation that `take` counted is gone."""
        self._total -= 1
        self._profiles.give_back(profile)
        self._networks.give_back(origin)


class UnauthenticatedRate:
    """How many messages of each host were not authentic within the present second.

    Datagrams and streams are counted apart: a datagram's source can be forged, and must not shut its victim out of the other.

    Args:
        hosts: that are counted one by one; all others share one count.
    """

    def __init__(self, per_second: int, hosts: int = MAX_COUNTED_HOSTS) -> None:
        self._per_second = per_second
        self._since = 0.0
        self._datagrams, self._streams = HostCounts(hosts), HostCounts(hosts)

    def is_used_up(self, host: str, now: float, *, stream: bool) -> bool:
        """Whether this host's next unauthentic message is one too many."""
        self._roll(now)
        return self._counts(stream).of(network_of(host)) >= self._per_second

    def admits(self, host: str, now: float, *, stream: bool) -> bool:
        """Count an unauthentic message of `host`; whether it may be answered."""
        if self.is_used_up(host, now, stream=stream):
            return False
        self._counts(stream).add(network_of(host))
        return True

    def _counts(self, stream: bool) -> HostCounts:
        return self._streams if stream else self._datagrams

    def _roll(self, now: float) -> None:
        if not 0 <= now - self._since < WINDOW:
            self._since = now
            self._datagrams.clear()
            self._streams.clear()

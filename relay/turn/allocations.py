"""Allocations with their permissions and channels, and when each ends (RFC 8656 sections 6 to 12).

Times are seconds; whatever ends at a moment is over in that moment.
"""

import heapq
import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from relay.turn.messages import CHANNELS, Address
from relay.turn.refusal import Refusal

DEFAULT_LIFETIME: Final = 600
"""Seconds of an allocation whose client asks for less, or for nothing (RFC 8656 section 3.2)."""
MAX_LIFETIME: Final = 3600
"""Seconds that a client can ask for (RFC 8656 section 7.2 recommends an hour)."""
PERMISSION_LIFETIME: Final = 300
"""Seconds (RFC 8656 section 9)."""
CHANNEL_LIFETIME: Final = 600
"""Seconds (RFC 8656 section 12)."""

_SLACK: Final = 64
"""Ends in the heap beyond two per allocation at which those of allocations that are gone are swept out."""


def lifetime(requested: int | None) -> int:
    """Seconds that an allocation gets (RFC 8656 section 7.2)."""
    return DEFAULT_LIFETIME if requested is None else max(DEFAULT_LIFETIME, min(requested, MAX_LIFETIME))


@dataclass(slots=True, eq=False)
class Allocation:
    """One client's. Only media addresses get into permissions and channels, so there are never many."""

    allocation_id: int
    client: Hashable
    username: str
    """The one that it was made with: requests from other addresses do not change it."""
    profile: str
    origin: bytes
    """The network that it counts for."""
    stream: bool
    """The client is behind a stream, which needs padding."""
    relayed: Address
    transaction_id: bytes
    """Of the request that made it, which may come twice (RFC 8656 section 7.2)."""
    answer: bytes
    """What that request was answered with."""
    expires: float
    wakes: float = 0.0
    """Its earliest end in the heap: never after `expires`."""
    _permissions: dict[str, float] = field(default_factory=dict)
    _channels: dict[int, tuple[Address, float]] = field(default_factory=dict)
    _numbers: dict[Address, int] = field(default_factory=dict)

    def permit(self, host: str, now: float) -> None:
        """Let data through from and to `host` for a while, on any port (RFC 8656 section 9)."""
        # Media's addresses may change while an allocation lives: those of before must not pile up.
        self._permissions = {one: end for one, end in self._permissions.items() if now < end}
        self._permissions[host] = now + PERMISSION_LIFETIME

    def permits(self, host: str, now: float) -> bool:
        return now < self._permissions.get(host, now)

    def bind(self, number: int, peer: Address, now: float) -> None:
        """Bind a channel to a peer, or bind it again, and permit the peer (RFC 8656 section 12).

        Raises:
            Refusal: 400: no channel has this number, or it or the peer is bound otherwise.
        """
        for bound, (other, end) in list(self._channels.items()):
            if now >= end:
                del self._channels[bound], self._numbers[other]
        if number not in CHANNELS or self._numbers.get(peer, number) != number:
            raise Refusal(400, "bad_requests")
        if number in self._channels and self._channels[number][0] != peer:
            raise Refusal(400, "bad_requests")
        self._channels[number] = peer, now + CHANNEL_LIFETIME
        self._numbers[peer] = number
        self.permit(peer[0], now)

    def peer_of(self, number: int, now: float) -> Address | None:
        """The peer that a channel is bound to.

        It may send and be sent to for as long, even if its permission was not refreshed: aioice refreshes channels only.
        """
        peer, end = self._channels.get(number, (None, now))
        return peer if now < end else None

    def channel_of(self, peer: Address, now: float) -> int | None:
        """The number of the channel that is bound to a peer."""
        number = self._numbers.get(peer)
        return number if number is not None and now < self._channels[number][1] else None


class Allocations:
    """All allocations, by client and by id, and which ends next."""

    def __init__(self) -> None:
        self._by_client: dict[Hashable, Allocation] = {}
        self._by_id: dict[int, Allocation] = {}
        self._ends: list[tuple[float, int]] = []
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def next_id(self) -> int:
        """Of the allocation to be added next. No id is used twice."""
        return self._next_id

    def of(self, client: Hashable) -> Allocation | None:
        return self._by_client.get(client)

    def get(self, allocation_id: int) -> Allocation | None:
        return self._by_id.get(allocation_id)

    def add(self, allocation: Allocation) -> None:
        assert allocation.allocation_id == self._next_id, "ids are given in order"
        assert allocation.client not in self._by_client, "a client has one allocation (RFC 8656 section 3.2)"
        self._next_id += 1
        self._by_client[allocation.client] = allocation
        self._by_id[allocation.allocation_id] = allocation
        self._wake(allocation)

    def prolong(self, allocation: Allocation, expires: float) -> None:
        """Move its end, in either direction."""
        allocation.expires = expires
        # A later end waits in the heap until the earlier one has come: a client that refreshes all the time adds nothing.
        if expires < allocation.wakes:
            self._wake(allocation)

    def remove(self, allocation: Allocation) -> None:
        del self._by_client[allocation.client]
        del self._by_id[allocation.allocation_id]
        if len(self._ends) > 2 * len(self._by_id) + _SLACK:
            self._ends = [(one.wakes, one.allocation_id) for one in self._by_id.values()]
            heapq.heapify(self._ends)

    def deadline(self) -> float | None:
        """When to look for ends next, which may be too early, or None for never."""
        return self._ends[0][0] if self._ends else None

    def expired(self, now: float) -> list[Allocation]:
        """Those that have ended. The caller removes them."""
        found = []
        while self._ends and self._ends[0][0] <= now:
            wakes, allocation_id = heapq.heappop(self._ends)
            allocation = self._by_id.get(allocation_id)
            if allocation is None or wakes != allocation.wakes:
                continue
            if allocation.expires <= now:
                allocation.wakes = math.inf
                found.append(allocation)
            else:
                self._wake(allocation)
        return found

    def _wake(self, allocation: Allocation) -> None:
        allocation.wakes = allocation.expires
        heapq.heappush(self._ends, (allocation.wakes, allocation.allocation_id))

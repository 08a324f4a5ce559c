"""The connections of one kind, and which of them is closed to make room for another. Sans-IO."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

M = TypeVar("M")

_PROXIES: Final = None
"""The network of all trusted proxies together: many clients are behind one address of theirs, so no bound per network holds."""


@dataclass(slots=True)
class _Network(Generic[M]):
    """Members in the order of their last activity, longest ago first."""

    idle: dict[M, None] = field(default_factory=dict)
    busy: dict[M, None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.idle) + len(self.busy)

    def oldest(self) -> M:
        return next(iter(self.idle or self.busy))


class ConnectionTable(Generic[M]):
    """A new connection always gets a place: where there is none, another one loses it.

    The one that loses it is idle if any is, and the one that has been idle longest within its network. Where the whole table is
    full, that is the network with the most idle connections, so an attacker with few addresses only ever loses its own.

    Args:
        capacity: members in all.
        per_network: members of one network.
    """

    def __init__(self, capacity: int, per_network: int) -> None:
        assert per_network > 0, "each network has room for one"
        self.capacity = capacity
        self.per_network = per_network
        self._network_of: dict[M, bytes | None] = {}
        self._networks: dict[bytes | None, _Network[M]] = {}
        self._idle: dict[M, float] = {}
        """All idle members, and when each became idle, longest ago first."""
        self._by_size: dict[int, dict[bytes, None]] = {}
        """Number of idle members → the networks with so many. Proxies are not among them."""
        self._largest = 0

    def __len__(self) -> int:
        return len(self._network_of)

    def __contains__(self, member: M) -> bool:
        return member in self._network_of

    def __iter__(self) -> Iterator[M]:
        return iter(list(self._network_of))

    def count(self, network: bytes | None) -> int:
        """Members of a network; None: of all trusted proxies."""
        return len(self._networks.get(network, ()))

    def add(self, member: M, network: bytes | None, now: float) -> M | None:
        """Take a new, idle member; the one that must go for it, which is not in the table any more.

        Args:
            network: that it counts for; None: it is a trusted proxy's.
        """
        assert member not in self._network_of, "each connection has one place"
        victim = None
        if network is not _PROXIES and self.count(network) >= self.per_network:
            victim = self._networks[network].oldest()
        elif len(self) >= self.capacity:
            victim = self.expendable()
        if victim is not None:
            self.remove(victim)
        self._network_of[member] = network
        self._enter_idle(member, self._networks.setdefault(network, _Network()), now)
        return victim

    def expendable(self) -> M | None:
        """The member that would go first; None: there is none."""
        if self._largest:
            return self._networks[next(iter(self._by_size[self._largest]))].oldest()
        if self._idle:  # only proxies have idle connections
            return next(iter(self._idle))
        if not self._networks:
            return None
        # All connections are busy. Rare enough to be searched for.
        return max(self._networks.items(), key=lambda one: (one[0] is not _PROXIES, len(one[1])))[1].oldest()

    def remove(self, member: M) -> None:
        """The connection is over, or of another kind now. Does nothing if it is not here."""
        if member not in self._network_of:
            return
        self._leave_idle(member)
        network = self._network_of.pop(member)
        members = self._networks[network]
        members.busy.pop(member, None)
        if not members:
            del self._networks[network]

    def move(self, member: M, network: bytes | None, now: float) -> M | None:
        """A member turns out to count for another network; the one that must go for it."""
        self.remove(member)
        return self.add(member, network, now)

    def active(self, member: M, now: float) -> None:
        """Something has come from it: of the idle ones it is the last to go."""
        if member in self._idle:
            members = self._networks[self._network_of[member]]
            for order in (members.idle, self._idle):
                order.pop(member, None)
            members.idle[member] = None
            self._idle[member] = now

    def set_busy(self, member: M, *, busy: bool, now: float) -> None:
        """Say whether something is being done for it at this moment. Does nothing if it is not here."""
        if member not in self._network_of or (member in self._idle) is not busy:
            return
        members = self._networks[self._network_of[member]]
        if busy:
            self._leave_idle(member)
            members.busy[member] = None
        else:
            del members.busy[member]
            self._enter_idle(member, members, now)

    def idle_since(self, moment: float) -> list[M]:
        """Members that have been idle since then or longer, those of proxies left out."""
        found = []
        for member, since in self._idle.items():
            if since > moment:
                break
            if self._network_of[member] is not _PROXIES:
                found.append(member)
        return found

    # -- inside -------------------------------------------------------------------------------------------------------

    def _enter_idle(self, member: M, members: _Network[M], now: float) -> None:
        members.idle[member] = None
        self._idle[member] = now
        self._resize(self._network_of[member], len(members.idle) - 1, len(members.idle))

    def _leave_idle(self, member: M) -> None:
        if self._idle.pop(member, None) is None:
            return
        network = self._network_of[member]
        members = self._networks[network]
        del members.idle[member]
        self._resize(network, len(members.idle) + 1, len(members.idle))

    def _resize(self, network: bytes | None, before: int, after: int) -> None:
        if network is None:
            return
        if before:
            del self._by_size[before][network]
            if not self._by_size[before]:
                del self._by_size[before]
        if after:
            self._by_size.setdefault(after, {})[network] = None
        # Sizes change by one, so the largest does too.
        if after > self._largest or (before == self._largest and before not in self._by_size):
            self._largest = after

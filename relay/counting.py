"""Counts: by name, per host for a bounded number of hosts, and of what is held at a time."""

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

_Holder = TypeVar("_Holder", bound=Hashable)


class Counters(dict[str, int]):
    """A count per name; adding to a name that is none of `names` is a fault of the relay and raises KeyError."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(names, 0))


class HostCounts:
    """How much each host has done since the last `clear`.

    Hosts beyond the bound share one count, so that a flood with more source addresses than the table has room for is bounded like
    one host's, instead of not at all.

    Args:
        max_hosts: that are counted one by one.
    """

    def __init__(self, max_hosts: int) -> None:
        self._max_hosts = max_hosts
        self._counts: dict[Hashable, int] = {}
        self._others = 0
        """Of every host that there was no room for."""

    def __len__(self) -> int:
        """Hosts that are counted one by one."""
        return len(self._counts)

    def of(self, host: Hashable) -> int:
        """The count that holds for a host at this moment."""
        return self._counts.get(host, 0) if self._has_room(host) else self._others

    def add(self, host: Hashable) -> int:
        """Count one more; the new count."""
        if not self._has_room(host):
            self._others += 1
            return self._others
        count = self._counts[host] = self._counts.get(host, 0) + 1
        return count

    def clear(self) -> None:
        self._counts.clear()
        self._others = 0

    def _has_room(self, host: Hashable) -> bool:
        return len(self._counts) < self._max_hosts or host in self._counts


class Holdings(Generic[_Holder]):
    """How much each has at the moment. Remembers only those that have something."""

    def __init__(self) -> None:
        self._counts: Counter[_Holder] = Counter()

    def __len__(self) -> int:
        """Those that have something."""
        return len(self._counts)

    def of(self, holder: _Holder) -> int:
        return self._counts.get(holder, 0)

    def take(self, holder: _Holder) -> None:
        self._counts[holder] += 1

    def give_back(self, holder: _Holder) -> None:
        """One that was taken is given back."""
        self._counts[holder] -= 1
        if not self._counts[holder]:
            del self._counts[holder]

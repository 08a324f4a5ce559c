"""Counters by name; counters per host, for a bounded number of hosts; and amounts held at a time."""

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

_Holder = TypeVar("_Holder", bound=Hashable)


class Counters(dict[str, int]):
    """A count per name; adding to an unknown name is a bug and raises KeyError."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(names, 0))


class HostCounts:
    """Counts per host since the last `clear`.

    Hosts beyond the bound share one count, so that a flood with more source addresses than the table has room for is bounded like
    one host's, instead of not at all.

    Args:
        max_hosts: hosts with a count of their own.
    """

    def __init__(self, max_hosts: int) -> None:
        self._max_hosts = max_hosts
        self._counts: dict[Hashable, int] = {}
        self._others = 0
        """Shared by all hosts beyond the bound."""

    def __len__(self) -> int:
        """Hosts with a count of their own."""
        return len(self._counts)

    def of(self, host: Hashable) -> int:
        """The present count of a host."""
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
    """The amount that each holder has at the moment. Holders without any take no memory."""

    def __init__(self) -> None:
        self._counts: Counter[_Holder] = Counter()

    def __len__(self) -> int:
        """Holders with an amount above zero."""
        return len(self._counts)

    def of(self, holder: _Holder) -> int:
        return self._counts.get(holder, 0)

    def take(self, holder: _Holder) -> None:
        self._counts[holder] += 1

    def give_back(self, holder: _Holder) -> None:
        """Release one."""
        self._counts[holder] -= 1
        if not self._counts[holder]:
            del self._counts[holder]

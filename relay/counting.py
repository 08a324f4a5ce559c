"""Counts per host, for a bounded number of hosts."""

from collections.abc import Hashable


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

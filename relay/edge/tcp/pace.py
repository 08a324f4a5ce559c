"""How fast one connection may send. Datagrams cost the same however small they are, and TCP brings many at a time."""

from typing import Final

MAX_PER_SECOND: Final = 5000
"""Messages of one connection between two sweeps: 48 Mbit/s in packets of usual length. Nothing that a browser sends in a call is
as much, not even what piled up while the network stood still."""


class Pace:
    """Counts what came since the last sweep."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def admits(self) -> bool:
        """Count one more; whether that is still few enough."""
        self._count += 1
        return self._count <= MAX_PER_SECOND

    def sweep(self) -> int:
        """Begin anew; what was counted."""
        count, self._count = self._count, 0
        return count

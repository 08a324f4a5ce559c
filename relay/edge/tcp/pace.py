"""How fast one connection may send. Datagrams cost the same however small they are, and TCP brings many at a time."""


class Pace:
    """Counts what came since the last sweep.

    Args:
        most: messages between two sweeps.
    """

    __slots__ = ("_count", "_most")

    def __init__(self, most: int) -> None:
        self._count = 0
        self._most = most

    def admits(self) -> bool:
        """Count one more; whether that is still few enough."""
        self._count += 1
        return self._count <= self._most

    def sweep(self) -> int:
        """Begin anew; what was counted."""
        count, self._count = self._count, 0
        return count

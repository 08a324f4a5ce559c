"""Whether a node may act, by the clock of its own machine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Times of a lease, in seconds."""

    duration: float = 9.0
    """How long the engine keeps it after a renewal. Others may take a node's calls over once it has run out."""
    renewal: float = 3.0
    """Between two renewals: two may fail, and the third is in time."""
    margin: float = 1.5
    """A node stops acting so long before its lease runs out: what it has begun by then, it may finish."""

    @property
    def acting(self) -> float:
        """How long a node may act after it began a renewal that succeeded."""
        return self.duration - self.margin


class Lease:
    """The lease of a node, as the node itself may know it.

    The engine counts the duration from the moment at which a renewal reached it, which the node does not know. It does know
    when it began the renewal, which was earlier. So it counts from there, and stops acting before the engine lets others act,
    however long a renewal or the process was held up in between.

    All times are of one monotonic clock, in seconds.
    """

    def __init__(self, timing: LeaseTiming) -> None:
        self._timing = timing
        self._began: float | None = None

    def renewed(self, began: float) -> None:
        """A renewal succeeded.

        Args:
            began: before its request was sent.
        """
        if self._began is None or began > self._began:
            self._began = began

    def gone(self) -> None:
        """The engine does not have it any more."""
        self._began = None

    def may_act(self, now: float) -> bool:
        return self._began is not None and now < self._began + self._timing.acting

    def acts_until(self) -> float | None:
        """When it has to stop acting, unless there is a renewal before; None: it may not act."""
        return None if self._began is None else self._began + self._timing.acting

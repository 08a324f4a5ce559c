"""Clocks of the signaling plane: monotonic for timers and durations, wall clock for timestamps."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

JUMP: Final = timedelta(seconds=1)
"""A larger difference of the clocks means that the wall clock was set. Smaller ones are normal: event loops cache time."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Maps monotonic time to dates, from one reading of the wall clock.

    All times of a call are of one timeline, so their differences are right even if the wall clock is set meanwhile.
    """

    epoch: datetime
    """The date of the monotonic clock's zero."""
    ahead: float | None = None
    """Seconds by which its dates are ahead of the clock that all nodes of the cluster know; None: that is not known."""

    def at(self, now: float) -> datetime:
        """The date of a time of `Clock.now`."""
        return self.epoch + timedelta(seconds=now)

    def known(self, ahead: float | None) -> "Timeline":
        """The same, once it is known by how much it is ahead."""
        return replace(self, ahead=ahead)

    def of(self, ahead: float | None) -> "Timeline":
        """That of a call which comes from another node: its dates go on by the wall clock that they began with."""
        if ahead is None or self.ahead is None:
            return self
        return Timeline(self.epoch + timedelta(seconds=ahead - self.ahead), ahead)


class Clock:
    """The event loop's monotonic clock and the wall clock."""

    _timeline: Timeline | None = None

    def now(self) -> float:
        """Monotonic seconds, of no particular origin."""
        return asyncio.get_running_loop().time()

    def utcnow(self) -> datetime:
        """Timezone-aware, in UTC. May jump at any time, also back."""
        return datetime.now(UTC)

    def timeline(self) -> Timeline:
        """The timeline for a call that begins now: the same as before, unless the wall clock has been set."""
        epoch = self.utcnow() - timedelta(seconds=self.now())
        if self._timeline is None or abs(epoch - self._timeline.epoch) > JUMP:
            self._timeline = Timeline(epoch)
        return self._timeline

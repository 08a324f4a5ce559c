"""Clocks of the signaling plane: monotonic for timers and durations, wall clock for timestamps."""

import asyncio
from dataclasses import dataclass
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

    def at(self, now: float) -> datetime:
        """The date of a time of `Clock.now`."""
        return self.epoch + timedelta(seconds=now)


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

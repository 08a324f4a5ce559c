"""Time, as the signaling plane needs it: a steady one for timers and durations, a dated one for the logs."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

JUMP: Final = timedelta(seconds=1)
"""By which the wall's clock must differ from what has passed to count as set: event loops know the time of their last round."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Dates that belong together: the steady clock, beginning where the wall's stood.

    All times of a call are of one timeline, so that they differ by what has passed, although the wall's clock is set meanwhile.
    """

    epoch: datetime
    """The date of the steady clock's zero."""

    def at(self, now: float) -> datetime:
        """The date of a time of `Clock.now`."""
        return self.epoch + timedelta(seconds=now)


class Clock:
    """The event loop's clock and the wall's."""

    _timeline: Timeline | None = None

    def now(self) -> float:
        """Seconds; only differences mean something."""
        return asyncio.get_running_loop().time()

    def utcnow(self) -> datetime:
        """Timezone-aware, in UTC. May jump at any time, back as well."""
        return datetime.now(UTC)

    def timeline(self) -> Timeline:
        """By which what begins now is dated: the same as before, unless the wall's clock has been set."""
        epoch = self.utcnow() - timedelta(seconds=self.now())
        if self._timeline is None or abs(epoch - self._timeline.epoch) > JUMP:
            self._timeline = Timeline(epoch)
        return self._timeline

"""Time, as the signaling plane needs it: a steady one for timers, a dated one for the logs."""

import asyncio
from datetime import UTC, datetime


class Clock:
    """The event loop's clock and the wall's."""

    def now(self) -> float:
        """Seconds; only differences mean something."""
        return asyncio.get_running_loop().time()

    def utcnow(self) -> datetime:
        """Timezone-aware, in UTC."""
        return datetime.now(UTC)

"""Looks again and again whether the calls that go on may go on.

Not every change comes by a request to this server: another server may have taken it, or it happened in tables of the platform
that the relay only reads.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from relay.errors import Unavailable

logger = logging.getLogger(__name__)

INTERVAL: Final = 30.0
"""Seconds. Each look is a query per call."""


class Review:
    """Looks every `INTERVAL` seconds.

    Args:
        look: ends the calls that may not go on.
    """

    def __init__(self, look: Callable[[], Awaitable[None]]) -> None:
        self._look = look
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self._look()
            except Unavailable:
                continue  # the log says already that the database is away; calls go on meanwhile
            except Exception:
                logger.exception("the calls that go on could not be reviewed")

"""What all nodes together count for a rate limit, in windows that begin with their first count."""

import asyncio
from collections.abc import Callable
from typing import Final

from relay.cluster.redis.keys import RedisKeys
from relay.cluster.redis.scripts import COUNT
from relay.cluster.redis.timing import ClusterTiming
from relay.cluster.redis.writer import Order, Writer
from relay.errors import Unavailable

AT_ONCE: Final = 1000
"""Counts that Redis has not answered yet. Further ones are left out: a node's own windows bound what they would tell."""


class WindowCounts:
    """Counts what this node does, and says what all nodes have done. Nothing waits for it."""

    def __init__(self, writer: Writer, keys: RedisKeys, timing: ClusterTiming) -> None:
        self._writer = writer
        self._keys = keys
        self._timing = timing
        self._under_way: set[asyncio.Task[None]] = set()

    def count(self, name: str, seconds: int, tell: Callable[[int, float], None]) -> None:
        """Count one.

        Args:
            name: of the window.
            seconds: its length.
            tell: is told the count of all nodes, and the seconds until the window ends; nothing if Redis does not answer.
        """
        if len(self._under_way) < AT_ONCE:
            task = asyncio.get_running_loop().create_task(self._count(name, seconds, tell))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _count(self, name: str, seconds: int, tell: Callable[[int, float], None]) -> None:
        try:
            count, left = await self._writer.run(Order(COUNT, [self._keys.window(name)], [seconds * 1000]), self._timing.deadline)
        except Unavailable:  # the writer has logged it, if it is worth that
            return
        tell(count, left / 1000)

    async def close(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

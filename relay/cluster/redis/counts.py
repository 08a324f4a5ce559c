"""What all nodes together count for a rate limit, in windows that begin with their first count."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
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

    def count(self, windows: Mapping[str, int], tell: Callable[[Sequence[tuple[int, float]]], None]) -> None:
        """Count one in each of some windows.

        Args:
            windows: name → length in seconds.
            tell: gets for each, in that order, the count of all nodes and the seconds until it ends. It is not called if Redis
                does not answer.
        """
        if len(self._under_way) < AT_ONCE:
            task = asyncio.get_running_loop().create_task(self._count(windows, tell))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _count(self, windows: Mapping[str, int], tell: Callable[[Sequence[tuple[int, float]]], None]) -> None:
        lengths = [seconds * 1000 for seconds in windows.values()]
        try:
            found = await self._writer.run(Order(COUNT, [*map(self._keys.window, windows)], lengths), self._timing.deadline)
        except Unavailable:  # the writer has logged it, if it is worth that
            return
        tell([(count, left / 1000) for count, left in zip(found[::2], found[1::2], strict=True)])

    async def close(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

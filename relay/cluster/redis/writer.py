"""What a node writes to Redis, and asks of it, in order: by one connection, many scripts in a round trip.

A script that waits for a Redis that is away is sent again until Redis has run it. So all of them may run twice, with the same
outcome as once; messages have numbers for that.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from relay.cluster.redis.figures import ClusterFigures
from relay.cluster.redis.link import Command, Link, call, is_away
from relay.cluster.redis.scripts import ENTER, WRITING, RedisScript
from relay.cluster.redis.timing import BATCH, QUEUED_POSTS, ClusterTiming
from relay.cluster.values import NodeRef
from relay.errors import Unavailable

logger = logging.getLogger(__name__)


class Settling(Unavailable):
    """The nodes still write anew what they had in a Redis that is new, or has come back empty."""


@dataclass(slots=True, eq=False)
class Order:
    """A script that is to run."""

    script: RedisScript
    keys: Sequence[str]
    arguments: Sequence[object]
    post_to: NodeRef | None = None
    """It is a message to that node, and is given up when the lease is lost."""
    undelivered: Callable[[], None] | None = None
    """Is told that the node does not live."""
    reply: "asyncio.Future[Any] | None" = None
    """Its result, if the caller waits for it: then it is not sent again once it may have run."""
    persistent: bool = False
    """It is sent until it has run, whether the caller still waits for it or not."""
    undo: "Order | None" = field(default=None, repr=False)
    """Runs if it may have run, and its caller does not know."""


class Writer:
    """Runs scripts in the order in which they come.

    Args:
        node_key: of this node; every script looks there first.
        on_gone: Redis does not have the lease of this node.
    """

    def __init__(
        self, link: Link, node_key: str, figures: ClusterFigures, timing: ClusterTiming, on_gone: Callable[[], None]
    ) -> None:
        self._link = link
        self._node_key = node_key
        self._figures = figures
        self._timing = timing
        self._on_gone = on_gone
        self._queue: deque[Order] = deque()
        self._posts = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._entered = False
        self._wait = 0.0
        self.generation = 1
        """Of the connection: it rises whenever it is not known what the one before has left in its socket."""
        self.lost: set[NodeRef] = set()
        """Nodes for which messages were given up, until they are told."""

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, order: Order) -> None:
        """Run it after all that came before."""
        if order.post_to is not None:
            if self._posts >= QUEUED_POSTS:
                self._figures.counters["posts_dropped"] += 1
                self.lost.add(order.post_to)
                return
            self._posts += 1
        self._queue.append(order)
        self._idle.clear()
        self._wake.set()

    async def run(self, order: Order, within: float) -> Any:
        """Run it after all that came before; its result.

        Args:
            within: seconds.

        Raises:
            Unavailable: Redis is away, or refuses. It has not run, or is undone; or it does no harm.
        """
        try:
            async with asyncio.timeout(within):
                return await self.begin(order)
        except TimeoutError:
            raise Unavailable("Redis does not answer in time") from None

    def begin(self, order: Order) -> "asyncio.Future[Any]":
        """Run it after all that came before; its result, which raises as with `run`."""
        order.reply = asyncio.get_running_loop().create_future()
        self.put(order)
        return order.reply

    def drop_posts(self) -> None:
        """Give up all messages to other nodes."""
        kept: deque[Order] = deque()
        for one in self._queue:
            if one.post_to is None:
                kept.append(one)
            else:
                self.lost.add(one.post_to)
                self._figures.counters["posts_dropped"] += 1
        self._queue, self._posts = kept, 0

    def lease_is_back(self) -> None:
        """Go on at once."""
        self._entered = False
        self._wait = 0.0
        self._wake.set()

    async def flush(self, within: float) -> None:
        """Wait until nothing is left, or the time is over."""
        try:
            async with asyncio.timeout(within):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("%d changes did not reach Redis; they expire there", len(self._queue))

    async def work(self) -> None:
        """Run what comes, for ever."""
        while True:
            self._wake.clear()
            if not self._queue:
                self._idle.set()
                await self._wake.wait()
            try:
                done = (self._entered or await self._enter()) and await self._batch()
            except Unavailable:
                done = False
            if done:
                self._wait = 0.0
                continue
            self._wait = min(max(self._timing.retry, 2 * self._wait), self._timing.retry_at_most)
            await self._pause()

    async def _pause(self) -> None:
        """Wait a little before the next try; or until the lease is back."""
        deadline = asyncio.get_running_loop().time() + self._wait
        while self._wait and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._wake.clear()
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                return

    async def _enter(self) -> bool:
        """Begin a connection."""
        commands: list[Command] = [call(ENTER, [self._node_key], self.generation)]
        entered, *_ = await self._link.run([*commands, *(("SCRIPT", "LOAD", one.text) for one in WRITING)])
        if isinstance(entered, ResponseError):
            if self._is_passing(entered):
                self._refused(entered)
            else:
                self._foreign(entered)
            return False
        self._entered = True
        return True

    async def _batch(self) -> bool:
        batch: list[Order] = []
        while self._queue and len(batch) < BATCH:
            order = self._queue.popleft()
            if order.persistent or order.reply is None or not order.reply.done():
                batch.append(order)
        if not batch:
            return True
        try:
            results = await self._link.run(
                [
                    ("EVALSHA", one.script.digest, 1 + len(one.keys), self._node_key, *one.keys, self.generation, *one.arguments)
                    for one in batch
                ]
            )
        except BaseException as error:
            self._entered = False
            self.generation += 1
            self._again([one for order in batch for one in self._uncertain(order)])
            if isinstance(error, Unavailable):
                return False
            raise
        refused: list[Order] = []
        for order, result in zip(batch, results, strict=True):
            if isinstance(result, ResponseError) and self._is_passing(result):
                refused.append(order)
                self._refused(result)
            else:
                self._finish(order, result)
        self._again(refused)
        return not refused

    def _again(self, orders: Sequence[Order]) -> None:
        self._queue.extendleft(reversed(orders))
        self._figures.counters["posts_repeated"] += len(orders)

    def _uncertain(self, order: Order) -> Sequence[Order]:
        """What is to run next in place of one that may have run."""
        if order.persistent or order.reply is None:
            return [order]
        if not order.reply.done():
            order.reply.set_exception(Unavailable("Redis does not answer"))
        return [order.undo] if order.undo else []

    @staticmethod
    def _is_passing(error: ResponseError) -> bool:
        """Whether it did not run, and will be able to."""
        return isinstance(error, NoScriptError) or str(error).startswith(("GONE", "STALE")) or is_away(error)

    def _refused(self, error: ResponseError) -> None:
        if str(error).startswith("GONE"):
            self._on_gone()
        elif str(error).startswith("STALE") and self._entered:
            self.generation += 1
        self._entered = False

    def _finish(self, order: Order, result: Any) -> None:
        if order.post_to is not None:
            self._posts = max(0, self._posts - 1)
            if not isinstance(result, ResponseError):
                self._figures.counters["posts" if result else "posts_undeliverable"] += 1
                if not result and order.undelivered is not None:
                    order.undelivered()
        if isinstance(result, ResponseError):
            self._foreign(result)
            if order.reply is not None and not order.reply.done():
                kind = Settling if str(result).startswith("SETTLING") else Unavailable
                order.reply.set_exception(kind(str(result).partition(" ")[2] or str(result)))
        elif order.reply is not None:
            if not order.reply.done():
                order.reply.set_result(result)
            elif order.undo is not None:
                self.put(order.undo)

    def _foreign(self, error: ResponseError) -> None:
        if not str(error).startswith("SETTLING"):
            self._figures.counters["foreign_keys"] += 1
            logger.error("a key in Redis is not the relay's, or cannot be used: %s. Does another program use it?", error)

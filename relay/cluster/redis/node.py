"""The lease of a node, and what it sees of the others."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from redis.exceptions import ResponseError

from relay.cluster.api import NodeCard
from relay.cluster.lease import Lease
from relay.cluster.redis.figures import ClusterFigures
from relay.cluster.redis.keys import ForeignValue, RedisKeys, card_of, pack, ref_of, ref_text
from relay.cluster.redis.link import Link, call, info_in
from relay.cluster.redis.scripts import LEAVE, LOOK, RENEW
from relay.cluster.redis.timing import INBOX_SECONDS, ClusterTiming
from relay.cluster.values import NodeRef
from relay.errors import Unavailable

logger = logging.getLogger(__name__)

PROMPT: Final = 0.1
"""Seconds that an answer may take for the clock of Redis to be read from it: it is wrong by half of that at most."""


def now() -> float:
    """Monotonic seconds, which also pass while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Keeper(Protocol):
    """What has to know how the lease is."""

    def fenced(self) -> None:
        """The lease could not be renewed in time."""
        ...

    async def restore(self, *, emptied: bool, held_again: bool) -> None:
        """Write anew what Redis is to have of this node.

        Args:
            emptied: Redis may have lost what it had.
            held_again: the lease was lost, by this node or by Redis; otherwise it is time to renew the rest.
        """
        ...

    def lost(self, node: NodeRef) -> None:
        """The lease of another node has run out."""
        ...


class NodeLease:
    """Renews the lease of one node, and looks which others live.

    Args:
        card: of this node, at this moment.
        generation: of its writing connection.
    """

    def __init__(
        self,
        link: Link,
        keys: RedisKeys,
        me: NodeRef,
        figures: ClusterFigures,
        timing: ClusterTiming,
        keeper: Keeper,
        card: Callable[[], NodeCard],
        generation: Callable[[], int],
    ) -> None:
        self._link = link
        self._keys = keys
        self._me = me
        self._figures = figures
        self._timing = timing
        self._keeper = keeper
        self._card = card
        self._generation = generation
        self._lease = Lease(timing.lease)
        self._wake = asyncio.Event()
        self._fence: asyncio.TimerHandle | None = None
        self._acting = False
        self._fenced = False
        """It has been told that it may not act, and not yet that it may again."""
        self._announced_at: float | None = None
        self._restoring: asyncio.Task[None] | None = None
        self._to_restore: tuple[bool, bool] | None = None
        """The arguments of `Keeper.restore`; None: there is nothing to restore."""
        self.ahead: float | None = None
        """Seconds by which this machine's wall clock is ahead of that of Redis; None: Redis has not told its time yet."""
        self._run_id = ""
        self._emptied_at = 0.0
        self._due = 0.0
        self._cards: dict[NodeRef, NodeCard] = {}
        self._seen: set[NodeRef] = set()
        """Others that live, though the latest look did not show them yet."""
        self._missing: set[NodeRef] = set()
        """Others that did live, and are not told to be lost yet."""

    @property
    def held(self) -> bool:
        """Whether this node may act: it has the lease, and Redis has all of it."""
        return self._acting and self._lease.may_act(now())

    def cards(self) -> Sequence[NodeCard]:
        return [card for ref, card in self._cards.items() if ref != self._me]

    def lives(self, node: NodeRef) -> bool:
        # One that is missing counts until it is told to be lost: Redis may have come back empty, and the node be about to.
        return node == self._me or node in self._cards or node in self._seen or node in self._missing

    def seen(self, node: NodeRef) -> None:
        """Redis says that it lives."""
        if node not in self._cards and node != self._me:
            self._seen.add(node)

    def renew_soon(self) -> None:
        """The lease may be gone: do not wait for its time."""
        self._due = 0.0
        self._wake.set()

    async def work(self) -> None:
        """Renew and look, for ever."""
        while True:
            self._wake.clear()
            if now() >= self._due:
                await self._renew()
            if await self._look() and not self._emptied():
                self._tell_lost()
            if now() >= self._due:
                continue
            try:
                async with asyncio.timeout(min(self._timing.look, max(0.0, self._due - now()))):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def first(self) -> None:
        """Try once, so that a node which starts with its Redis there has its lease at once."""
        await self._renew()
        if self._restoring is not None:
            await self._restoring
        await self._look()

    async def leave(self) -> None:
        """Give the lease back: others need not wait for its end.

        Raises:
            Unavailable: Redis is away; it runs out.
        """
        self._acting = False
        if self._fence is not None:
            self._fence.cancel()
        if self._restoring is not None:
            self._restoring.cancel()
        me = ref_text(self._me)
        await self._link.run([call(LEAVE, [self._keys.node(self._me), self._keys.nodes, self._keys.inbox(self._me)], me)])

    def _emptied(self) -> bool:
        """Whether other nodes may not have come back yet to a Redis that was empty."""
        return now() < self._emptied_at + self._timing.lease.duration

    async def _renew(self) -> None:
        began = now()
        self._due = began + self._timing.lease.renewal
        keys, me = self._keys, self._me
        names = [keys.node(me), keys.nodes, keys.opened, keys.inbox(me)]
        milliseconds = round(self._timing.lease.duration * 1000)
        renewal = call(RENEW, names, ref_text(me), self._generation(), pack(self._card()), milliseconds, INBOX_SECONDS)
        try:
            there, info = await self._link.run([renewal, ("INFO", "server")])
            if isinstance(there, ResponseError):
                self._refused(there)
        except Unavailable:
            self._failed()
            return
        self._lease.renewed(began)
        self._watch_fence()
        says = {} if isinstance(info, ResponseError) else info_in(info)
        self._compare_clocks(says.get("server_time_usec", ""), now() - began)
        # Another process answers after a restart or a failover, which may have forgotten the latest writes.
        run_id = says.get("run_id", "")
        emptied = not there or run_id != self._run_id
        first, self._run_id = self._announced_at is None, run_id
        if emptied:
            self._emptied_at = began
        if not first and emptied:
            self._figures.counters["restored"] += 1
        if first or not self._acting or emptied or began >= (self._announced_at or 0.0) + self._timing.announce:
            self._announced_at = began
            before = self._to_restore or (False, False)
            held_again = self._fenced or (emptied and not first)
            self._to_restore = (before[0] or (emptied and not first), before[1] or held_again)
            if self._restoring is None or self._restoring.done():
                # Beside the renewals, which must not wait for it.
                self._restoring = asyncio.create_task(self._restore())

    def _compare_clocks(self, microseconds: str, took: float) -> None:
        """Redis has told its time, in an answer that took so many seconds."""
        if microseconds.isdecimal() and (took <= PROMPT or self.ahead is None):
            self.ahead = time.time() - took / 2 - int(microseconds) / 1e6

    async def _restore(self) -> None:
        while self._to_restore is not None:
            (emptied, held_again), self._to_restore = self._to_restore, None
            await self._keeper.restore(emptied=emptied, held_again=held_again)
        self._acting, self._fenced = True, False
        self._watch_fence()

    def _refused(self, error: ResponseError) -> None:
        if "WRONGTYPE" in str(error):
            self._figures.counters["foreign_keys"] += 1
            logger.error("a key in Redis is not the relay's: %s. Does another program use %s*?", error, self._keys.prefix)
        raise Unavailable(str(error))

    def _failed(self) -> None:
        self._figures.counters["renewals_failed"] += 1
        self._due = now() + min(self._timing.lease.renewal, self._timing.look)

    def _watch_fence(self) -> None:
        if self._fence is not None:
            self._fence.cancel()
        until = self._lease.acts_until()
        if until is not None:
            self._fence = asyncio.get_running_loop().call_later(max(0.0, until - now()), self._fence_passed)

    def _fence_passed(self) -> None:
        until = self._lease.acts_until()
        if until is not None and now() < until:
            self._watch_fence()
        elif self._acting:
            self._acting, self._fenced = False, True
            self._figures.counters["leases_lost"] += 1
            self._keeper.fenced()

    async def _look(self) -> bool:
        """Whether what was seen can be relied on."""
        try:
            [found] = await self._link.run([call(LOOK, [self._keys.nodes], self._keys.node_prefix)])
            if isinstance(found, ResponseError):
                self._refused(found)
        except Unavailable:
            return False
        cards: dict[NodeRef, NodeCard] = {}
        for name, card in zip(found[::2], found[1::2], strict=True):
            try:
                cards[ref_of(name)] = card_of(card)
            except ForeignValue as error:
                self._figures.counters["foreign_keys"] += 1
                logger.error("a node of another version, or a key that is not the relay's: %s: %s", name, error)
        if self._me not in cards:
            # It is not they who are gone: Redis has come back empty.
            self.renew_soon()
            return False
        self._missing |= (self._cards.keys() | self._seen) - cards.keys()
        self._missing -= cards.keys()
        self._cards, self._seen = cards, set()
        return True

    def _tell_lost(self) -> None:
        missing, self._missing = self._missing, set()
        for one in sorted(missing, key=ref_text):
            self._keeper.lost(one)

"""A node of a cluster on Redis."""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from relay.cluster.alone import Alone
from relay.cluster.api import Member, NodeCard
from relay.cluster.choose import RAMP, Begun, choose, reachable
from relay.cluster.messages import Message, Reply, Request
from relay.cluster.redis.bus import Bus
from relay.cluster.redis.counts import WindowCounts
from relay.cluster.redis.directory import ClusterDirectory
from relay.cluster.redis.figures import ClusterFigures
from relay.cluster.redis.keys import RedisKeys
from relay.cluster.redis.link import Link, RedisOutage, examine
from relay.cluster.redis.node import NodeLease, now
from relay.cluster.redis.timing import ClusterTiming
from relay.cluster.redis.writer import Writer
from relay.cluster.values import Claim, Claimed, DeviceCard, NodeRef
from relay.errors import Unavailable
from relay.ids import Profile
from relay.settings.redis_url import RedisAddress

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NodeState:
    """What a node finds out about itself for its card."""

    state: Literal["serving", "draining"] = "serving"
    load: float = 0.0
    """The processor share of its busiest worker, 0 to 1."""
    turn_urls: tuple[str, ...] = ()
    """Of its TURN server."""


@dataclass(frozen=True, slots=True)
class NodePlace:
    """What is written on a node's card once for all."""

    version: str
    region: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What there is of a node that has started."""

    writer: Writer
    lease: NodeLease
    directory: ClusterDirectory
    bus: Bus
    counts: WindowCounts
    links: tuple[Link, ...]


class RedisCluster:
    """`relay.cluster.api.Cluster`.

    Args:
        identity: which process of which node this is; it starts and closes with the cluster.
        namespace: nodes of other ones are none of this cluster.
    """

    def __init__(self, address: RedisAddress, namespace: str, identity: Alone, place: NodePlace, timing: ClusterTiming) -> None:
        self.figures = ClusterFigures()
        self.outage = RedisOutage(self.figures)
        self.state: Callable[[], NodeState] = NodeState
        """Asked at each renewal of the lease."""
        self._address = address
        self._keys = RedisKeys(namespace)
        self._identity = identity
        self._place = place
        self._timing = timing
        self._member: Member | None = None
        self._parts: _Parts | None = None
        self._begun = Begun()
        self._promised: dict[NodeRef, int] = {}
        """Calls that other nodes have begun, as they said when they were asked to own the latest one of this node."""
        self._avoided: dict[NodeRef, float] = {}
        """Until when nodes are not asked."""
        self._tasks: list[asyncio.Task[None]] = []

    # -- this node ----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self._identity.name

    @property
    def me(self) -> NodeRef:
        return self._identity.me

    @property
    def predecessors(self) -> Collection[int]:
        return self._identity.predecessors

    def attach(self, member: Member) -> None:
        self._member = member

    async def start(self) -> None:
        """Become a node of the cluster. If Redis does not answer, that happens later, as soon as it does.

        Raises:
            ConfigurationError: Redis answers, and does not accept the password, cannot do TLS, or is too old.
            Unavailable: the database is away.
        """
        await self._identity.start()
        try:
            await examine(self._address, self._timing.deadline)
        except Unavailable as error:
            logger.error("%s (%s). This node takes no calls until it answers", error, self._address)
        self._parts = parts = self._put_together()
        self._tasks = [asyncio.create_task(parts.writer.work()), asyncio.create_task(parts.bus.work())]
        await parts.lease.first()
        self._tasks.append(asyncio.create_task(parts.lease.work()))

    async def close(self, *, in_order: bool) -> None:
        """Leave the cluster.

        Args:
            in_order: every call has ended, and the database knows.
        """
        parts = self._parts
        if parts is not None:
            await parts.counts.close()
            await parts.writer.flush(self._timing.deadline)
            for one in self._tasks:
                one.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            try:
                await parts.lease.leave()
            except Unavailable as error:
                logger.info("the lease runs out by itself: %s", error)
            for link in parts.links:
                await link.close()
        await self._identity.close(in_order=in_order)

    def card_changed(self) -> None:
        """Others shall know at once what `state` says now."""
        if self._parts is not None:
            self._parts.lease.renew_soon()

    def may_act(self) -> bool:
        return self._parts is not None and self._parts.lease.held

    def ahead(self) -> float | None:
        return None if self._parts is None else self._parts.lease.ahead

    def _put_together(self) -> _Parts:
        assert self._member is not None, "who is told is said before the start"
        keys, me, figures, timing = self._keys, self.me, self.figures, self._timing
        links = [Link(self._address, figures, self.outage, timing.deadline) for _ in range(3)]
        writer = Writer(links[0], keys.node(me), figures, timing, lambda: lease.renew_soon())  # noqa: PLW0108 - it is made below
        lease = NodeLease(links[1], keys, me, figures, timing, self, self._card, lambda: writer.generation)
        bus = Bus(links[2], writer, keys, me, figures, timing, self._member, lease.seen)
        directory, counts = ClusterDirectory(writer, keys, me, figures, timing), WindowCounts(writer, keys, timing)
        return _Parts(writer, lease, directory, bus, counts, tuple(links))

    def _card(self) -> NodeCard:
        state, place, parts = self.state(), self._place, self._running
        return NodeCard(
            ref=self.me,
            region=place.region,
            url=place.url,
            version=place.version,
            state=state.state,
            load=state.load + RAMP * self._begun.count(self.me, now()),
            calls=parts.directory.calls,
            devices=parts.directory.devices,
            turn_urls=state.turn_urls,
            begun=self.figures.counters["claims"],
        )

    @property
    def _running(self) -> _Parts:
        assert self._parts is not None, "it has started"
        return self._parts

    # -- what the lease tells -----------------------------------------------------------------------------------------

    def fenced(self) -> None:
        """As `relay.cluster.redis.node.Keeper` says; so do the next two."""
        logger.error("this node could not renew its lease in time: it takes no calls, and others may take over those it has")
        self._running.writer.drop_posts()
        assert self._member is not None, "it is said before the start"
        self._member.fenced()

    async def restore(self, *, emptied: bool, held_again: bool) -> None:
        parts = self._running
        parts.writer.lease_is_back()
        await parts.directory.announce()
        if emptied:
            parts.bus.restart()
        parts.bus.say_hello()
        if held_again:
            logger.warning("Redis has all of this node again")
            assert self._member is not None, "it is said before the start"
            self._member.restored()

    def lost(self, node: NodeRef) -> None:
        logger.warning("node %s (incarnation %d) is gone", node.name, node.incarnation)
        self._running.bus.lost(node)
        self._promised.pop(node, None)
        self._avoided.pop(node, None)
        assert self._member is not None, "it is said before the start"
        self._member.lost(node)

    # -- calls --------------------------------------------------------------------------------------------------------

    async def claim(self, call_id: str, profiles: tuple[Profile, Profile], sheet: bytes = b"") -> Claimed:
        self._require_lease()
        found = await self._running.directory.claim(call_id, profiles, sheet)
        if found.claim.owner == self.me:
            self._begun.add(self.me, now())
        for node in (found.claim.owner, *(one.home for one in found.devices)):
            self._running.lease.seen(node)
        return found

    def release(self, claim: Claim) -> None:
        self._running.directory.release(claim)

    async def call_of(self, profile: Profile) -> Claim | None:
        return self._alive(await self._running.directory.call_of(profile))

    async def orphan_of(self, profile: Profile) -> Claim | None:
        return await self._running.directory.call_of(profile, orphan=True)

    async def take_over(self, standing: Claim, *, given: bool = False) -> Claim | None:
        self._require_lease()
        taken = await self._running.directory.take_over(standing, given=given)
        if taken is not None:
            self._begun.add(self.me, now())
        return taken

    def keep(self, call_id: str, sheet: bytes) -> None:
        self._running.directory.keep(call_id, sheet)

    async def sheet_of(self, call_id: str) -> bytes | None:
        return await self._running.directory.sheet_of(call_id)

    def _require_lease(self) -> None:
        if not self.may_act():
            raise Unavailable("this node does not hold its lease")

    def _alive(self, claim: Claim | None) -> Claim | None:
        """Note that the owner of a claim that stands lives."""
        if claim is not None:
            self._running.lease.seen(claim.owner)
        return claim

    # -- devices ------------------------------------------------------------------------------------------------------

    async def enlist(self, device: DeviceCard, resume_digest: bytes) -> Claim | None:
        return self._alive(await self._running.directory.enlist(device, resume_digest))

    def dismiss(self, device: DeviceCard, resume_digest: bytes) -> None:
        self._running.directory.dismiss(device, resume_digest)

    async def devices_of(self, profile: Profile) -> Sequence[DeviceCard]:
        found = await self._running.directory.devices_of(profile)
        for one in found:
            self._running.lease.seen(one.home)
        return found

    async def whose(self, resume_digest: bytes) -> DeviceCard | None:
        return await self._running.directory.whose(resume_digest)

    # -- nodes --------------------------------------------------------------------------------------------------------

    def lives(self, node: NodeRef) -> bool:
        return self._running.lease.lives(node)

    def nodes(self) -> Sequence[NodeCard]:
        return [self._card(), *self._running.lease.cards()]

    def choose(self, callees: Collection[NodeRef]) -> NodeRef | None:
        nodes, at = reachable(self.nodes()), now()
        asked = [one for one in nodes if self._avoided.get(one.ref, 0.0) <= at]
        return choose(asked, self.me, callees, self._load, random.sample)

    def _load(self, card: NodeCard) -> float:
        """The load of a node, with what its card does not show yet: it was written some seconds ago."""
        return card.load + RAMP * max(0, self._promised.get(card.ref, 0) - card.begun)

    def placed(self, node: NodeRef, begun: int | None) -> None:
        if begun is None:
            self.figures.counters["placements_denied"] += 1
            self._avoided[node] = now() + self._timing.avoid
        else:
            self.figures.counters["calls_placed"] += 1
            self._promised[node] = begun + 1

    def post(self, to: NodeRef, message: Message) -> None:
        self._running.bus.post(to, message)

    async def ask(self, to: NodeRef, request: Request) -> Reply:
        return await self._running.bus.ask(to, request)

    # -- limits -------------------------------------------------------------------------------------------------------

    def count(self, windows: Mapping[str, int], tell: Callable[[Sequence[tuple[int, float]]], None]) -> None:
        """As `relay.cluster.redis.counts.WindowCounts` says; without the lease, nothing is counted for all nodes."""
        if self.may_act():
            self._running.counts.count(windows, tell)

    # -- figures ------------------------------------------------------------------------------------------------------

    def levels(self) -> dict[str, float]:
        """By the names of `relay.cluster.redis.figures.LEVELS`."""
        parts = self._parts
        return {
            "lease_held": int(self.may_act()),
            "nodes": len(parts.lease.cards()) + 1 if parts else 0,
            "queued": len(parts.writer) if parts else 0,
            "clock_ahead_seconds": self.ahead() or 0.0,
        }

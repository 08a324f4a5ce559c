"""Nodes of a cluster in the process of a test, on a Redis that the test has started."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from relay.cluster.alone import Alone
from relay.cluster.lease import LeaseTiming
from relay.cluster.messages import Denied, FromDevice, Message, Reply, Request
from relay.cluster.redis.cluster import NodePlace, RedisCluster
from relay.cluster.redis.timing import ClusterTiming
from relay.cluster.values import Claim, DeviceCard, NodeRef
from relay.errors import Unavailable
from relay.ids import Profile, new_id
from relay.settings.redis_url import parse
from tests.kit.wait import eventually

STEADY: Final = ClusterTiming(deadline=10.0, ask=2.0, settle=0.1, look=0.1)
"""For tests in which nothing fails, however slow the machine is."""

SHORT: Final = ClusterTiming(
    lease=LeaseTiming(duration=2.4, renewal=0.3, margin=0.4),
    look=0.1,
    deadline=0.5,
    settle=0.5,
    retry=0.02,
    retry_at_most=0.1,
)
"""For tests in which leases run out: in a quarter of the time."""


class Counted:
    """`relay.cluster.alone.Incarnations`, for all nodes of a test."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    async def next_incarnation(self) -> int:
        return next(self._numbers)


@dataclass
class Heard:
    """`relay.cluster.api.Member`, which writes down what it is told."""

    taken: list[tuple[NodeRef, Message]] = field(default_factory=list)
    missing: list[NodeRef] = field(default_factory=list)
    gone: list[NodeRef] = field(default_factory=list)
    leases: list[str] = field(default_factory=list)

    def take(self, sender: NodeRef, message: Message) -> None:
        self.taken.append((sender, message))

    async def answer(self, sender: NodeRef, request: Request) -> Reply:
        if getattr(request, "resume_token", "") == "unknown":
            raise Unavailable("no such device")
        return Denied(f"to {sender.name}")

    def missed(self, sender: NodeRef) -> None:
        self.missing.append(sender)

    def lost(self, node: NodeRef) -> None:
        self.gone.append(node)

    def fenced(self) -> None:
        self.leases.append("fenced")

    def restored(self) -> None:
        self.leases.append("restored")

    @property
    def frames(self) -> Sequence[bytes]:
        return [message.frame for _, message in self.taken if isinstance(message, FromDevice)]


@dataclass(frozen=True)
class Node:
    cluster: RedisCluster
    heard: Heard

    @property
    def me(self) -> NodeRef:
        return self.cluster.me

    def counted(self, name: str) -> int:
        return self.cluster.figures.counters[name]

    def device(self, profile: Profile, device_id: str = "", *, connected: bool = True, replaces: str | None = None) -> DeviceCard:
        return DeviceCard(profile, device_id or new_id(), self.me, 2, connected, remote_address="192.0.2.1", replaces=replaces)

    def say(self, to: "Node", frame: bytes) -> None:
        """Post a message that can be told from others."""
        self.cluster.post(to.me, FromDevice(self.device(Profile("student", 1)), frame))


def node_on(url: str, namespace: str, name: str, counted: Counted, timing: ClusterTiming = STEADY) -> Node:
    """A node that has not started."""
    cluster = RedisCluster(parse(url), namespace, Alone(name, counted, None), NodePlace("1"), timing)
    heard = Heard()
    cluster.attach(heard)
    return Node(cluster, heard)


@asynccontextmanager
async def nodes_on(
    url: str, *names: str, timing: ClusterTiming = STEADY, namespace: str = "", counted: Counted | None = None
) -> AsyncIterator[list[Node]]:
    """Nodes that run, one of each name, in a namespace of their own unless it is given; then with incarnations of their own."""
    counted, namespace = counted or Counted(), namespace or new_id()
    nodes = [node_on(url, namespace, name, counted, timing) for name in names]
    started: list[Node] = []
    try:
        for node in nodes:
            await node.cluster.start()
            started.append(node)
        yield nodes
    finally:
        for node in started:
            await node.cluster.close(in_order=True)


async def given(node: Node, *profiles: Profile) -> Claim:
    """A claim, once the nodes have settled."""

    async def claimed() -> Claim | None:
        with contextlib.suppress(Unavailable):
            return (await node.cluster.claim(new_id(), (profiles[0], profiles[1]))).claim
        return None

    return await eventually(claimed, "a claim is given")

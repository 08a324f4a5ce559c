"""A server among those that share a database, as a test wants it to be."""

from collections.abc import Collection
from dataclasses import dataclass

from relay.cluster.alone import Alone
from relay.cluster.values import NodeRef


@dataclass(frozen=True, slots=True)
class ThisNode:
    """`relay.cluster.api.NodeIdentity`."""

    name: str
    incarnation: int = 1
    predecessors: Collection[int] = ()

    @property
    def me(self) -> NodeRef:
        return NodeRef(self.name, self.incarnation)


class OneNode(Alone):
    """A server by itself, which has started."""

    def __init__(self) -> None:
        super().__init__("test", _FirstStart(), None)

    @property
    def me(self) -> NodeRef:
        return NodeRef(self.name, 1)


class _FirstStart:
    """`relay.cluster.alone.Incarnations`."""

    async def next_incarnation(self) -> int:
        return 1

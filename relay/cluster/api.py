"""What the calls of a server need to know of the cluster that the server is a node of. A single server is a cluster of one."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NodeRef:
    """One process of a node, from its start to its end."""

    name: str
    """`RELAY_NODE`. Two processes may have the same one: a rolling update starts the new one before the old one ends."""
    incarnation: int
    """The fencing token: positive, unique among all nodes of a database, and higher than that of every earlier start. It stands
    in the row of each call that this process owns."""


class Cluster(Protocol):
    """The cluster, as one of its nodes sees it."""

    @property
    def name(self) -> str:
        """The name of this node; known before it has started."""
        ...

    @property
    def me(self) -> NodeRef:
        """This process, once it has started."""
        ...

    @property
    def predecessors(self) -> Collection[int]:
        """Incarnations that are known to have ended, and that this process succeeds: what they left open is its own."""
        ...

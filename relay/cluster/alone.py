"""A cluster of one node, which needs no engine but the database."""

import asyncio
from collections.abc import Collection
from typing import Protocol

from relay.cluster.api import NodeRef
from relay.cluster.incarnation_file import IncarnationFile


class Incarnations(Protocol):
    """Where incarnations come from."""

    async def next_incarnation(self) -> int:
        """A number that is higher than all before it, whichever server asks.

        Raises:
            Unavailable: the database is away.
        """
        ...


class Alone:
    """`relay.cluster.api.Cluster`.

    Others of the same name may run on the same database, as long as a rolling update or an overlapping restart lasts. They are
    told apart by their incarnations.

    Args:
        file: None: nothing is known of the processes before this one.
    """

    def __init__(self, name: str, incarnations: Incarnations, file: IncarnationFile | None) -> None:
        self.name = name
        self.predecessors: Collection[int] = frozenset()
        self._incarnations = incarnations
        self._file = file
        self._me: NodeRef | None = None

    @property
    def me(self) -> NodeRef:
        assert self._me is not None, "it has started"
        return self._me

    async def start(self) -> None:
        """Become an incarnation of this node. Before any row is read or written.

        Raises:
            Unavailable: the database is away.
        """
        ended = [] if self._file is None else [*await asyncio.to_thread(self._file.open)]
        self._me = NodeRef(self.name, await self._incarnations.next_incarnation())
        self.predecessors = frozenset(ended)
        if self._file is not None:
            # Those before it stay in there: this process may die before it has closed what they left open.
            await asyncio.to_thread(self._file.write, [*ended, self._me.incarnation])

    async def close(self, *, in_order: bool) -> None:
        """
        Args:
            in_order: every call has ended, and the database knows.
        """
        if self._file is not None:
            await asyncio.to_thread(self._file.close, remove=in_order)

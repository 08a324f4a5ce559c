"""A cluster of one node, which needs no engine but the database."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from relay.cluster.api import Member, NodeCard
from relay.cluster.incarnation_file import IncarnationFile
from relay.cluster.messages import Message, Reply, Request
from relay.cluster.values import Claim, Claimed, DeviceCard, NodeRef
from relay.errors import Unavailable
from relay.ids import Profile


class Incarnations(Protocol):
    """Where incarnations come from."""

    async def next_incarnation(self) -> int:
        """A number that is higher than all before it, whichever server asks.

        Raises:
            Unavailable: the database is away.
        """
        ...


class Alone:
    """`relay.cluster.api.Cluster`. All calls and all devices are of this node, so it keeps nothing about them.

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

    def attach(self, member: Member) -> None:
        """Nothing will be told to it."""

    def may_act(self) -> bool:
        return True

    def ahead(self) -> float | None:
        return None

    async def claim(self, call_id: str, profiles: tuple[Profile, Profile], sheet: bytes = b"") -> Claimed:
        return Claimed(Claim(call_id, self.me, profiles))

    def release(self, claim: Claim) -> None: ...

    async def call_of(self, profile: Profile) -> Claim | None:
        return None

    async def orphan_of(self, profile: Profile) -> Claim | None:
        return None

    async def take_over(self, standing: Claim, *, given: bool = False) -> Claim | None:
        return None

    def keep(self, call_id: str, sheet: bytes) -> None: ...

    async def sheet_of(self, call_id: str) -> bytes | None:
        return None

    async def enlist(self, device: DeviceCard, resume_digest: bytes) -> Claim | None:
        return None

    def dismiss(self, device: DeviceCard, resume_digest: bytes) -> None: ...

    async def devices_of(self, profile: Profile) -> Sequence[DeviceCard]:
        return ()

    async def whose(self, resume_digest: bytes) -> DeviceCard | None:
        return None

    def lives(self, node: NodeRef) -> bool:
        return node == self.me

    def nodes(self) -> Sequence[NodeCard]:
        return ()

    def choose(self, callees: Collection[NodeRef]) -> NodeRef | None:
        return self.me

    def placed(self, node: NodeRef, begun: int | None) -> None: ...

    def post(self, to: NodeRef, message: Message) -> None: ...

    async def ask(self, to: NodeRef, request: Request) -> Reply:
        raise Unavailable("there is no other node")

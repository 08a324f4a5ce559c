"""What the calls of a server need to know of the cluster that the server is a node of. A single server is a cluster of one.

One node **owns** a call: its media, its lock and its row. The node that has a device's WebSocket is the device's **home**; it
numbers the device's messages, and hands what the device says to the owner of its call.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from relay.cluster.messages import Message, Reply, Request
from relay.cluster.values import Claim, Claimed, DeviceCard, NodeRef
from relay.ids import Profile


@dataclass(frozen=True, slots=True)
class NodeCard:
    """What a node says of itself, every few seconds."""

    ref: NodeRef
    region: str
    """`RELAY_REGION`; empty: it has none."""
    url: str
    """`RELAY_NODE_URL`: where this node, and no other, is reached; empty: nowhere but through the balancer."""
    version: str
    """Of the relay. Calls stay among nodes of one version."""
    state: Literal["serving", "draining"]
    load: float
    """The processor share of its busiest worker, 0 to 1."""
    calls: int
    """Calls that it owns."""
    devices: int
    """Devices that it is the home of."""
    turn_urls: tuple[str, ...] = ()
    """Of its own TURN server, which relays to its media and to no other; they take the same credentials as all others."""
    begun: int = 0
    """Calls that it has begun since its start. Those of the last seconds are part of `load`."""


class Member(Protocol):
    """The part of a node that is told what other nodes say and what becomes of them. Nothing here waits or raises."""

    def take(self, sender: NodeRef, message: Message) -> None:
        """A message from another node, in the order in which that one posted it."""
        ...

    async def answer(self, sender: NodeRef, request: Request) -> Reply:
        """A question from another node.

        Raises:
            RelayError: it cannot be answered; the asking node gets `Unavailable`.
        """
        ...

    def missed(self, sender: NodeRef) -> None:
        """Messages of that node are lost: the engine has come back empty, or this node was away for too long."""
        ...

    def lost(self, node: NodeRef) -> None:
        """The lease of that node has run out: its calls have no owner, and its devices no home."""
        ...

    def fenced(self) -> None:
        """This node could not renew its lease: others may take its calls over from now on."""
        ...

    def restored(self) -> None:
        """The lease is held again, by the same incarnation. What the engine had of this node has been written anew."""
        ...


class NodeIdentity(Protocol):
    """Which node of the cluster this process is."""

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


class Cluster(NodeIdentity, Protocol):
    """The cluster, as one of its nodes sees it.

    What waits raises `Unavailable` within about a second if the engine does not answer. What does not wait takes effect in the
    order of the calls, also in respect of what waits: a claim after a release finds it released.
    """

    def attach(self, member: Member) -> None:
        """Say who is told. Before the start."""
        ...

    def may_act(self) -> bool:
        """Whether this node holds its lease: only then may it begin calls, and write rows."""
        ...

    def ahead(self) -> float | None:
        """Seconds by which this machine's wall clock is ahead of the engine's, as of a moment ago; None: it is not known."""
        ...

    # -- calls --------------------------------------------------------------------------------------------------------

    async def claim(self, call_id: str, profiles: tuple[Profile, Profile], sheet: bytes = b"") -> Claimed:
        """Take two profiles for a call of this node: both, or none.

        Args:
            sheet: is kept, if they are taken, as by `keep`; empty: nothing is.

        Returns:
            The claim of this call; or, if one of the two is in another call, that call's.

        Raises:
            Unavailable: the engine is away, or this node may not act. Of an engine that is new, or has come back empty, this is
                known only after some seconds.
        """
        ...

    def release(self, claim: Claim) -> None:
        """The call has ended: its profiles are free, and what was kept for a successor goes."""
        ...

    async def call_of(self, profile: Profile) -> Claim | None:
        """The call that a profile is in, if the node that owns it lives."""
        ...

    async def orphan_of(self, profile: Profile) -> Claim | None:
        """The call that a profile is in and whose owner has lost its lease."""
        ...

    async def take_over(self, standing: Claim, *, given: bool = False) -> Claim | None:
        """Become the owner of a call whose node is lost; None: another node was first, or the owner is back.

        Args:
            given: its node lives, and gives it away.
        """
        ...

    def keep(self, call_id: str, sheet: bytes) -> None:
        """Keep what a successor needs in order to go on with a call of this node, in place of what was kept before."""
        ...

    async def sheet_of(self, call_id: str) -> bytes | None:
        """What was kept."""
        ...

    # -- devices ------------------------------------------------------------------------------------------------------

    async def enlist(self, device: DeviceCard, resume_digest: bytes) -> Claim | None:
        """Tell all nodes about a device of this one, or what has changed about it. Before it is welcomed, so that it is found.

        Args:
            resume_digest: SHA-256 of the token by which it comes back; empty: it cannot.

        Returns:
            The call that its profile is in, of any node.

        Raises:
            Unavailable: the engine is away. The device is written as soon as it is back: dismiss one that is turned away.
        """
        ...

    def dismiss(self, device: DeviceCard, resume_digest: bytes) -> None:
        """The device is gone for good, unless another node has enlisted it since."""
        ...

    async def devices_of(self, profile: Profile) -> Sequence[DeviceCard]:
        """The profile's devices whose homes are other nodes that live, connected or away, in the order in which they came."""
        ...

    async def whose(self, resume_digest: bytes) -> DeviceCard | None:
        """The device that comes back by that token, also if its home is lost; None: no node knows it."""
        ...

    # -- nodes --------------------------------------------------------------------------------------------------------

    def lives(self, node: NodeRef) -> bool:
        """Whether the node held its lease when this one looked last."""
        ...

    def nodes(self) -> Sequence[NodeCard]:
        """The cards of all nodes that live, this one's first."""
        ...

    def choose(self, callees: Collection[NodeRef]) -> NodeRef | None:
        """The node that is to own a new call of a device of this one (`relay.cluster.choose`); None: no node takes calls.

        Args:
            callees: the homes of the callee's devices.
        """
        ...

    def placed(self, node: NodeRef, begun: int | None) -> None:
        """That node was asked to own a call of this one.

        Args:
            begun: it is about to, and has begun so many calls before; None: it would not, or did not answer.
        """
        ...

    def post(self, to: NodeRef, message: Message) -> None:
        """Send a message to another node, in order. It is lost only if that node is lost, or if `Member.missed` says so there."""
        ...

    async def ask(self, to: NodeRef, request: Request) -> Reply:
        """Ask another node. It gets the question after all that was posted to it before.

        Raises:
            Unanswered: it has not within 3 s.
            Unavailable: it could not.
        """
        ...

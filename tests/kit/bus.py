"""Several nodes in one process: `relay.cluster.api.Cluster` for each, over a bus in memory that is as bad as it is told to be.

What a node asks of the engine takes effect in the order in which it asks. Messages of one node to another arrive in order; those
of different nodes overtake each other. Delays are drawn from a seed, so that a run can be had again.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final, TypeVar

from relay.cluster.api import Member, NodeCard
from relay.cluster.choose import choose, reachable
from relay.cluster.messages import Message, Reply, Request, decode, encode
from relay.cluster.values import Claim, Claimed, DeviceCard, NodeRef
from relay.errors import RelayError, Unanswered, Unavailable
from relay.ids import Profile

T = TypeVar("T")

DELAY: Final = 2e-5
"""Seconds, at most, that anything takes: far less than a test waits for what is to happen at once."""

ASK_TIMEOUT: Final = 3.0
COMMAND_TIMEOUT: Final = 1.0


@dataclass(slots=True)
class Channel:
    """The messages from one node to another."""

    sent: int = 0
    taken: int = 0
    due: float = 0.0
    """When the latest of them arrives."""


@dataclass(slots=True)
class Bus:
    """What all nodes share: the engine."""

    seed: int = 0
    duplicates: float = 0.0
    """How many of a hundred messages arrive twice, as a share."""
    delay: float = DELAY
    nodes: dict[NodeRef, "BusNode"] = field(default_factory=dict)
    lost_nodes: set[NodeRef] = field(default_factory=set)
    """Those whose lease has run out."""
    claims: dict[Profile, Claim] = field(default_factory=dict)
    sheets: dict[str, bytes] = field(default_factory=dict)
    devices: dict[Profile, dict[str, DeviceCard]] = field(default_factory=dict)
    tokens: dict[bytes, DeviceCard] = field(default_factory=dict)
    cards: dict[NodeRef, NodeCard] = field(default_factory=dict)
    """What nodes say of themselves. As long as a test does not change that, all are equal, so each owns its devices' calls."""
    roaming: bool = False
    """Any node is chosen to own a new call, whatever its card says."""
    placements: list[tuple[NodeRef, int | None]] = field(default_factory=list)
    """The nodes that were asked to own calls, and what they said: `Cluster.placed`."""
    in_flight: int = 0
    lose_next: int = 0
    """Messages that are lost, from the next one on."""
    loses: Callable[[NodeRef, NodeRef, Message], bool] = lambda _sender, _to, _message: False
    """Asked of each message that is posted: whether this one is lost."""
    log: list[tuple[NodeRef, NodeRef, Message]] = field(default_factory=list)
    """What was posted: the sender, the receiver and the message."""
    asked: list[Request] = field(default_factory=list)
    """What nodes asked each other."""
    commands: int = 0
    """What nodes asked of the engine, and had it do."""
    dice: random.Random = field(init=False)
    choice: random.Random = field(init=False)
    """Of owners."""
    channels: dict[tuple[NodeRef, NodeRef], Channel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice, self.choice = random.Random(self.seed), random.Random(self.seed)

    def node(self, name: str) -> "BusNode":
        """One more node."""
        node = BusNode(self, NodeRef(name, len(self.nodes) + 1))
        self.nodes[node.me] = node
        self.cards[node.me] = NodeCard(node.me, "", "", "test", "serving", 0.0, 0, 0)
        return node

    def later(self) -> float:
        """When something that is sent now arrives, if nothing is before it."""
        return asyncio.get_running_loop().time() + self.dice.random() * self.delay

    def send(self, sender: NodeRef, to: NodeRef, arrive: Callable[[], None], *, countable: bool = True) -> None:
        """Have something arrive at a node, after all that was sent before it."""
        if self.nodes[sender].dead:
            return
        channel = self.channels.setdefault((sender, to), Channel())
        channel.sent += 1
        number = channel.sent
        if countable and self.lose_next:
            self.lose_next -= 1
            return
        for _ in range(2 if self.dice.random() < self.duplicates else 1):
            channel.due = max(self.later(), channel.due + 1e-9, self.nodes[sender].due + 1e-9)
            self.in_flight += 1
            asyncio.get_running_loop().call_at(channel.due, self._arrive, sender, to, number, arrive)

    def _arrive(self, sender: NodeRef, to: NodeRef, number: int, arrive: Callable[[], None]) -> None:
        self.in_flight -= 1
        node, channel = self.nodes.get(to), self.channels[sender, to]
        if node is None or node.dead or number <= channel.taken:
            return
        if node.cut or self.nodes[sender].cut:  # it waits at the engine, or for it
            self.in_flight += 1
            channel.due = max(self.later() + 0.1, channel.due + 1e-9)
            asyncio.get_running_loop().call_at(channel.due, self._arrive, sender, to, number, arrive)
            return
        if number > channel.taken + 1:
            node.member.missed(sender)
        channel.taken = number
        arrive()

    def lose(self, ref: NodeRef) -> None:
        """The lease of a node runs out, for it is dead or does not reach the engine; all others notice."""
        self.lost_nodes.add(ref)
        for node in self.nodes.values():
            if node.me != ref and not node.dead:
                node.member.lost(ref)

    def fence(self, ref: NodeRef) -> None:
        """The node does not reach the engine any more, and notices that."""
        node = self.nodes[ref]
        node.cut = node.fenced = True
        node.member.fenced()

    def regain(self, ref: NodeRef) -> None:
        """The node renews its lease, and writes anew what it had in the engine."""
        node = self.nodes[ref]
        node.cut = node.fenced = False
        self.lost_nodes.discard(ref)
        for claim in node.owned.values():
            standing = [self.claims.get(one) for one in claim.profiles]
            if all(one is None or one.owner in self.lost_nodes for one in standing):
                self.claims.update(dict.fromkeys(claim.profiles, claim))
        node.member.restored()


class BusNode:
    """`relay.cluster.api.Cluster`."""

    def __init__(self, bus: Bus, me: NodeRef) -> None:
        self.me = me
        self.name = me.name
        self.predecessors: Collection[int] = ()
        self.dead = False
        self.cut = False
        """It does not reach the engine."""
        self.fenced = False
        self.clock_ahead: float | None = 0.0
        self.owned: dict[str, Claim] = {}
        """What it has claimed and not released, by the call: the engine may have lost it."""
        self._bus = bus
        self.due = 0.0
        """When the latest of what it has asked of the engine takes effect; no message that it posts after that comes earlier."""
        self._asked = count()

    member: Member

    def attach(self, member: Member) -> None:
        self.member = member

    def may_act(self) -> bool:
        return not self.fenced

    def ahead(self) -> float | None:
        return self.clock_ahead

    # -- the engine ---------------------------------------------------------------------------------------------------

    def _command(self, effect: Callable[[], T], *, persistent: bool = False) -> "asyncio.Future[T]":
        """Have something done by the engine, after all that was asked for before; if it is persistent, be it once it is back."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._bus.commands += 1
        self.due = max(self._bus.later(), self.due + 1e-9)
        self._bus.in_flight += 1
        was_dead = self.dead  # what it asked for before that, the engine has

        def arrive() -> None:
            if self.cut and persistent and not was_dead:
                asyncio.get_running_loop().call_later(0.1, arrive)
                return
            if self.cut or was_dead:
                self._answer(future, COMMAND_TIMEOUT, Unavailable("the engine is away"))
                return
            result = effect()
            self._answer(future, self._bus.dice.random() * self._bus.delay, result)

        asyncio.get_running_loop().call_at(self.due, arrive)
        return future

    def _answer(self, future: "asyncio.Future[T]", delay: float, result: T | Exception) -> None:
        def answered() -> None:
            self._bus.in_flight -= 1
            if future.done():
                return
            if isinstance(result, Exception):
                future.set_exception(result)
                future.exception()  # nothing waits for some of them
            else:
                future.set_result(result)

        asyncio.get_running_loop().call_later(delay, answered)

    def _living(self, claim: Claim | None) -> Claim | None:
        return claim if claim is not None and claim.owner not in self._bus.lost_nodes else None

    async def claim(self, call_id: str, profiles: tuple[Profile, Profile], sheet: bytes = b"") -> Claimed:
        claims, mine = self._bus.claims, Claim(call_id, self.me, profiles)

        def effect() -> Claimed:
            for profile in profiles:
                other = self._living(claims.get(profile))
                if other is not None and other != mine:
                    return Claimed(other)
            claims.update(dict.fromkeys(profiles, mine))
            self.owned[call_id] = mine
            card = self._bus.cards[self.me]
            self._bus.cards[self.me] = replace(card, begun=card.begun + 1)
            if sheet:
                self._bus.sheets[call_id] = sheet
            return Claimed(mine, tuple(one for profile in profiles for one in self._elsewhere(profile)))

        if self.fenced:
            raise Unavailable("this node may not act")
        return await self._command(effect)

    def release(self, claim: Claim) -> None:
        claims = self._bus.claims

        def effect() -> None:
            for profile in [one for one in claim.profiles if claims.get(one) == claim]:
                del claims[profile]
                self._bus.sheets.pop(claim.call_id, None)

        self.owned.pop(claim.call_id, None)
        self._command(effect, persistent=True)

    async def call_of(self, profile: Profile) -> Claim | None:
        return await self._command(lambda: self._living(self._bus.claims.get(profile)))

    async def orphan_of(self, profile: Profile) -> Claim | None:
        def effect() -> Claim | None:
            claim = self._bus.claims.get(profile)
            return claim if self._living(claim) is None else None

        return await self._command(effect)

    async def take_over(self, standing: Claim, *, given: bool = False) -> Claim | None:
        claims, mine = self._bus.claims, replace(standing, owner=self.me)

        def effect() -> Claim | None:
            lives = self._living(standing) is not None and not given
            if lives or any(claims.get(one) != standing for one in standing.profiles):
                return None
            claims.update(dict.fromkeys(standing.profiles, mine))
            self.owned[mine.call_id] = mine
            return mine

        return await self._command(effect)

    def keep(self, call_id: str, sheet: bytes) -> None:
        self._command(lambda: self._bus.sheets.update({call_id: sheet}))

    async def sheet_of(self, call_id: str) -> bytes | None:
        return await self._command(lambda: self._bus.sheets.get(call_id))

    async def enlist(self, device: DeviceCard, resume_digest: bytes) -> Claim | None:
        def effect() -> Claim | None:
            self._bus.devices.setdefault(device.profile, {})[device.device_id] = device
            if resume_digest:
                self._bus.tokens[resume_digest] = device
            return self._living(self._bus.claims.get(device.profile))

        return await self._command(effect)

    def dismiss(self, device: DeviceCard, resume_digest: bytes) -> None:
        def effect() -> None:
            known = self._bus.devices.get(device.profile, {})
            found = known.get(device.device_id)
            if found is not None and found.home == self.me:
                del known[device.device_id]
                self._bus.tokens.pop(resume_digest, None)

        self._command(effect, persistent=True)

    async def devices_of(self, profile: Profile) -> Sequence[DeviceCard]:
        return await self._command(lambda: self._elsewhere(profile))

    def _elsewhere(self, profile: Profile) -> tuple[DeviceCard, ...]:
        devices, lost = self._bus.devices.get(profile, {}), self._bus.lost_nodes
        return tuple(one for one in devices.values() if one.home != self.me and one.home not in lost)

    async def whose(self, resume_digest: bytes) -> DeviceCard | None:
        return await self._command(lambda: self._bus.tokens.get(resume_digest))

    # -- nodes --------------------------------------------------------------------------------------------------------

    def lives(self, node: NodeRef) -> bool:
        return node in self._bus.nodes and node not in self._bus.lost_nodes

    def nodes(self) -> Sequence[NodeCard]:
        living = [self.me, *(one for one in self._bus.nodes if one != self.me and self.lives(one))]
        return tuple(self._bus.cards[one] for one in living)

    def choose(self, callees: Collection[NodeRef]) -> NodeRef | None:
        nodes, choice = reachable(self.nodes()), self._bus.choice
        if self._bus.roaming:
            return choice.choice(nodes).ref
        return choose(nodes, self.me, callees, lambda card: card.load, choice.sample)

    def placed(self, node: NodeRef, begun: int | None) -> None:
        self._bus.placements.append((node, begun))

    def post(self, to: NodeRef, message: Message) -> None:
        data = encode(message)
        self._bus.log.append((self.me, to, message))
        if self._bus.loses(self.me, to, message):
            self._bus.lose_next = 1

        def arrive() -> None:
            taken = decode(data)
            assert isinstance(taken, Message)
            self._bus.nodes[to].member.take(self.me, taken)

        self._bus.send(self.me, to, arrive)

    async def ask(self, to: NodeRef, request: Request) -> Reply:
        data = encode(request)
        self._bus.asked.append(request)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        tasks: list[asyncio.Task[None]] = []

        async def reply() -> None:
            question: Any = decode(data)
            try:
                given = encode(await self._bus.nodes[to].member.answer(self.me, question))
            except RelayError:
                given = b""
            self._bus.send(to, self.me, lambda: None if answer.done() else answer.set_result(given), countable=False)

        self._bus.send(self.me, to, lambda: tasks.append(asyncio.ensure_future(reply())), countable=False)
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                given = await answer
        except TimeoutError:
            raise Unanswered("no answer") from None
        if not given:
            raise Unavailable("it could not answer")
        answered = decode(given)
        assert isinstance(answered, Reply)
        return answered

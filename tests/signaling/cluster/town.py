"""Three nodes in one process and in virtual time, with clients at each: `tests.kit.bus` is between them."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec

from relay.cluster.messages import Gone, Message
from relay.ids import Profile, ScopeKind
from relay.media.api import TransportUp
from relay.settings.calls import CallSettings
from relay.settings.recording import RecordingSettings
from tests.kit.bus import Bus
from tests.kit.memory import CallEntry
from tests.kit.wait import PATIENCE
from tests.signaling.harness import MOMENT, MemoryHarness, in_virtual_time
from tests.signaling.people import STUDENT, TUTOR, Client, FakeConnection, answer, invitation

P = ParamSpec("P")

ENOUGH = 200
"""Moments after which a bus that is not quiet never will be."""


class Town:
    """Nodes that share a database and an engine.

    Attributes:
        a, b, c: the nodes.
    """

    def __init__(self, timers: CallSettings, seed: int = 0, recording: RecordingSettings | None = None) -> None:
        self.bus = Bus(seed, duplicates=0.2)
        self.a = MemoryHarness(timers, recording, self.bus.node("a"))
        self.b = MemoryHarness(timers, recording, self.bus.node("b"), self.a)
        self.c = MemoryHarness(timers, recording, self.bus.node("c"), self.a)
        self.nodes = [self.a, self.b, self.c]
        self._timers = timers
        self._where: dict[Client, MemoryHarness] = {}

    async def start(self) -> None:
        for node in self.nodes:
            await node.start()

    async def another(self, name: str) -> MemoryHarness:
        """One more node, which starts now."""
        node = MemoryHarness(self._timers, None, self.bus.node(name), self.a)
        self.nodes.append(node)
        await node.start()
        return node

    def lives(self, node: MemoryHarness) -> bool:
        """It was not killed; it may be cut off."""
        return not self.bus.nodes[node.cluster.me].dead

    async def close(self) -> None:
        """All calls end, and the nodes remember nothing of devices of others, and the engine nothing of calls."""
        to_itself = [message for sender, to, message in self.bus.log if sender == to and not isinstance(message, Gone)]
        assert to_itself == [], "no node is elsewhere for itself"
        living = [one for one in self.nodes if not self.bus.nodes[one.cluster.me].dead]
        for node in living:
            await node.close()
        await self.settle()
        for node in self.nodes:
            if node not in living:
                await node.close()
        for node in living:
            assert [one for one in node.calls._context.devices._by_id.values() if one.remote is not None] == []
        assert {one for one in self.bus.claims.values() if one.owner not in self.bus.lost_nodes} == set()

    async def kill(self, node: MemoryHarness) -> None:
        """A node dies: what it does from now on reaches neither its clients, nor other nodes, nor the database. The others do not
        know yet: `Bus.lose` has them notice."""
        me = self.bus.nodes[node.cluster.me]
        me.dead = True
        for log in node.logs.values():
            log.is_away = True
        for client, where in self._where.items():
            if where is node and client.connection is not None:
                if client.connection.received:
                    client.lost()
                else:  # it was about to be welcomed
                    client.connection = None

    async def notice(self, node: MemoryHarness) -> None:
        """The lease of a node has run out, and the other nodes know."""
        self.bus.lose(node.cluster.me)
        await self.settle()

    async def settle(self) -> None:
        """Wait until everything that can happen now has happened."""
        await asyncio.sleep(MOMENT)
        for _ in range(ENOUGH):
            if not self.bus.in_flight:
                break
            await asyncio.sleep(MOMENT)

    def describe(self, node: MemoryHarness, **says: Any) -> None:
        """What stands on the card of a node from now on."""
        me = node.cluster.me
        self.bus.cards[me] = replace(self.bus.cards[me], **says)

    # -- clients ------------------------------------------------------------------------------------------------------

    async def connect(
        self, node: MemoryHarness, profile: Profile, version: int = 2, takes: tuple[str, ...] = (), resume: str = ""
    ) -> Client:
        client = await node.connect(profile, version, takes=takes, resume=resume)
        self._where[client] = node
        await self.settle()
        return client

    def node_of(self, client: Client) -> MemoryHarness:
        """The node that the client is with, or was last."""
        return self._where[client]

    async def say(self, client: Client, *frames: str | bytes) -> None:
        for frame in frames:
            await self._where[client].say(client, frame)
            await self.settle()

    async def lose(self, client: Client) -> None:
        await self._where[client].lose(client)
        await self.settle()

    async def resume(self, client: Client, node: MemoryHarness) -> FakeConnection:
        """The client comes back, maybe to another node, and says what it has; its connection."""
        former, device, last_seq = self._where[client], client.device, client.last_seq
        before = None if client.connection is None else client.lost()
        self._where[client], connection = node, FakeConnection()
        await node._connect(client, client.token, last_seq, connection)
        if before is not None:
            await former.calls.disconnected(device, before)
        await self.settle()
        return connection

    # -- calls --------------------------------------------------------------------------------------------------------

    def owner(self, profile: Profile, but: MemoryHarness | None = None) -> MemoryHarness | None:
        """The node that has the call of a profile, among those that live."""
        living = [one for one in self.nodes if one is not but and not self.bus.nodes[one.cluster.me].dead]
        owners = [one for one in living if one.calls._context.live.of(profile) is not None]
        assert len(owners) <= 1, "a profile is in one call"
        return owners[0] if owners else None

    @property
    def call_count(self) -> int:
        return sum(one.calls.call_count for one in self.nodes)

    async def rows(self) -> list[CallEntry]:
        for node in self.nodes:
            await node.calls.writes.settled(PATIENCE)
        return list(self.a.logs[ScopeKind.CONVERSATION].entries.values())

    async def ends(self) -> list[tuple[int, str, str | None]]:
        """Who called, the status and the reason, of each call."""
        return [(row.caller_profile_id, row.status, row.end_reason) for row in await self.rows()]

    async def ringing(self, caller_at: MemoryHarness, callee_at: MemoryHarness, version: int = 2) -> tuple[Client, Client]:
        """The student calls the tutor: both clients."""
        caller, callee = await self.connect(caller_at, STUDENT, version), await self.connect(callee_at, TUTOR, version)
        await self.say(caller, invitation(TUTOR))
        assert caller.types() == ["call_state ringing"]
        assert callee.types() == ["call_invitation"]
        return caller, callee

    async def connected(self, caller_at: MemoryHarness, callee_at: MemoryHarness, version: int = 2) -> tuple[Client, Client]:
        """The tutor has answered the student, and media flows."""
        caller, callee = await self.ringing(caller_at, callee_at, version)
        await self.say(callee, answer())
        await self.media_up(STUDENT, TUTOR)
        assert caller.types()[-1] == callee.types()[-1] == "call_state connected"
        return caller, callee

    async def media_up(self, *profiles: Profile) -> None:
        for profile in profiles:
            owner = self.owner(profile)
            assert owner is not None, "it is in a call"
            transport = owner.transport_of(profile)
            assert transport is not None, "the call is answered"
            await owner.media(TransportUp(transport))
        await self.settle()

    def posted(self, kind: type[Message]) -> int:
        """How many messages of that type were sent between nodes."""
        return sum(isinstance(message, kind) for _, _, message in self.bus.log)


_InTown = Callable[Concatenate[Town, P], Coroutine[Any, Any, None]]


def in_town(test: _InTown[P]) -> Callable[..., None]:
    """Decorator: run an async test in virtual time, on a `Town` that is its first argument. Its fixtures must not be async."""
    return in_virtual_time(test, Town)

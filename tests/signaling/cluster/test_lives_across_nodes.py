"""The lives of `tests/signaling/test_lives.py` with three nodes: whichever node a client is with, all comes as on one.

Messages between nodes arrive late, twice, and overtake those of other nodes. In half of the lives, any node may own a new call. A
run in CI has some 3,000 steps, always the same ones. More, and other ones every time:

    RELAY_LIVES=200000 make test TESTS=tests/signaling/cluster/test_lives_across_nodes.py
"""

import os
from typing import Final, cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from relay.ids import Profile
from relay.media.api import MediaEvent
from relay.signaling.presence.devices import RESUMED_ELSEWHERE
from tests.signaling.cluster.town import Town
from tests.signaling.harness import MemoryHarness
from tests.signaling.life import live, of, row_of
from tests.signaling.people import TIMERS, Client
from tests.signaling.test_lives import Lives, nth

pytestmark = pytest.mark.long

STEPS: Final = int(os.environ.get("RELAY_LIVES", "3000"))


class Nodes:
    """What `Life` does to a server, done to that one of three nodes that a client is with, or comes to."""

    def __init__(self) -> None:
        self.town = Town(TIMERS)
        self.directory, self.logs = self.town.a.directory, self.town.a.logs
        self.choice = self.town.bus.dice

    async def start(self) -> None:
        await self.town.start()

    async def close(self) -> None:
        await self.town.close()

    async def connect(self, profile: Profile, version: int, *, resume: str = "") -> Client:
        return await self.town.connect(self.choice.choice(self.town.nodes), profile, version, resume=resume)

    async def lose(self, client: Client) -> None:
        await self.town.lose(client)

    async def resume(self, client: Client) -> None:
        await self.town.resume(client, self.choice.choice(self.town.nodes))
        assert client.welcome["resumed"], "it is the same device"

    async def say(self, client: Client, frame: str | bytes) -> None:
        await self.town.node_of(client).say(client, frame)

    def transport_of(self, profile: Profile) -> str | None:
        owner = self.town.owner(profile)
        return None if owner is None else owner.transport_of(profile)

    async def media(self, event: MediaEvent) -> None:
        for node in self.town.nodes:
            await node.media(event)


class LivesAcrossNodes(Lives):
    """What may happen, and what must be of all nodes."""

    def make_harness(self) -> MemoryHarness:
        self.nodes = Nodes()
        return cast(MemoryHarness, self.nodes)

    @initialize(seed=st.integers(0, 2**32))
    def begin_anywhere(self, seed: int) -> None:
        self.nodes.choice.seed(seed)
        self.nodes.town.bus.choice.seed(seed)
        self.nodes.town.bus.roaming = bool(seed % 2)

    async def settle(self) -> None:
        await self.nodes.town.settle()

    @property
    def call_count(self) -> int:
        return self.nodes.town.call_count

    def _compare_all(self) -> None:
        self._put_in_order()
        super()._compare_all()
        claims = self.nodes.town.bus.claims
        alive = {side.profile for call in self.model.calls if call.state != "ended" for side in call.sides}
        assert set(claims) == alive, "every profile in a call is claimed once, and no other"
        for profile, claim in claims.items():
            owner = self.nodes.town.owner(profile)
            assert owner is not None and owner.cluster.me == claim.owner, "the owner has the call"
        for node in self.nodes.town.nodes:
            for device in node.calls._context.devices._by_id.values():
                assert device.remote is None or node.calls._context.live.of(device.profile), "or it would be kept for ever"

    def _put_in_order(self) -> None:
        """Of calls that began at the same time at different nodes, either may be written down first."""
        for kind, log in self.harness.logs.items():
            found, ordered = list(log.entries.values()), []
            for row in self.model.rows(kind):
                match = next((one for one in found if row_of(one) == row), None)
                if match is None:
                    return
                found.remove(match)
                ordered.append(match)
            if not found and {one.call_id for one in ordered[:-3]} == set(list(log.entries)[:-3]):
                log.entries.clear()
                log.entries.update((one.call_id, one) for one in ordered)

    @rule(nth=nth)
    def moves_to_another_node(self, nth: int) -> None:
        able = [one for one in self._connected() if self.model.devices[one].version == 2]
        if able:
            number = of(able, nth)
            older = self.clients[number].connection
            self._resume(number)
            assert older is not None and older.closed == RESUMED_ELSEWHERE


def test_whatever_happens_at_three_nodes_every_call_ends_right() -> None:
    live(LivesAcrossNodes, STEPS)

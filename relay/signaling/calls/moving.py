"""Calls of a node that is about to stop go on at another one, while their media still flows here: neither party hears a gap.

The other node makes both parties come back with new peer connections. What they had here stays until it says that media flows
there, but no longer than `KEPT`.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from typing import Final

from relay.cluster.api import NodeCard
from relay.cluster.messages import Accepted, TakeOver
from relay.cluster.values import NodeRef
from relay.errors import Unanswered, Unavailable
from relay.ids import Profile
from relay.signaling.calls import sheet as sheets
from relay.signaling.calls.call import Party, State
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.live import LiveCall
from relay.signaling.calls.recordings import Recordings
from relay.signaling.calls.termination import Termination

logger = logging.getLogger(__name__)

KEPT: Final = 15.0
"""Seconds that the media of a call that has moved goes on here, while its parties do not have theirs at the other node."""

LINGERS: Final = 2.0
"""Seconds that it goes on once they have: what a party has there must reach it before what it has here ends."""

WRITTEN_WITHIN: Final = 1.0
"""Seconds that a call waits for the database. What this node has not written of it, it cannot write once the row is another's."""

LOOKS: Final = 20
"""Times that it is tried to find out who has a call while the engine or the database is away: without its row it is no node's."""

A_CALL: Final = 0.01
"""Load that a call counts for which a node has just got."""

ATTEMPTS: Final = 3
"""Times that a call is tried to be moved."""

PAUSE: Final = 4.0
"""Seconds between two of these times: a database that fails over to its standby is away for some."""

ASKS: Final = 3
"""Times that a node is asked which has not answered in time: it may be at it, and that has one outcome (`Succession.take`). After
these 9 s, a node that has died has lost its lease."""

ASKED_AT_ONCE: Final = 8
"""Calls about which each other node is asked at a time. One that has time takes a call in a hundredth of a second; one that has
none would leave a hundred questions without an answer."""


class Moving:
    """Gives calls of this node to others.

    Attributes:
        counters: `calls_moved`: to other nodes. `calls_not_moved`: attempts of which nothing came.
    """

    def __init__(self, context: CallContext, termination: Termination, recordings: Recordings) -> None:
        self._context = context
        self._termination = termination
        self._recordings = recordings
        self._attempts: Counter[str] = Counter()
        self._next: dict[str, float] = {}
        """When a call that could not be moved is tried again."""
        self._under_way: set[str] = set()
        self._kept: dict[str, tuple[LiveCall, NodeRef, asyncio.TimerHandle]] = {}
        """Calls that have moved, by their ids: where to, and when their media here ends."""
        self._given: Counter[NodeRef] = Counter()
        """How many each node has got: the load on its card does not show them yet."""
        self._refused: dict[str, set[NodeRef]] = {}
        """Nodes that have not taken a call: another one is asked the next time."""
        self.counters: Counter[str] = Counter()

    @property
    def busy(self) -> bool:
        """A call is on its way, or its media is still here."""
        return bool(self._under_way or self._kept)

    def owner_of(self, profile: Profile) -> NodeRef | None:
        """Where a call of that profile has gone just now, while its media is still here."""
        for live, to, _ in self._kept.values():
            if any(one.profile == profile for one in live.call.parties):
                return to
        return None

    @property
    def alone(self) -> bool:
        """No other node takes calls."""
        return not self._others()

    def movable(self) -> list[LiveCall]:
        """The calls that another node may go on with, if there is one; some of them only in a moment."""
        if self.alone:
            return []
        return [live for live in self._context.live if self._attempts[live.call.call_id] < ATTEMPTS and self._can_move(live)]

    def begin(self, live: LiveCall) -> None:
        """Have another node go on with a call, unless it is on its way already or something about it is undecided."""
        call_id = live.call.call_id
        if call_id not in self._under_way and self._is_quiet(live):
            self._under_way.add(call_id)
            self._context.spawn(self._begin(live))

    async def _begin(self, live: LiveCall) -> None:
        try:
            async with live.lock:
                await self._move(live)
        except Unavailable as error:
            self._failed(live, str(error))
        finally:
            self._under_way.discard(live.call.call_id)

    async def close(self) -> None:
        """This node stops: no media stays."""
        for call_id, (_, _, timer) in list(self._kept.items()):
            timer.cancel()
            await self._let_go(call_id)

    def ready(self, movable: Sequence[LiveCall]) -> Sequence[LiveCall]:
        """Those of these calls that `begin` moves now: as many as other nodes can be asked about at this moment."""
        room, now = max(0, ASKED_AT_ONCE * len(self._others()) - len(self._under_way)), self._context.clock.now()
        waiting = self._under_way | {call_id for call_id, at in self._next.items() if at > now}
        return [one for one in movable if one.call.call_id not in waiting and self._is_quiet(one)][:room]

    # -- which, and where to ------------------------------------------------------------------------------------------

    def _others(self) -> list[NodeCard]:
        return [one for one in self._context.cluster.nodes() if one.ref != self._context.me and one.state == "serving"]

    @staticmethod
    def _can_move(live: LiveCall) -> bool:
        """A client of version 1 takes no offer."""
        return (
            live.claim is not None and not live.refused and (not live.call.answered or all(map(_can_update, live.call.parties)))
        )

    @staticmethod
    def _is_quiet(live: LiveCall) -> bool:
        """No client waits for an answer of which the next owner would not know."""
        return live.update is None and live.transfer is None and not live.rejoin_requests and not live.call.moving

    def _choose(self, live: LiveCall) -> NodeRef | None:
        """The less loaded of two nodes at random, of the region of a party. Of whatever version: of a rolling
        update, the last node has none of its own any more. A node denies a sheet that is foreign to it."""
        others = self._others()
        refused = self._refused.get(live.call.call_id, set())
        others = [one for one in others if one.ref not in refused] or others
        regions = {self._region_of(one) for one in live.call.parties}
        near = [one for one in others if one.region in regions] or others
        two = random.sample(near, min(2, len(near)))
        best = min(two, key=lambda one: one.load + A_CALL * self._given[one.ref], default=None)
        return None if best is None else best.ref

    def _region_of(self, party: Party) -> str | None:
        device = self._context.device_of(party)
        home = self._context.me if device is None or device.remote is None else device.remote.node
        return next((one.region for one in self._context.cluster.nodes() if one.ref == home), None)

    # -- moving one ---------------------------------------------------------------------------------------------------

    async def _move(self, live: LiveCall) -> None:
        context, call = self._context, live.call
        to = self._choose(live)
        if call.state is State.ENDED or not self._can_move(live) or not self._is_quiet(live) or to is None:
            return
        if not await context.log.has_written(call.call_id, WRITTEN_WITHIN):
            self._failed(live, "the database has not got all of it yet")
            return
        profiles = (call.caller.profile, call.callee.profile)
        flows = call.state is State.CONNECTED
        taken, why = await self._ask(to, TakeOver(call.call_id, profiles, sheets.encode(live), flows))
        if taken or await self._is_gone(live, to):
            await self._leave(live, to, flows=flows)
        else:
            self._refused.setdefault(call.call_id, set()).add(to)
            self._failed(live, why)

    async def _ask(self, to: NodeRef, asked: TakeOver) -> tuple[bool, str]:
        """Whether a node has taken a call, and why not."""
        why = ""
        for _ in range(ASKS):
            try:
                reply = await self._context.cluster.ask(to, asked)
            except Unanswered as error:
                why = str(error)
            except Unavailable as error:
                return False, str(error)
            else:
                return isinstance(reply, Accepted), str(reply)
        return False, why

    async def _is_gone(self, live: LiveCall, to: NodeRef) -> bool:
        """Whether a node has a call that it has not said to have. If it has not, it gets it no more."""
        for _ in range(LOOKS):
            try:
                return await self._has_it(live, to)
            except Unavailable:
                await asyncio.sleep(WRITTEN_WITHIN)
        return False

    async def _has_it(self, live: LiveCall, to: NodeRef) -> bool:
        call, claim = live.call, live.claim
        assert claim is not None, "only such a call is moved"
        standing = (await self._context.cluster.claim(claim.call_id, claim.profiles, sheets.encode(live))).claim
        if standing.owner == to and standing.call_id == claim.call_id:
            # With the claim alone, it has not got the call, and may still give it back.
            log = self._context.ports.logs[call.scope.kind]
            return call.call_id in await log.heartbeat([call.call_id], self._context.time_of(live))
        # It may have got as far as the row, and has let go since.
        await self._context.ports.logs[call.scope.kind].succeed(call.call_id, to.incarnation)
        return False

    def _failed(self, live: LiveCall, why: str) -> None:
        self._attempts[live.call.call_id] += 1
        self._next[live.call.call_id] = self._context.clock.now() + PAUSE
        self.counters["calls_not_moved"] += 1
        logger.warning("call %s could not be moved to another node: %s", live.call.call_id, why)

    async def _leave(self, live: LiveCall, to: NodeRef, *, flows: bool) -> None:
        call_id = live.call.call_id
        self.counters["calls_moved"] += 1
        self._given[to] += 1
        logger.info("call %s goes on at node %s", call_id, to.name)
        self._kept[call_id] = live, to, self._context.later(KEPT, lambda: self._let_go(call_id))
        self._termination.leave(live, to)
        await self._recordings.call_moved(live)
        if not flows:
            self.media_moved(call_id, after=0)

    # -- what is left here --------------------------------------------------------------------------------------------

    def media_moved(self, call_id: str, after: float = LINGERS) -> None:
        """The media of a call flows at its new owner."""
        kept = self._kept.get(call_id)
        if kept is not None:
            live, to, timer = kept
            timer.cancel()
            self._kept[call_id] = live, to, self._context.later(after, lambda: self._let_go(call_id))

    async def _let_go(self, call_id: str) -> None:
        if self._kept.pop(call_id, None) is not None:
            await self._context.sessions.close_all(call_id)


def _can_update(party: Party) -> bool:
    return bool(party.can_update)

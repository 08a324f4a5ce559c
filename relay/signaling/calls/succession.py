"""What becomes of a call whose node dies, or is about to stop: another node goes on with it. Of a dead one, that is the home of a
device of one of the parties; one that is about to stop asks for it.

Both parties need new peer connections: an ICE restart towards another node would not do, as Firefox never connects by one, and
Chromium after 6 s only. So each party comes back with a new one: first one, which is offered what the other one has said last of
its media, then the other. Of a node that is about to stop, the media flows until both have.
"""

import asyncio
import logging
from collections import Counter
from contextlib import nullcontext
from typing import Any, Final

from relay.cluster.messages import Accepted, Denied, MediaMoved, Reply, TakeOver
from relay.cluster.values import Claim, NodeRef
from relay.errors import RelayError, Unavailable
from relay.ids import Profile
from relay.sdp.parse import parse_sdp
from relay.signaling.calls import sheet as sheets
from relay.signaling.calls.call import EndReason, Party, State
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.enforcement import Enforcement
from relay.signaling.calls.home import Home
from relay.signaling.calls.invitations import Invitations
from relay.signaling.calls.live import LiveCall
from relay.signaling.calls.negotiation import Negotiation
from relay.signaling.calls.recordings import Recordings
from relay.signaling.calls.sheet import CallSheet, PartySheet
from relay.signaling.calls.termination import Termination
from relay.signaling.recording import CallRecording
from relay.signaling.sessions.session import Session

logger = logging.getLogger(__name__)

INTERVAL: Final = 1.0
"""Seconds between two looks at what has changed of the calls of this node: how much a successor may not know."""

FLOWS: Final = 14.0
"""Seconds that the media of a call flows at the node before, which keeps it a second longer."""

ATTEMPTS: Final = 20
"""Times that a call is tried to be taken over, a second apart, while the database or the engine is away."""


class Succession:
    """Keeps what a successor needs of the calls of this node, and goes on with those of nodes that are lost.

    Attributes:
        counters: `calls_taken_over`: from nodes that were lost. `calls_given`: by nodes that were about to stop.
    """

    def __init__(
        self,
        context: CallContext,
        termination: Termination,
        invitations: Invitations,
        negotiation: Negotiation,
        recordings: Recordings,
        home: Home,
        enforcement: Enforcement,
    ) -> None:
        self._context = context
        self._termination = termination
        self._invitations = invitations
        self._negotiation = negotiation
        self._recordings = recordings
        self._home = home
        self._enforcement = enforcement
        self._task: asyncio.Task[None] | None = None
        self._taking: dict[str, asyncio.Task[Reply]] = {}
        """Calls that this node is about to go on with, by their ids."""
        self.counters: Counter[str] = Counter()

    # -- as the owner -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Keep the sheets of calls from now on, if there may be a successor."""
        if self._context.cluster.nodes():
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        tasks: list[asyncio.Task[Any]] = [*self._taking.values(), *([] if self._task is None else [self._task])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            for live in self._context.live:
                sheets.keep(self._context.cluster, live)
            await asyncio.sleep(INTERVAL)

    # -- as the home of a party ---------------------------------------------------------------------------------------

    async def lost(self, node: NodeRef) -> None:
        """That node is lost. Each of its calls that a device of this one is in goes on at this one, or at another one."""
        context, devices = self._context, self._home.concerned(node)
        for profile in {one.profile for one in devices}:
            owner = await self._successor(profile) if context.live.of(profile) is None else context.me
            for device in devices:
                if device.profile != profile or device.dropped:
                    continue
                if owner is not None and owner != node:
                    device.succeeded(node)
                    if node in device.told_by:
                        device.told_by.discard(node)
                        device.told_by |= {owner} - {context.me}
                        await self._home.unsure(device, owner)
                elif owner is None and node in device.told_by:
                    # It does not know of the end of its call, and would never learn it. All others have missed nothing.
                    self._home.restart([device])

    async def _successor(self, profile: Profile) -> NodeRef | None:
        """Who has the call of a profile whose owner is lost: this node, or another one; None: it goes on nowhere."""
        for _ in range(ATTEMPTS):
            try:
                if await self.orphaned(profile):
                    return self._context.me
                claim = await self._context.cluster.call_of(profile)
            except Unavailable:
                await asyncio.sleep(INTERVAL)
            else:
                return None if claim is None else claim.owner
        return None

    async def came_back(self, profile: Profile) -> None:
        """A client has come back whose node is lost, and with it maybe the call that it was in."""
        if self._context.live.of(profile) is None:
            await self._successor(profile)

    async def orphaned(self, profile: Profile) -> bool:
        """Take the call of a profile over, if its owner is lost and no other node has been first; whether it goes on here.

        Raises:
            Unavailable: the engine or the database is away. Another attempt may be made.
        """
        context, cluster = self._context, self._context.cluster
        orphan = await cluster.orphan_of(profile)
        if orphan is None or context.closing:
            return False
        with context.coming(orphan):
            kept = await cluster.sheet_of(orphan.call_id)
            claim = await cluster.take_over(orphan)
            if claim is None:
                return False
            try:
                if kept is None:
                    return False
                sheet = sheets.decode(kept)
                if not await self._succeed(orphan, sheet):
                    return False
                self.counters["calls_taken_over"] += 1
                logger.warning("call %s of node %s, which is lost, goes on here", orphan.call_id, orphan.owner.name)
                await self._go_on(await self._live(sheet, claim), sheet)
            except (RelayError, KeyError) as error:
                logger.warning("call %s of a node that is lost cannot go on: %s", orphan.call_id, error)
                return False
            finally:
                live = context.live.with_id(claim.call_id)
                if live is None or live.claim is None:
                    cluster.release(claim)
        return True

    # -- as the node that one is asked which is about to stop ---------------------------------------------------------

    async def take(self, owner: NodeRef, asked: TakeOver) -> Reply:
        """Go on with a call of that node. A node that has got no answer in time asks again: that is the same question, with the
        same answer, as long as it is not known whether the call is here.

        Raises:
            RelayError: it cannot be done; the call is still that node's.
        """
        call_id, taking = asked.call_id, self._taking.get(asked.call_id)
        if taking is None:
            if self._context.live.with_id(call_id) is not None:
                return Accepted()
            taking = self._taking[call_id] = asyncio.create_task(self._take(owner, asked))
            taking.add_done_callback(lambda _: self._taking.pop(call_id, None))
        return await asyncio.shield(taking)

    async def _take(self, owner: NodeRef, asked: TakeOver) -> Reply:
        context, cluster = self._context, self._context.cluster
        context.check_open()
        sheet, given = sheets.decode(asked.sheet), Claim(asked.call_id, owner, asked.profiles)
        with context.coming(given):
            claim = await cluster.take_over(given, given=True)
            if claim is None:
                return Denied("the call is not that node's")
            live: LiveCall | None = None
            try:
                if not await context.ports.logs[sheet.scope.kind].succeed(sheet.call_id, owner.incarnation):
                    return Denied("its row is not that node's")
                live = await self._live(sheet, claim, flows=asked.flows)
                live.moved_from = owner
                await self._go_on(live, sheet)
            except BaseException:
                if live is not None:  # without a word to the parties: the call goes on where it was
                    await self._termination.drop(live)
                raise
            finally:
                if live is None or live.call.state is State.ENDED:
                    cluster.release(claim)
        self.counters["calls_given"] += 1
        logger.info("call %s of node %s, which is about to stop, goes on here", asked.call_id, owner.name)
        # What has changed while it came may have missed it at either node.
        context.spawn(self._enforcement.review(sheet.scope))
        if live.call.moving:
            context.later(FLOWS, lambda: self._stop_moving(live))
        return Accepted()

    def settled(self, live: LiveCall) -> None:
        """Both parties of a call have media here: the node that owned it before may let go."""
        if live.moved_from is not None and not live.call.moving:
            self._context.cluster.post(live.moved_from, MediaMoved(live.call.call_id))
            live.moved_from = None

    async def _stop_moving(self, live: LiveCall) -> None:
        async with live.lock:
            if live.call.moved(self._context.clock.now()):
                self._context.tell_state(live)
                self._termination.set_timer(live)
            live.moved_from = None

    # -- the call here ------------------------------------------------------------------------------------------------

    async def _live(self, sheet: CallSheet, claim: Claim, *, flows: bool = False) -> LiveCall:
        """The call, which goes on here from now on."""
        context = self._context
        recording = await self._recording_of(sheet)
        now, timeline = context.clock.now(), context.timeline(sheet.ahead)
        call = sheets.call_of(sheet, context.timers, now, timeline.at(now), flows=flows)
        live = LiveCall(call, timeline, parse_sdp(sheet.offer), recording=recording, claim=claim)
        live.answered_at, live.succeeded = sheet.answered_at, True
        context.live.add(live)
        context.ports.hooks.succeeded(call, live.started_at, live.answered_at)
        return live

    async def _go_on(self, live: LiveCall, sheet: CallSheet) -> None:
        """Have both parties come back, or the callee ring."""
        call = live.call
        safely = self._termination.ended_on_error(live) if live.moved_from is None else nullcontext()
        async with live.lock, safely:
            await self._context.learn(*(party.profile for party in call.parties))
            for party in call.parties:
                self._find(live, party)
            if sheet.answered_at is None:
                await self._ring_again(live)
            else:
                await self._come_back(live, sheet)

    def _find(self, live: LiveCall, party: Party) -> None:
        """Look where the device of a party is now: its home may have died too, and its client have come back already."""
        context = self._context
        for device in context.devices.of(party.profile):
            if device.replaces is not None and device.replaces == party.device_id:
                party.device_id = device.device_id
        found = context.device_of(party)
        if party.device_id is not None and (found is None or not found.connected):
            live.call.signaling_lost(party, context.clock.now(), resumable=True)

    async def _succeed(self, orphan: Claim, sheet: CallSheet) -> bool:
        """Make the row this node's."""
        log = self._context.ports.logs[sheet.scope.kind]
        for _ in range(ATTEMPTS):
            try:
                return await log.succeed(sheet.call_id, orphan.owner.incarnation)
            except Unavailable:
                await asyncio.sleep(INTERVAL)
        return False

    async def _recording_of(self, sheet: CallSheet) -> CallRecording:
        """The recording that there was is closed with its node."""
        try:
            return await self._recordings.of_new_call(sheet.scope)
        except Unavailable:
            return CallRecording()

    async def _ring_again(self, live: LiveCall) -> None:
        """The caller's offer has no answer yet, so its peer connection goes to whichever node answers."""
        context, call = self._context, live.call
        due = call.deadline()
        if due is not None and due[0] <= context.clock.now():
            live.waiting.extend(context.devices.of(call.callee.profile))  # which have rung, and hear the end
            await self._termination.end(live, EndReason.NO_ANSWER)
            return
        live.caller.session = await context.open_session(live, context.device_of(call.caller))
        call.caller.transport_id = live.caller.session.transport_id
        for device in context.devices.known(call.callee.profile):
            if device.connected:
                await self._invitations.ring(live, device)
            else:
                live.waiting.append(device)  # it may have rung at the node before, and hears what becomes of the call
        self._termination.set_timer(live)
        context.tell_state(live, call.caller)

    async def _come_back(self, live: LiveCall, sheet: CallSheet) -> None:
        call = live.call
        if not all(party.can_update for party in call.parties):
            await self._termination.end(live, EndReason.EXPIRED)  # a client of version 1 takes no offer
            return
        for party, kept in zip(call.parties, (sheet.caller, sheet.callee), strict=True):
            live.media(party).session = session = await self._session(live, kept)
            party.transport_id = session.transport_id
            party.returning = True
        await self._recordings.answered(live)
        self._termination.set_timer(live)
        self._negotiation.call_back(live)

    async def _session(self, live: LiveCall, kept: PartySheet) -> Session:
        """A session in the place of one that is lost: it has its peer's description, and never any media."""
        session = await self._context.open_session(live, None)
        session.role = kept.role
        session.remote = parse_sdp(kept.description or "")
        return session

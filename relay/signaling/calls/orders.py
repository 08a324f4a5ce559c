"""Orders and changes of the platform, which may come to any node of the cluster and concern the calls of any other one.

An order about one call is asked of every node: the nodes are few, orders are rare, and a node knows its calls better than any
directory does. A change (a block, a member that has left) is posted to every node, and not waited for.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, assert_never

from relay.cluster.messages import (
    Absent,
    Blocked,
    CallOrder,
    CallRead,
    CallsListed,
    CredentialsRevoked,
    Denied,
    Done,
    Drop,
    EndCall,
    ListCalls,
    OrderRefused,
    ReadCall,
    RecordingPolicyChanged,
    RemoveProfile,
    Reply,
    Request,
    ScopesChanged,
    StartRecording,
    StopRecording,
)
from relay.cluster.values import NodeRef
from relay.errors import SignalingError, Unavailable
from relay.ids import Profile, Scope
from relay.records.calls import OngoingCall, OngoingCallDetail, OngoingCalls
from relay.records.recordings import RecordingPolicy
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.enforcement import CREDENTIAL_OVER, DELETED_TEXT, DROPPED, DROPPED_TEXT, Enforcement
from relay.signaling.calls.live import CallMoved
from relay.signaling.calls.recordings import Recordings

LISTED: Final = 1000
"""Calls in one message between nodes: 300 kB of the megabyte that it may have."""

Change = Blocked | ScopesChanged | RecordingPolicyChanged | CredentialsRevoked


class Orders:
    """`relay.http.ports.Enforcer` and `relay.http.admin.recording_orders.RecordingOrders`, and what they mean at other nodes.

    Attributes:
        listed: calls in one message between nodes.
        on_revoked: called when another node says that credentials are revoked, or are good again.
    """

    def __init__(self, context: CallContext, enforcement: Enforcement, recordings: Recordings) -> None:
        self._context = context
        self._enforcement = enforcement
        self._recordings = recordings
        self.listed = LISTED
        self.on_revoked: Callable[[], None] = lambda: None

    # -- one call -----------------------------------------------------------------------------------------------------

    async def detail(self, call_id: str) -> OngoingCallDetail | None:
        """A call that has not ended, with its media; None: there is none.

        Raises:
            Unavailable: a node that has it, or may have it, does not answer; here and below.
        """
        reply = await self._order(ReadCall(call_id))
        return reply.detail if isinstance(reply, CallRead) else None

    async def end_call(self, call_id: str) -> bool:
        """End a call; whether it was going on."""
        return isinstance(await self._order(EndCall(call_id)), Done)

    async def order(self, call_id: str) -> str | None:
        """Record a call without asking its parties.

        Returns:
            The id of the recording; empty: it begins with the answer. None: no such call is in progress.

        Raises:
            SignalingError: it may or can not be recorded.
        """
        reply = await self._order(StartRecording(call_id))
        if isinstance(reply, OrderRefused):
            raise SignalingError(reply.code, reply.text)
        return reply.result if isinstance(reply, Done) else None

    async def stop(self, call_id: str) -> bool:
        """End the recording of a call; whether there was one."""
        reply = await self._order(StopRecording(call_id))
        return isinstance(reply, Done) and reply.result is not None

    async def _order(self, order: CallOrder) -> Reply:
        """Have an order carried out by the node that has its call."""
        reply = await self._here(order)
        return await self._elsewhere(order) if isinstance(reply, Absent) else reply

    async def _here(self, order: CallOrder) -> Reply:
        """Carry an order out, if its call is of this node."""
        reply: Reply = Absent()
        if self._context.live.with_id(order.call_id) is None:
            return reply
        with suppress(CallMoved):  # it is another node's by now
            reply = await self._carry_out(order)
        return reply

    async def _carry_out(self, order: CallOrder) -> Reply:
        call_id = order.call_id
        reply: Reply = Absent()
        match order:
            case ReadCall():
                detail = self._enforcement.detail(call_id)
                reply = Absent() if detail is None else CallRead(detail)
            case EndCall():
                reply = Done("") if await self._enforcement.end_call(call_id) else Absent()
            case StartRecording():
                try:
                    reply = Done(await self._recordings.order(call_id))
                except SignalingError as error:
                    reply = OrderRefused(error.code, str(error))
            case StopRecording():
                reply = Done("" if await self._recordings.stop(call_id) else None)
        return reply

    async def _elsewhere(self, order: CallOrder) -> Reply:
        """Ask all other nodes at once; the answer of the one that has the call."""
        others = self._others()
        if not others:
            return Absent()
        asked = [asyncio.ensure_future(self._context.cluster.ask(node, order)) for node in others]
        silent = False
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    reply = await answer
                except Unavailable:
                    silent = True
                    continue
                if not isinstance(reply, Absent | Denied):
                    return reply
                silent = silent or isinstance(reply, Denied)
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if silent or await self._is_open(order.call_id):
            raise Unavailable("the server that has this call does not answer; try again in a few seconds")
        return Absent()

    async def _is_open(self, call_id: str) -> bool:
        """Whether a call that no node has goes on all the same: its node is lost, and none has taken it over yet."""
        for log in self._context.ports.logs.values():
            if call_id in await log.signs(()):
                return True
        return False

    # -- all calls ----------------------------------------------------------------------------------------------------

    async def ongoing(self) -> OngoingCalls:
        """The calls of all nodes that have not ended."""
        others = self._others()
        found = await asyncio.gather(*(self._calls_of(one) for one in others))
        calls = [*self._enforcement.ongoing(), *(call for some in found for call in some or ())]
        calls.sort(key=lambda one: (one.started_at, one.call_id))
        return OngoingCalls(tuple(calls), tuple(node.name for node, some in zip(others, found, strict=True) if some is None))

    async def _calls_of(self, node: NodeRef) -> Sequence[OngoingCall] | None:
        calls: list[OngoingCall] = []
        try:
            while True:
                reply = await self._context.cluster.ask(node, ListCalls(calls[-1].call_id if calls else ""))
                if not isinstance(reply, CallsListed):
                    return None
                calls += reply.calls
                if not reply.more:
                    return calls
        except Unavailable:
            return None

    def _list(self, after: str) -> CallsListed:
        rest = sorted((one for one in self._enforcement.ongoing() if one.call_id > after), key=lambda one: one.call_id)
        return CallsListed(tuple(rest[: self.listed]), more=len(rest) > self.listed)

    # -- profiles -----------------------------------------------------------------------------------------------------

    async def remove(self, profile: Profile) -> None:
        """A profile is deleted: it leaves its call, and its devices are sent away.

        Raises:
            Unavailable: the node that has its call does not answer; its devices at this one are gone.
        """
        try:
            # First of all: what its devices do when they are sent away could end the call as one that the callee has missed.
            await self._leave_elsewhere(profile)
        finally:
            await self._enforcement.remove(profile)
        await self._drop_elsewhere(profile, CREDENTIAL_OVER, DELETED_TEXT)

    async def _leave_elsewhere(self, profile: Profile) -> None:
        context = self._context
        claim = await context.cluster.call_of(profile)
        if claim is not None and claim.owner != context.me:
            await context.cluster.ask(claim.owner, RemoveProfile(profile))

    async def drop(self, profile: Profile) -> None:
        """Send the devices of a profile away, and end the call that they are in.

        Raises:
            Unavailable: those of other nodes cannot be found now.
        """
        await self._enforcement.drop(profile)
        await self._drop_elsewhere(profile, DROPPED, DROPPED_TEXT)

    async def _drop_elsewhere(self, profile: Profile, code: int, reason: str) -> None:
        """Have other nodes send the devices of a profile away."""
        cluster = self._context.cluster
        for card in await cluster.devices_of(profile):
            cluster.post(card.home, Drop(card.device_id, code, reason))

    async def revoke(self, profile: Profile | None, issued_before: float) -> None:
        """As `Enforcement.revoke`: every node finds in the database what is revoked (`revoked`)."""
        await self._enforcement.revoke(profile, issued_before)

    def revoked(self) -> None:
        """What is revoked has changed in the database: the other nodes look there at once."""
        self._post(CredentialsRevoked())

    # -- changes ------------------------------------------------------------------------------------------------------

    async def block(self, blocker: Profile, blocked: Profile) -> None:
        """One profile has blocked another: a call between the two ends."""
        await self._change(Blocked(blocker, blocked))

    async def review(self, *scopes: Scope) -> None:
        """Who belongs to these scopes has changed: calls there end whose parties do not."""
        await self._change(ScopesChanged(scopes))

    @property
    def server_policy(self) -> RecordingPolicy:
        """Of this server."""
        return self._recordings.server_policy

    async def set_policy(self, scope: Scope, policy: RecordingPolicy | None) -> None:
        """The policy of a scope is this: recordings there end that it does not allow."""
        await self._change(RecordingPolicyChanged(scope, None if policy is None else policy.value))

    async def _change(self, change: Change) -> None:
        self._post(change)  # first, as the others work meanwhile
        await self.take(change)

    def _post(self, change: Change) -> None:
        """Tell all other nodes. One that misses it finds it in the database by itself, within 30 s (`review`)."""
        for node in self._others():
            self._context.cluster.post(node, change)

    # -- what other nodes say -----------------------------------------------------------------------------------------

    async def take(self, change: Change) -> None:
        """Let a change have its consequences here."""
        match change:
            case Blocked():
                await self._enforcement.block(change.blocker, change.blocked)
            case ScopesChanged():
                if change.scopes:
                    await self._enforcement.review(*change.scopes)
            case RecordingPolicyChanged():
                policy = None if change.policy is None else RecordingPolicy(change.policy)
                await self._recordings.set_policy(change.scope, policy)
            case CredentialsRevoked():
                self.on_revoked()
            case _:
                assert_never(change)

    async def answer(self, request: Request) -> Reply:
        """Carry out what another node asks for."""
        match request:
            case CallOrder():
                return await self._here(request)
            case ListCalls():
                return self._list(request.after)
            case RemoveProfile():
                await self._enforcement.remove(request.profile)
                return Done("")
        return Denied("not known here")

    def _others(self) -> Sequence[NodeRef]:
        return [card.ref for card in self._context.cluster.nodes()[1:]]

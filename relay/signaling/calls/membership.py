"""The part of a node that other nodes and the engine talk to (`relay.cluster.api.Member`)."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

from relay.cluster.messages import (
    Blocked,
    CredentialsRevoked,
    Drop,
    Flush,
    Flushed,
    MediaMoved,
    Message,
    RecordingPolicyChanged,
    Reply,
    Request,
    Resume,
    ScopesChanged,
    TakeCall,
    TakeOver,
    ToDevice,
)
from relay.cluster.values import NodeRef
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.home import Home
from relay.signaling.calls.moving import Moving
from relay.signaling.calls.orders import Orders
from relay.signaling.calls.owner import Owner
from relay.signaling.calls.succession import Succession
from relay.signaling.calls.termination import Termination

logger = logging.getLogger(__name__)


LOOKS_EVERY: Final = 2.0
"""Seconds between two looks of a node without its lease at which of its calls are others' by now: the parties of these wait. A
client that its balancer leads here again is sent away as often."""

LOOKS_FOR: Final = 2.0
"""Seconds that a node which holds its lease again looks which of its calls are others' by now, before it goes on."""


class Membership:
    """Hands on what other nodes say, and what becomes of them.

    Attributes:
        look: asks the database which calls of this node others have taken over, and says so by `taken_over`.
    """

    look: Callable[[], Coroutine[Any, Any, None]]

    def __init__(
        self,
        context: CallContext,
        termination: Termination,
        home: Home,
        owner: Owner,
        succession: Succession,
        orders: Orders,
        moving: Moving,
    ) -> None:
        self._context = context
        self._termination = termination
        self._home = home
        self._owner = owner
        self._succession = succession
        self._orders = orders
        self._moving = moving

    @property
    def counters(self) -> Counter[str]:
        """Of what happened between nodes."""
        return self._home.counters + self._owner.counters + self._succession.counters + self._moving.counters

    def take(self, sender: NodeRef, message: Message) -> None:
        if isinstance(message, ToDevice | Drop):
            self._home.take(sender, message)
        elif isinstance(message, Blocked | ScopesChanged | RecordingPolicyChanged | CredentialsRevoked):
            self._context.spawn(self._orders.take(message))
        elif isinstance(message, MediaMoved):
            self._moving.media_moved(message.call_id)
        else:
            self._owner.take(message)

    async def answer(self, sender: NodeRef, request: Request) -> Reply:
        match request:
            case Resume():
                return self._home.hand_over(sender, request)
            case TakeOver():
                return await self._succession.take(sender, request)
            case TakeCall():
                return self._home.placing.answer()
            case Flush():
                await self._owner.flush(request.device_id)
                return Flushed()
            case _:
                return await self._orders.answer(request)

    def missed(self, sender: NodeRef) -> None:
        logger.warning("messages of node %s are lost: the devices that they may have concerned begin anew", sender.name)
        self._context.spawn(self._home.missed(sender))
        self._context.spawn(self._owner.missed(sender))

    def lost(self, node: NodeRef) -> None:
        self._owner.lost_home(node)
        self._context.spawn(self._succession.lost(node))

    def fenced(self) -> None:
        logger.warning("this node cannot renew its lease: no new calls; those that there are go on")
        self._context.spawn(self._look_while_fenced())

    def restored(self) -> None:
        logger.info("this node holds its lease again")
        self._context.spawn(self._restored())

    async def _look_while_fenced(self) -> None:
        """Only the database can tell this node what others have taken over, as long as it reaches that."""
        context = self._context
        if not context.closing and not context.cluster.may_act():
            await self.look()
            self._home.send_doubtful_away()
            context.later(LOOKS_EVERY, self._look_while_fenced)

    async def _restored(self) -> None:
        # First: what devices say of a call that another node has by now is that node's to hear.
        looking = asyncio.ensure_future(self.look())
        await asyncio.wait([looking], timeout=LOOKS_FOR)
        await self._home.restored()
        await self._owner.restored()

    def taken_over(self, call_id: str) -> None:
        """Another node has taken a call of this one over, which it took for dead."""
        self._context.spawn(self._taken_over(call_id))

    async def _taken_over(self, call_id: str) -> None:
        await self._termination.taken_over(call_id)
        cluster = self._context.cluster
        if not cluster.nodes():
            return
        if cluster.may_act():
            await self._home.settle_devices()
        else:
            self._home.send_doubtful_away()

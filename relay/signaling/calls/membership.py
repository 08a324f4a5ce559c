"""The part of a node that other nodes and the engine talk to (`relay.cluster.api.Member`)."""

import logging
from collections import Counter

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

logger = logging.getLogger(__name__)


class Membership:
    """Hands on what other nodes say, and what becomes of them."""

    def __init__(
        self, context: CallContext, home: Home, owner: Owner, succession: Succession, orders: Orders, moving: Moving
    ) -> None:
        self._context = context
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

    def restored(self) -> None:
        logger.info("this node holds its lease again")
        self._context.spawn(self._home.restored())
        self._context.spawn(self._owner.restored())

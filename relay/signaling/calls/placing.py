"""Which node owns a new call: the home of the caller's device, or another one that it asks."""

import asyncio
import contextlib
from collections.abc import Collection
from typing import Final

from relay.cluster.messages import Denied, Flush, Reply, TakeCall, Willing
from relay.cluster.values import NodeRef
from relay.errors import SignalingError, Unavailable
from relay.ids import Profile
from relay.signaling.calls.context import CallContext
from relay.signaling.messages import incoming
from relay.signaling.presence.device import Device

ANSWERS: Final = 1.0
"""Seconds that a node has to say that it will own a call: the caller waits to hear it ring."""


class Placing:
    """Finds the owner of a new call among the nodes."""

    def __init__(self, context: CallContext) -> None:
        self._context = context

    # -- as the home of the caller's device ---------------------------------------------------------------------------

    async def place(self, device: Device, message: incoming.CallInvitation) -> NodeRef | None:
        """Find another node that is to own a new call of a device of this one.

        Returns:
            One that is willing; None: this node is to own it. A server by itself does not wait for that.

        Raises:
            Unavailable: that cannot be found out now.
        """
        context, cluster = self._context, self._context.cluster
        if len(cluster.nodes()) < 2 or context.closing or not cluster.may_act():
            return None
        if context.draining and not device.resumable:  # it would leave its call as soon as this node sends it away
            return None
        chosen = cluster.choose(await self._homes_of(Profile(message.to_profile_type, message.to_profile_id)))
        if chosen is None or chosen == context.me:
            return None
        try:
            async with asyncio.timeout(ANSWERS):
                reply = await cluster.ask(chosen, TakeCall())
        except (Unavailable, TimeoutError):
            reply = Denied("it does not answer")
        begun = reply.begun if isinstance(reply, Willing) else None
        cluster.placed(chosen, begun)
        return None if begun is None else chosen

    async def _homes_of(self, callee: Profile) -> Collection[NodeRef]:
        """The nodes that the callee's devices are with, if that makes a difference."""
        context, cluster = self._context, self._context.cluster
        if len({one.region for one in cluster.nodes()}) < 2:
            return ()
        here = {context.me for one in context.devices.of(callee) if one.remote is None}
        return here | {one.home for one in await cluster.devices_of(callee) if one.connected}

    async def settled(self, device: Device) -> None:
        """Wait until the node that the device's invitation was sent to has taken it, as if the call were this node's: what the
        device says next is next. Nearly always it has heard from there before it says anything."""
        owner, device.placed_at = device.placed_at, None
        if owner is not None and device.remote is None:
            with contextlib.suppress(Unavailable):  # it is slow; or it is lost, and then the device is told so
                await self._context.cluster.ask(owner, Flush(device.device_id))

    # -- as a node that is asked --------------------------------------------------------------------------------------

    def answer(self) -> Reply:
        """Whether this node will own a call."""
        try:
            self._context.check_open()
        except SignalingError as error:
            return Denied(str(error))
        return Willing(self._context.cluster.nodes()[0].begun)

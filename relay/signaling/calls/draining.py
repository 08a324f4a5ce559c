"""Draining: a server that is to stop takes no new calls, sends clients away that are in none, and waits for the calls to end.

Those that have not ended after that time go on at other nodes, if there are any.
"""

import asyncio
import logging
from collections.abc import Sequence
from math import ceil
from typing import Final

from relay.signaling.calls.context import CallContext
from relay.signaling.calls.live import LiveCall
from relay.signaling.calls.moving import Moving
from relay.signaling.presence.device import Device

logger = logging.getLogger(__name__)

COME_BACK: Final = 1012
"""Close code: service restart. A client connects again, and finds another server, or this one once it is back."""

SPREAD: Final = 10.0
"""Seconds over which clients are sent away: all of them at once would all sign in at the same moment elsewhere. It is the server
that spreads them, because the pauses of clients are short, and few of them vary."""

MOVES: Final = 30.0
"""Seconds after that time in which calls may move to other nodes. They begin to over `SPREAD`: each takes the other node two
handshakes."""

TICK: Final = 0.2
"""Seconds between two looks."""


def share(waiting: int, left: float) -> int:
    """How many of those that wait are sent away now, so that their number falls evenly.

    Args:
        left: seconds until none of them is to be left.
    """
    return min(waiting, ceil(waiting * TICK / max(left, TICK)))


class Draining:
    """The drain of a server.

    Attributes:
        drained: set once no call and no client is left, or the time is over.
    """

    def __init__(self, context: CallContext, moving: Moving) -> None:
        self.drained = asyncio.Event()
        self._context = context
        self._moving = moving
        self._until = 0.0
        self._spread_until = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def seconds_left(self) -> float | None:
        """Until calls that still go on are moved to another node, or ended; None: the server does not drain."""
        return max(0.0, self._until - self._context.clock.now()) if self._context.draining else None

    def begin(self, seconds: float) -> None:
        """Drain, for that long at most from now on. If it does already, this is its new limit."""
        context = self._context
        if context.closing:
            return
        now = context.clock.now()
        self._until = now + seconds
        logger.info("draining: no new calls; %d calls have %g s to end", len(context.live), seconds)
        if self._task is None:
            context.draining = True
            self._spread_until = now + (min(SPREAD, seconds) if self._moving.alone else SPREAD)
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def close(self) -> None:
        """The server stops, drained or not."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _drain(self) -> None:
        context, moving = self._context, self._moving
        while (now := context.clock.now()) < self._until + MOVES:
            movable = moving.movable()
            if now >= self._until:
                ready = moving.ready(movable)
                for live in ready[: share(len(movable), self._until + SPREAD - now)]:
                    moving.begin(live)
            # A device whose profile rings or is in a call stays: it is, or may become, a party's.
            idle = [one for one in context.devices.all() if one.connected and self._is_idle(one)]
            if not moving.busy and self._is_over(now, idle, movable):
                break
            for device in idle[: share(len(idle), self._spread_until - now)]:
                context.devices.send_away(device, COME_BACK, "the server is about to stop; come back")
            await asyncio.sleep(TICK)
        logger.info("drained: %d calls are left", len(context.live))
        self.drained.set()

    def _is_over(self, now: float, idle: Sequence[Device], movable: Sequence[LiveCall]) -> bool:
        if now < self._until:
            return not idle and not len(self._context.live)
        return not movable and (not idle or self._moving.alone)

    def _is_idle(self, device: Device) -> bool:
        return self._context.live.of(device.profile) is None and self._moving.owner_of(device.profile) is None

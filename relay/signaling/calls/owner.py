"""What a node does as the owner of calls for devices that have another home: what they say and do is taken here, in order."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from relay.cluster.messages import Away, Came, Drop, FromDevice, Gone, Message, Unsure
from relay.cluster.values import DeviceCard, NodeRef
from relay.errors import RelayError, Unavailable
from relay.signaling.calls.arrivals import Arrivals
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.draining import COME_BACK
from relay.signaling.messages.outgoing import Error
from relay.signaling.presence.device import Device
from relay.signaling.presence.devices import ANEW

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 256
"""Things that a device has said and done and that wait for one before them. Its home counts its messages, so that it comes to
this only if a call waits for its media plane."""

Work = Callable[[], Awaitable[None]]


class Owner:
    """Takes what homes say of their devices.

    Args:
        take: takes a frame of a device; raises nothing.

    Attributes:
        counters: `forwarded_messages`: of devices of other nodes.
    """

    def __init__(self, context: CallContext, arrivals: Arrivals, take: Callable[[Device, bytes], Awaitable[None]]) -> None:
        self._context = context
        self._arrivals = arrivals
        self._take = take
        self._work: dict[Device, deque[Work]] = {}
        self.counters: Counter[str] = Counter()

    # -- what homes say -----------------------------------------------------------------------------------------------

    def take(self, message: Message) -> None:
        """Take what a home says of one of its devices."""
        match message:
            case FromDevice(device=card) | Came(device=card) | Away(device=card) | Unsure(device=card) if self._is_gone(card):
                pass  # its message came back by way of another node
            case FromDevice():
                self._from_device(message)
            case Came():
                self._came(message)
            case Away():
                self._away(message)
            case Gone():
                self._gone(message)
            case Unsure():
                device = self._context.devices.meet(message.device, self._context.me)
                self._do(device, partial(self._unsure, device))

    def _is_gone(self, card: DeviceCard) -> bool:
        """Whether a device is of no node any more, as far as this one knows, which was its home."""
        return card.home == self._context.me and self._context.devices.with_id(card.device_id) is None

    def _from_device(self, message: FromDevice) -> None:
        context = self._context
        device = context.devices.meet(message.device, context.me)
        self.counters["forwarded_messages"] += 1
        if len(self._work.get(device, ())) >= MAX_WAITING:
            device.send(Error(code="rate_limited", message="too many messages; wait a little", ref=None))
            return
        self._do(device, partial(self._take, device, message.frame))

    def _came(self, message: Came) -> None:
        context, card = self._context, message.device
        if context.live.of(card.profile) is None:  # its call has ended meanwhile
            if message.told:  # while its home was taken for lost
                context.cluster.post(card.home, Drop(card.device_id, COME_BACK, ANEW))
            return
        known = context.devices.with_id(card.device_id)
        is_news = not message.repeated or known is None or not known.connected
        device = context.devices.meet(card, context.me)
        if not is_news:
            return
        if card.replaces is not None:
            self._do(device, partial(self._replaced, device, card.replaces))
        self._do(device, partial(self._arrivals.came, device))

    async def _unsure(self, device: Device) -> None:
        if not await self._arrivals.unsure(device) and device.remote is not None:
            device.remote.drop(device.device_id, COME_BACK, ANEW)

    async def _replaced(self, device: Device, former_id: str) -> None:
        context = self._context
        former = context.devices.get(device.profile, former_id)
        if former is not None:
            context.devices.remove(former)
        await self._arrivals.replaced(device, former_id)

    def _away(self, message: Away) -> None:
        context, card = self._context, message.device
        device = context.devices.with_id(card.device_id)
        if device is None and context.live.of(card.profile) is not None:
            context.devices.meet(card, context.me)  # its home was cut off when this node took the call over
            return
        if device is None or device.remote is None or card.moves < device.moves:
            return
        device.learn(card)
        self._do(device, partial(self._arrivals.lost, device))
        if not device.resumable:
            context.devices.remove(device)

    def _gone(self, message: Gone) -> None:
        context = self._context
        device = context.devices.with_id(message.device_id)
        if device is None or device.remote is None:
            return
        device.remote.connected, device.dropped = False, message.dropped
        context.devices.remove(device)
        if message.dropped:
            self._do(device, partial(self._arrivals.sent_away, device))
        else:
            self._do(device, partial(self._arrivals.lost, device))
            self._do(device, partial(self._arrivals.gone, device))

    async def flush(self, device_id: str) -> None:
        """Wait until everything is taken that a device of another node has said so far."""
        device = self._context.devices.with_id(device_id)
        if device is None or device not in self._work:
            return
        taken = asyncio.Event()

        async def note() -> None:
            taken.set()

        self._do(device, note)
        await taken.wait()

    # -- one after another --------------------------------------------------------------------------------------------

    def _do(self, device: Device, work: Work) -> None:
        """Do something once everything before it that concerns the device is done, as on one node."""
        waiting = self._work.get(device)
        if waiting is not None:
            waiting.append(work)
            return
        self._work[device] = deque([work])
        if device.remote is not None:
            device.remote.busy = True
        self._context.spawn(self._work_off(device))

    async def _work_off(self, device: Device) -> None:
        waiting = self._work[device]
        try:
            while waiting:
                try:
                    await waiting[0]()
                except (RelayError, KeyError) as error:  # of a worker that has died, say, whose calls end
                    logger.warning("what became of a device of %s could not be taken: %s", device.profile.key, error)
                waiting.popleft()
        finally:
            del self._work[device]
            if device.remote is not None:
                device.remote.busy = False
            self._context.forget(device.profile)

    # -- when nodes or messages are lost ------------------------------------------------------------------------------

    def lost_home(self, node: NodeRef) -> None:
        """That node is lost: its devices are away, and their clients come back as others."""
        for device in self._context.devices.at_home(node):
            self._context.devices.cut_off(device)
            self._do(device, partial(self._arrivals.lost, device))

    async def missed(self, home: NodeRef) -> None:
        """What that node said of its devices may be lost, and they do not know: those in calls of this node begin anew."""
        context = self._context
        for device in context.devices.at_home(home):
            if device.remote is not None:
                device.remote.drop(device.device_id, COME_BACK, ANEW)
        await self._meet_devices(home)

    async def restored(self) -> None:
        """The engine has the calls of this node again. Devices that came before are in none of them yet."""
        await self._meet_devices(None)

    async def _meet_devices(self, home: NodeRef | None) -> None:
        """Look for devices of the parties that this node does not know, or believes elsewhere, of that home or of any."""
        context = self._context
        for live in list(context.live):
            for party in live.call.parties:
                try:
                    cards = await context.cluster.devices_of(party.profile)
                except Unavailable:
                    continue
                for card in cards:
                    if home in {None, card.home}:
                        self._meet(card, anew=home is not None)

    def _meet(self, card: DeviceCard, *, anew: bool) -> None:
        """
        Args:
            anew: what the device has said since it came to its home may be lost.
        """
        known = self._context.devices.with_id(card.device_id)
        if known is None:
            self._came(Came(card))
        elif known.remote is not None and card.moves > known.moves:
            self._came(Came(card))
            if anew:
                known.remote.drop(known.device_id, COME_BACK, ANEW)

"""What a node does as the home of devices: other nodes know where they are, and get what they say about calls that are theirs."""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from relay.cluster.messages import Away, Came, Denied, Drop, Gone, Message, Reply, Resume, Resumed, ToDevice, Unsure
from relay.cluster.values import Claim, DeviceCard, NodeRef
from relay.errors import Unavailable
from relay.ids import Profile
from relay.signaling.calls.arrivals import Arrivals
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.draining import COME_BACK
from relay.signaling.calls.placing import Placing
from relay.signaling.messages import incoming
from relay.signaling.ports import Action
from relay.signaling.presence.device import Device
from relay.signaling.presence.devices import ANEW, RESUMED_ELSEWHERE

logger = logging.getLogger(__name__)

MAX_MOVED: Final = 10_000
"""Devices of which it is remembered where they went: a minute of them, if all clients of a node move."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A device that went from here to another node.

    Attributes:
        told_by: the nodes from which it had heard about a call, and not about its end.
        came_from: the node that was its home before this one.
    """

    to: NodeRef
    profile: Profile
    told_by: frozenset[NodeRef]
    came_from: NodeRef | None

    def misses(self, sender: NodeRef) -> bool:
        """Whether something for it may have been among messages of that node to this one which are lost."""
        return sender in self.told_by or (sender == self.came_from and bool(self.told_by))


def digest(token: str) -> bytes:
    """What other nodes know of a token by which a device comes back."""
    return hashlib.sha256(token.encode()).digest()


class Home:
    """Tells other nodes about the devices of this one, and devices what other nodes have to say to them.

    Attributes:
        placing: of new calls of these devices.
        counters: `unknown_devices`: messages of other nodes to devices that are not here. `restarted_devices`: devices that had
            to begin anew, because messages to them may be lost.
    """

    def __init__(self, context: CallContext, arrivals: Arrivals) -> None:
        self._context = context
        self._arrivals = arrivals
        self.placing = Placing(context)
        self.counters: Counter[str] = Counter()
        self._moved: dict[str, Departure] = {}
        """Device id → where it went from here, the latest last."""
        self._settling = asyncio.Lock()
        self._expected: dict[str, list[tuple[NodeRef, Message]]] = {}
        """Devices that may be about to come from another node, and what has come for them already."""

    # -- a client connects --------------------------------------------------------------------------------------------

    async def resume(self, profile: Profile, token: str, last_seq: int) -> tuple[Device | None, str | None]:
        """Have a device handed over by the node that it was with.

        Returns:
            The device, or None; and the id of a device that the client was, and that is lost.
        """
        try:
            card = await self._context.cluster.whose(digest(token))
        except Unavailable:
            return None, None
        if card is None or card.profile != profile or card.home == self._context.me:
            return None, None
        if card.device_id in self._expected:  # it comes twice at the same time
            return None, None
        known = self._context.devices.with_id(card.device_id)
        remote = None if known is None else known.remote
        self._expected[card.device_id] = []
        # Also if it does not come: its former home may give it away all the same, and two that send on to each other never end.
        self._moved.pop(card.device_id, None)
        if remote is not None:
            remote.hold()
        try:
            reply = await self._ask(card, token, last_seq)
            device = self._context.devices.settle(token, reply) if isinstance(reply, Resumed) else None
        finally:
            waiting = self._expected.pop(card.device_id)
            if remote is not None and known is not None:
                for held in remote.unhold():
                    known.send(held)
        if device is None:
            self._context.cluster.post(card.home, Drop(card.device_id, RESUMED_ELSEWHERE, "resumed as another device"))
            return None, card.device_id
        self._own(device)
        for sender, message in waiting:
            self.take(sender, message)
        return device, None

    async def _ask(self, card: DeviceCard, token: str, last_seq: int) -> Reply:
        cluster = self._context.cluster
        if not cluster.lives(card.home):
            return Denied("its home is lost")
        try:
            return await cluster.ask(card.home, Resume(token, last_seq))
        except Unavailable as error:
            return Denied(str(error))

    async def announce(self, device: Device, *, repeated: bool = False) -> Claim | None:
        """Tell other nodes about a device, as it is now, and the node that owns its profile's call above all.

        Args:
            repeated: they may know.

        Returns:
            The call of another node that the profile is in.
        """
        context = self._context
        async with device.turn:
            if device.remote is not None or context.devices.with_id(device.device_id) is not device:
                return None
            card = device.card(context.me)
            try:
                claim = await context.cluster.enlist(card, digest(device.resume_token) if device.resumable else b"")
            except Unavailable:  # told again once the engine is back
                device.announced = False
                return None
            known, device.announced = repeated and device.announced, True
            elsewhere = self._elsewhere(device, claim)
            owner = elsewhere or self._latest(device)
            if owner is not None:
                came = Came(card, known, told=repeated and owner in device.told_by)
                context.cluster.post(owner, came if card.connected else Away(card))
            return None if elsewhere is None else claim

    async def lost(self, device: Device) -> None:
        """A device has lost its connection."""
        context = self._context
        await self.placing.settled(device)
        if context.devices.with_id(device.device_id) is device:
            if not device.connected and not device.arriving:
                await self.announce(device)
        else:
            card = device.card(context.me)
            await self._tell_gone(device, Away(card))

    async def gone(self, device: Device, *, dropped: bool = False) -> None:
        """A device of this node will not come back as the same one, and is not among the devices any more."""
        if device.remote is None:
            await self._tell_gone(device, Gone(device.device_id, dropped))

    async def _tell_gone(self, device: Device, message: Message) -> None:
        context = self._context
        async with device.turn:
            context.cluster.dismiss(device.card(context.me), digest(device.resume_token) if device.resumable else b"")
            try:
                owner = self._elsewhere(device, await context.cluster.call_of(device.profile)) or self._latest(device)
            except Unavailable:
                owner = self._latest(device)
            if owner is not None:
                context.cluster.post(owner, message)

    def _elsewhere(self, device: Device, claim: Claim | None) -> NodeRef | None:
        """The owner of the call of a device's profile, if that is another node."""
        if claim is None or claim.owner == self._context.me:
            return None
        device.owner = claim.owner
        return claim.owner

    def _latest(self, device: Device) -> NodeRef | None:
        """The node that told a device about a call last, and may still own it although the engine does not say so: the engine is
        away, and what is posted waits; or it came back empty, and has not got the claim again yet."""
        return device.owner if device.owner is not None and self._context.cluster.lives(device.owner) else None

    # -- what devices say ---------------------------------------------------------------------------------------------

    async def forwarded(self, device: Device, message: incoming.FromClient, frame: str | bytes) -> bool:
        """Give a message of a device, whose profile is in no call that this node owns, to the owner of its call; whether there
        is one.

        Raises:
            SignalingError: `rate_limited`.
            Unavailable: that cannot be found out now.
        """
        context = self._context
        if isinstance(message, incoming.Ping) or device.remote is not None:
            return False
        await self.placing.settled(device)
        begins = isinstance(message, incoming.CallInvitation)
        owner = await self._owner(device, begins=begins)
        placed = False
        if owner is None and isinstance(message, incoming.CallInvitation) and context.live.of(device.profile) is None:
            owner = await self.placing.place(device, message)
            placed = owner is not None
            if device.dropped or context.live.of(device.profile) is not None:  # while this waited
                return False
        # A call that is about to begin here does not count: its claim will find the one that the engine knows.
        if owner is None or context.live.owned(device.profile) is not None:
            return False
        if begins:
            context.check_rate(device, Action.INVITATION)
        if placed and device.remote is None:
            # Before it has claimed the profile, what the device says and does goes there, and its death is the end of the call.
            device.owner = owner
            device.told_by.add(owner)
        context.forward(device, owner, frame)
        if placed:
            device.placed_at = owner
        return True

    async def _owner(self, device: Device, *, begins: bool) -> NodeRef | None:
        """The other node that owns the call of a device's profile. The engine is asked only if that may not be what the device
        has been told: each message that a client says in a call would wait for that.

        Args:
            begins: it is an invitation that waits for this. Without a word to the device of a call, none is looked for: if there
                is one all the same, the claim of the next one will find it.

        Raises:
            Unavailable: that cannot be found out now.
        """
        context, latest = self._context, self._latest(device)
        if begins and not device.told_by and context.is_open:
            return None
        if not begins and latest is not None and device.told_by == {latest} and not device.in_doubt:
            return latest
        try:
            owner = self._elsewhere(device, await context.cluster.call_of(device.profile))
        except Unavailable:
            if begins or latest is None:
                raise
            owner = None
        return latest if owner is None and not begins and context.live.of(device.profile) is None else owner

    # -- what other nodes say -----------------------------------------------------------------------------------------

    def take(self, sender: NodeRef, message: Message) -> None:
        """Take what another node has to say to a device."""
        assert isinstance(message, ToDevice | Drop), "it is for a device"
        context, device_id = self._context, message.device_id
        device = context.devices.with_id(device_id)
        if device_id in self._expected:
            self._expected[device_id].append((sender, message))
        elif device is not None and device.remote is None:
            if isinstance(message, ToDevice):
                device.take(message)
                self._own(device)
            else:
                context.spawn(self._drop(device, message.code, message.reason))
        elif (moved := self._moved.get(device_id)) is not None:
            context.cluster.post(moved.to, message)
        else:
            self.counters["unknown_devices"] += 1
            context.cluster.post(message.speaker if isinstance(message, ToDevice) else sender, Gone(device_id))

    def _own(self, device: Device) -> None:
        """Calls of this node are known here, also where it has spoken by way of a former home of the device: it is no other node
        that what the device says has to be sent to."""
        device.told_by.discard(self._context.me)
        if device.owner == self._context.me:
            device.owner = None

    async def _drop(self, device: Device, code: int, reason: str) -> None:
        device.dropped, for_good = True, code not in (COME_BACK, RESUMED_ELSEWHERE)
        if for_good:
            await self._arrivals.sent_away(device)
        self._context.devices.drop(device, code, reason)
        if not for_good:
            await self._arrivals.lost(device)
            await self._arrivals.gone(device)
        await self.gone(device, dropped=for_good)

    def hand_over(self, to: NodeRef, request: Resume) -> Reply:
        """Give a device to another node, which its client has connected to."""
        context = self._context
        device = context.devices.with_token(request.resume_token)
        if device is None or device.dropped:
            return Denied("no such device")
        frames = device.missed(request.last_seq)
        if frames is None:
            return Denied("what it missed is not here any more")
        mine = () if context.live.of(device.profile) is None else (context.me,)
        card, told_by = device.card(context.me), (*device.told_by, *mine)
        departure = Departure(to, device.profile, frozenset(told_by), device.came_from)
        remote = context.devices.depart(device, to, context.me)
        seq, taken, early = device.leave(remote)
        self._moved.pop(device.device_id, None)
        self._moved[device.device_id] = departure
        if len(self._moved) > MAX_MOVED:
            del self._moved[next(iter(self._moved))]
        context.forget(device.profile)
        for message in early:
            context.cluster.post(to, message)
        return Resumed(card, seq, tuple(frames), taken, told_by)

    # -- when nodes or messages are lost ------------------------------------------------------------------------------

    def restart(self, devices: Iterable[Device]) -> None:
        """Let clients begin anew, as other devices: what they were told may have gaps."""
        for device in list(devices):
            self.counters["restarted_devices"] += 1
            self._context.spawn(self._drop(device, COME_BACK, ANEW))

    async def missed(self, sender: NodeRef) -> None:
        """Messages of that node may be lost: to devices of this one, also the first ones of a call; and to devices that have gone
        to another node since, which their call's owner did not know yet, or which that node was to send on."""
        context = self._context
        self.restart(one for one in context.devices.all() if one.misses(sender) and not one.dropped)
        self._restart_elsewhere([device_id for device_id, one in self._moved.items() if one.misses(sender)])
        profiles = {one.profile for one in context.devices.all() if not one.dropped}
        for profile in profiles | {one.profile for one in self._moved.values()}:
            claim = await self._claim_of(profile) if context.live.of(profile) is None else None
            if claim is None or claim.owner == context.me:
                continue
            here = [one for one in context.devices.known(profile) if one.remote is None and not one.dropped]
            if claim.owner == sender:
                self.restart(here)
                self._restart_elsewhere([device_id for device_id, one in self._moved.items() if one.profile == profile])
            else:
                self.restart(one for one in here if one.came_from == sender and claim.owner not in one.told_by)

    def _restart_elsewhere(self, device_ids: Iterable[str]) -> None:
        for device_id in device_ids:
            self._context.cluster.post(self._moved[device_id].to, Drop(device_id, COME_BACK, ANEW))

    async def _claim_of(self, profile: Profile) -> Claim | None:
        try:
            return await self._context.cluster.call_of(profile)
        except Unavailable:
            return None

    def concerned(self, node: NodeRef) -> list[Device]:
        """The devices of this node whose profiles were last seen in a call of that one."""
        return [one for one in self._context.devices.all() if node in (one.owner, *one.told_by) and not one.dropped]

    async def restored(self) -> None:
        """The engine is back, and may have been empty."""
        for device in self._context.devices.all():
            await self.announce(device, repeated=True)
        await self.settle_devices()

    async def settle_devices(self) -> None:
        """Calls were taken over from this node: see that its devices do not take them for what they were."""
        async with self._settling:
            for device in self._context.devices.all():
                if device.in_doubt and not device.dropped:
                    await self._settle_device(device)

    def send_doubtful_away(self) -> None:
        """Calls were taken over from this node, which does not reach the others: their devices are to come to one that does.
        Those that reach no other are settled once this one reaches the others again."""
        for device in self._context.devices.all():
            if device.in_doubt and device.connected:
                self._context.devices.send_away(device, COME_BACK, "another server has the call; come back")

    async def _settle_device(self, device: Device) -> None:
        context = self._context
        try:
            claim = await context.cluster.call_of(device.profile)
        except Unavailable:  # it is looked at again once the engine is back
            return
        device.in_doubt = False
        if claim is None:
            self.restart([device])  # the call has ended at its new owner, which could not say so
        else:
            await self.unsure(device, claim.owner)

    async def unsure(self, device: Device, owner: NodeRef) -> None:
        """Have a device that may be wrong about its call told the truth by the owner, which is another one than it was."""
        context = self._context
        if owner == context.me:
            if not await self._arrivals.unsure(device):
                self.restart([device])
        else:
            await self.announce(device, repeated=True)
            context.cluster.post(owner, Unsure(device.card(context.me)))

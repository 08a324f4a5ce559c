"""What becomes of a call when a device of one of its parties comes, is away, or is gone; whichever node is the device's home."""

import contextlib
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from relay.signaling.calls import notices
from relay.signaling.calls import sheet as sheets
from relay.signaling.calls.call import BEFORE_ANSWER, EndReason, Party, State
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.invitations import Invitations
from relay.signaling.calls.live import CallMoved, LiveCall
from relay.signaling.calls.negotiation import Negotiation
from relay.signaling.calls.recordings import Recordings
from relay.signaling.calls.rejoining import Rejoining
from relay.signaling.calls.termination import Termination
from relay.signaling.presence.device import Device

P = ParamSpec("P")


def unless_moved(method: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Coroutine[Any, Any, None]]:
    """Decorator: a call that has moved to another node meanwhile is not concerned. That node hears of the device by its home."""

    @functools.wraps(method)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        with contextlib.suppress(CallMoved):
            await method(*args, **kwargs)

    return wrapper


class Arrivals:
    """Takes the coming and going of devices. No lock is held."""

    def __init__(
        self,
        context: CallContext,
        termination: Termination,
        recordings: Recordings,
        invitations: Invitations,
        negotiation: Negotiation,
        rejoining: Rejoining,
    ) -> None:
        self._context = context
        self._termination = termination
        self._recordings = recordings
        self._invitations = invitations
        self._negotiation = negotiation
        self._rejoining = rejoining

    @unless_moved
    async def came(self, device: Device) -> None:
        """A device has come: it rings if its profile is being called, and has its call again."""
        context = self._context
        live = context.live.of(device.profile)
        if live is None:
            return
        async with live.lock:
            call, party = live.call, live.call.party(device.profile)
            if not device.connected or call.state is State.ENDED:
                return
            if party.returning and party.device_id in (device.device_id, None):
                self._termination.hand_over(live, party, device)
                await self._negotiation.call_again(live, party)
            elif party.device_id == device.device_id:
                self._termination.hand_over(live, party, device)
                context.tell_state(live, party)
            elif device.device_id in live.ringing:
                self._invitations.look_at_ringing(live)
            elif not call.answered and party is call.callee:
                waking = call.state is State.INVITED
                async with self._termination.ended_on_error(live):
                    await self._invitations.ring(live, device)
                if waking:
                    context.tell_state(live, call.caller)
            elif call.answered and party.signaling_lost_at is not None:
                yours = party.device_id is None
                if yours:
                    self._termination.hand_over(live, party, device)
                    await self._recordings.joined(live, party, device)
                elif device not in live.waiting:
                    live.waiting.append(device)
                recording = context.recording_of(live, party)
                device.send(notices.state(call, party, live.answered_at, context.time_of(live), yours=yours, **recording))
            elif call.answered:
                context.tell_elsewhere(live, party, device)

    @unless_moved
    async def lost(self, device: Device) -> None:
        """A device has lost its connection; it may come back, or has already."""
        context = self._context
        live = context.live.of(device.profile)
        if live is None:
            return
        async with live.lock:
            call, party = live.call, live.call.party(device.profile)
            if device.connected or call.state is State.ENDED:  # while this waited for the lock
                return
            if party.device_id == device.device_id:
                if party.signaling_lost_at is None:  # its home may have said that it is away before it said that it is gone
                    call.signaling_lost(party, context.clock.now(), resumable=device.resumable)
                self._termination.set_timer(live)
            elif device.device_id in live.ringing:
                if not device.resumable:
                    await self._invitations.stop_ringing(live, device.device_id)
                self._invitations.look_at_ringing(live)
            await self._rejoining.device_lost(live, device)
            if party.returning and party.device_id in (device.device_id, None):
                await self._negotiation.call_again(live, party)

    async def unsure(self, device: Device) -> bool:
        """A device heard about its call from another node, which was lost, and may not know that it is not in it any more.

        Returns:
            Whether it is told the truth; otherwise it must begin anew.
        """
        context = self._context
        await context.arrived(device.profile)
        live = context.live.of(device.profile)
        if live is None or not live.succeeded:  # what it heard was about another call
            return False
        with contextlib.suppress(CallMoved):
            async with live.lock:
                return self._tell_truth(live, device)
        return False

    def _tell_truth(self, live: LiveCall, device: Device) -> bool:
        call, party = live.call, live.call.party(device.profile)
        if device.device_id in live.ringing or device in live.waiting:
            return True
        if call.state is State.ENDED:
            return False
        if not call.answered and party is call.callee:
            if not device.connected:  # one that is connected rings
                live.waiting.append(device)
        elif party.device_id not in (device.device_id, None):
            device.send(notices.ended(call, party, EndReason.ANSWERED_ELSEWHERE))
            self._context.tell_elsewhere(live, party, device)
        return True

    @unless_moved
    async def gone(self, device: Device) -> None:
        """A device has not come back: it rings no more, and any other of its profile may take its place in the call."""
        live = self._context.live.of(device.profile)
        if live is None:
            return
        async with live.lock:
            await self._vacate(live, live.call.party(device.profile), device.device_id)

    @unless_moved
    async def replaced(self, device: Device, former_id: str) -> None:
        """A client has come back as another device, since the one that it was before is lost with its home."""
        context = self._context
        live = context.live.of(device.profile)
        if live is None:
            return
        async with live.lock:
            party = live.call.party(device.profile)
            if party is live.call.caller and party.device_id == former_id and live.call.state in BEFORE_ANSWER:
                # It is still the client whose peer connection has offered, and an answer is of use to no other.
                party.device_id = device.device_id
                sheets.keep(context.cluster, live)  # at once: for a successor, its client would have gone
            elif party.device_id == former_id and party.signaling_lost_at is None and live.call.state is not State.ENDED:
                live.call.signaling_lost(party, context.clock.now(), resumable=False)
            await self._vacate(live, party, former_id)

    async def _vacate(self, live: LiveCall, party: Party, device_id: str) -> None:
        """A device that was expected back is not any more. To be called with the call's lock held."""
        if live.call.state is State.ENDED:
            return
        if device_id in live.ringing:
            await self._invitations.stop_ringing(live, device_id)
            self._invitations.look_at_ringing(live)
        elif party.device_id == device_id:
            party.device_id = None

    @unless_moved
    async def sent_away(self, device: Device) -> None:
        """A device may not be here any more: it leaves its call, which ends if the device is in it."""
        live = self._context.live.of(device.profile)
        if live is None:
            return
        async with live.lock:
            call, party = live.call, live.call.party(device.profile)
            if device.device_id in live.ringing:
                await self._invitations.stop_ringing(live, device.device_id)
                self._invitations.look_at_ringing(live)
            elif party.device_id == device.device_id:
                await self._termination.end(live, EndReason.TERMINATED if call.answered else EndReason.CANCELLED)

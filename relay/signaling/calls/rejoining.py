"""Which device of a party has the call: one that comes back, or another one that takes its place.

A device that is away has no say: any other device of its profile may take its place. One that is there is asked first, and must
agree: it may be another person who sits before the other one.
"""

import contextlib
from datetime import timedelta
from typing import Final, Literal

from relay.errors import RelayError, SignalingError
from relay.signaling.calls import notices
from relay.signaling.calls.call import Party
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.live import MAX_REJOIN_REQUESTS, LiveCall, RejoinRequest
from relay.signaling.calls.negotiation import Negotiation
from relay.signaling.calls.recordings import Recordings
from relay.signaling.messages import incoming, outgoing
from relay.signaling.presence.device import Device

REQUEST_TIMEOUT: Final = 30.0
"""Seconds that the device in the call has to say whether another one may have it."""


class Rejoining:
    """Takes `call_rejoin` and `call_rejoin_answer`."""

    def __init__(self, context: CallContext, negotiation: Negotiation, recordings: Recordings) -> None:
        self._context = context
        self._negotiation = negotiation
        self._recordings = recordings

    async def take_rejoin(self, device: Device, message: incoming.CallRejoin) -> None:
        live = self._context.live.named(device, message)
        async with live.lock:
            party = self._party(live, device)
            is_free = party.device_id == device.device_id or party.signaling_lost_at is not None
            if not is_free and not message.move:
                raise SignalingError("not_in_call", "another device of this profile is in the call")
            device.can_show_recording = device.can_show_recording or message.can_show_recording
            if self._recordings.turns_away(live.recording, device):
                raise SignalingError("not_supported", "the call is recorded, and this client cannot show that")
            if is_free:
                self._make_way(live, party, device)
                await self._negotiation.rejoin(live, party, device)
            else:
                self._ask(live, party, device)

    async def take_answer(self, device: Device, message: incoming.CallRejoinAnswer) -> None:
        live = self._context.live.named(device, message)
        async with live.lock:
            party = self._party(live, device)
            request = live.rejoin_requests.get(party.profile)
            asks = request is not None and device is request.asker and not message.accepted
            if party.device_id != device.device_id and not asks:
                raise SignalingError("not_in_call", "another device of this profile is in the call")
            if request is None or message.request_id not in (None, request.request_id):
                raise SignalingError("wrong_state", "no device asks for the call, or another one than the answer is for")
            if asks:
                self._give_up(live, request, "withdrawn")
            elif not message.accepted:
                self._give_up(live, request, "refused")
            else:
                await self._hand_over(live, request)

    async def device_lost(self, live: LiveCall, device: Device) -> None:
        """A device of a party is away. To be called with the call's lock held."""
        request = live.rejoin_requests.get(device.profile)
        if request is None:
            return
        if device is request.asker:
            self._give_up(live, request, "withdrawn")
        elif request.party.signaling_lost_at is not None:  # it is not there to be asked any more
            with contextlib.suppress(RelayError):  # of a worker that has died, whose calls end
                await self._hand_over(live, request)

    @staticmethod
    def _party(live: LiveCall, device: Device) -> Party:
        """
        Raises:
            SignalingError: `wrong_state`: the call is not answered, or has ended.
        """
        if not live.call.answered:
            raise SignalingError("wrong_state", f"the call is {live.call.state}")
        return live.call.party(device.profile)

    def _ask(self, live: LiveCall, party: Party, device: Device) -> None:
        context, asked = self._context, live.rejoin_requests.get(party.profile)
        if asked is not None:
            if asked.asker is device:  # a button was pressed twice
                return
            raise SignalingError("wrong_state", "another device of this profile asks for the call already")
        holder = context.device_of(party)
        if holder is None or "call_rejoin_request" not in holder.takes:
            raise SignalingError("unsupported", "the client in the call cannot give it to another device")
        if live.rejoins_asked[party.profile] >= MAX_REJOIN_REQUESTS:
            raise SignalingError("not_allowed", f"devices of this profile have asked {MAX_REJOIN_REQUESTS} times in this call")
        live.rejoins_asked[party.profile] += 1
        request = live.rejoin_requests[party.profile] = RejoinRequest(device, party)
        request.timer = context.later(REQUEST_TIMEOUT, lambda: self._time_out(live, request))
        now = context.time_of(live)
        holder.send(
            notices.about(
                outgoing.RejoinRequestDelivery,
                live.call,
                party,
                request_id=request.request_id,
                expires_at=notices.milliseconds(now + timedelta(seconds=REQUEST_TIMEOUT)),
                server_time=notices.milliseconds(now),
            )
        )

    async def _hand_over(self, live: LiveCall, request: RejoinRequest) -> None:
        if self._recordings.turns_away(live.recording, request.asker):  # it has begun to be recorded since
            self._give_up(live, request, "refused")
            return
        self._forget(live, request)
        await self._negotiation.rejoin(live, request.party, request.asker)

    def _make_way(self, live: LiveCall, party: Party, device: Device) -> None:
        """A device has the call: another one that asks for it asks a device that is not in it any more."""
        request = live.rejoin_requests.get(party.profile)
        if request is not None and party.device_id != device.device_id:
            self._give_up(live, request, "refused")

    def _give_up(self, live: LiveCall, request: RejoinRequest, reason: Literal["refused", "expired", "withdrawn"]) -> None:
        """Nothing comes of a request: tell both devices, but not the one that has said so."""
        self._forget(live, request)
        over = notices.about(
            outgoing.RejoinAnswerDelivery,
            live.call,
            request.party,
            request_id=request.request_id,
            accepted=False,
            reason=reason,
        )
        if reason != "withdrawn":
            request.asker.send(over)
        if reason != "refused":
            self._context.tell(request.party, over)

    @staticmethod
    def _forget(live: LiveCall, request: RejoinRequest) -> None:
        if request.timer is not None:
            request.timer.cancel()
        del live.rejoin_requests[request.party.profile]

    async def _time_out(self, live: LiveCall, request: RejoinRequest) -> None:
        async with live.lock:
            if live.rejoin_requests.get(request.party.profile) is request:
                self._give_up(live, request, "expired")

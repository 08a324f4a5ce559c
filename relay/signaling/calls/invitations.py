"""From the invitation to the answer: who may call, who rings, who wins."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from relay.cluster.values import Claim
from relay.errors import SignalingError, Unavailable
from relay.ids import Profile, new_id
from relay.records.profiles import ProfileCard
from relay.sdp.model import SessionDescription
from relay.sdp.parse import is_candidate, parse_sdp
from relay.signaling.calls import notices, policy
from relay.signaling.calls import sheet as sheets
from relay.signaling.calls.call import BEFORE_ANSWER, Call, EndReason, Event, Party, State
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.live import LiveCall
from relay.signaling.calls.recordings import Recordings
from relay.signaling.calls.termination import Termination
from relay.signaling.log.entries import Answered, Opened, Updated
from relay.signaling.messages import incoming, outgoing
from relay.signaling.ports import Action, Eligibility, NewCall
from relay.signaling.presence.device import VERSION_2, Device

logger = logging.getLogger(__name__)

DECLINED: Final = {one.value: one for one in (EndReason.OFFLINE, EndReason.BUSY, EndReason.MEDIA_UNAVAILABLE)}
"""The reasons that a device may give for not taking a call, besides `rejected`, which everything else counts as."""

TRANSFER_LOOKS: Final = 5
"""Times that the database is asked whether a call was transferred, where another node may be about to write that."""

TRANSFER_LOOK_INTERVAL: Final = 0.2
"""Seconds between two of them."""


class Invitations:
    """Handles the messages of protocol version 1."""

    def __init__(self, context: CallContext, termination: Termination, recordings: Recordings) -> None:
        self._context = context
        self._termination = termination
        self._recordings = recordings

    # -- the caller ---------------------------------------------------------------------------------------------------

    async def take_invitation(self, device: Device, message: incoming.CallInvitation) -> None:
        context = self._context
        context.check_rate(device, Action.INVITATION)
        offer = parse_sdp(message.offer.sdp)
        callee = Profile(message.to_profile_type, message.to_profile_id)
        if callee == device.profile:
            raise SignalingError("invalid_message", "a profile cannot call itself")
        if message.transferred_from is not None:
            await self._check_transfer(device.profile, message.transferred_from)
        eligibility = await context.ports.directory.eligibility(message.scope, device.profile, callee)
        refusal = await context.ports.judge.refusal(eligibility, message.scope, message.call_type)
        recording = await self._recordings.of_new_call(message.scope)
        device.can_show_recording = message.can_show_recording
        if refusal is None and await self._call_again(device, callee, message, offer):
            return
        context.check_open()  # before the older call is ended for this one
        await self._replace_older(device)
        crossed = False
        if refusal is None and (theirs := context.live.of(callee)) is not None:
            crossed = await self._crosses(device, theirs, message)
            if crossed and device.version >= VERSION_2:
                return
        await self._decided(device.profile, callee)
        if device.dropped:  # while this waited: a device that was sent away begins no call
            return
        context.check_open()
        call = Call(
            call_id=new_id(),
            scope=message.scope,
            call_type=message.call_type,
            caller=_party(eligibility.caller, device),
            # A caller without permission must not learn whether the callee exists, either.
            callee=_party(eligibility.callee if refusal in (None, EndReason.BUSY) else ProfileCard(callee, "", "")),
            timers=context.timers,
            invited_at=context.clock.now(),
            transferred_from=message.transferred_from,
            keeps_chat=eligibility.keeps_chat,
        )
        live = LiveCall(call, context.timeline(), offer, refused=refusal in policy.NEVER_CAME, recording=recording)
        if refusal is None and (context.live.of(device.profile) or context.live.of(callee)):
            refusal = EndReason.BUSY
        if refusal is None and self._recordings.turns_away(recording, device):
            refusal = EndReason.NOT_SUPPORTED
        if refusal is not None and await context.handed_on(device, incoming.encode(message)):  # of others, the claim says so
            return
        if refusal is None:
            # Both are taken from here on, before anything waits: of two invitations that cross, the second finds them busy.
            context.live.add(live)
        async with live.lock, self._termination.ended_on_error(live):
            if refusal is None and (other := await self._claim(live)) is not None:
                if device.profile in other.profiles and other.owner != context.me:
                    # It crosses one of the callee's, or repeats one, and the owner of that call decides.
                    call.end(EndReason.BUSY, context.clock.now())  # for what waits for its lock
                    context.forward(device, other.owner, incoming.encode(message))
                    context.forget(device.profile, callee)  # devices that have left this node meanwhile
                    return
                refusal = EndReason.BUSY
            await self._begin(live, eligibility, refusal)

    async def _decided(self, *profiles: Profile) -> None:
        """Wait for calls of these profiles that may still come to nothing."""
        while (undecided := self._context.live.undecided(*profiles)) is not None:
            async with undecided.lock:
                pass

    async def _begin(self, live: LiveCall, eligibility: Eligibility, refusal: EndReason | None) -> None:
        """Write the call down; let it ring, or end it at once."""
        context, call = self._context, live.call
        if refusal is not None and not live.refused:
            await self._learn(live, call.callee)
        context.log.add(Opened(kind=call.scope.kind, call_id=call.call_id, call=self._row(live, eligibility)))
        if refusal is not None:
            await self._termination.end(live, refusal)
        else:
            context.ports.hooks.started(call, live.started_at)
            await self._begin_ringing(live)

    async def _claim(self, live: LiveCall) -> Claim | None:
        """Take both profiles for a new call, among all nodes. Its sheet is kept by that, before anybody knows of it.

        Returns:
            The claim of another call that one of them is in; None: this node owns the call, and knows all devices of both.

        Raises:
            SignalingError: `unavailable`: that cannot be found out now.
        """
        context, cluster, call = self._context, self._context.cluster, live.call
        mine, sheet = Claim(call.call_id, context.me, (call.caller.profile, call.callee.profile)), sheets.first(cluster, live)
        try:
            claimed = await cluster.claim(mine.call_id, mine.profiles, sheet)
            claim = claimed.claim
            if claim.owner == mine.owner and claim.call_id != mine.call_id and not self._is_known(claim.call_id):
                cluster.release(claim)  # left behind by a claim whose answer was lost
                claimed = await cluster.claim(mine.call_id, mine.profiles, sheet)
        except Unavailable as error:
            context.live.remove(live)
            context.forget(*mine.profiles)
            call.end(EndReason.UNAVAILABLE, context.clock.now())
            cluster.release(mine)  # it may have been taken all the same
            raise SignalingError("unavailable", "no new calls at the moment; try again in a few seconds") from error
        if claimed.claim.call_id != mine.call_id:
            context.live.remove(live)
            return claimed.claim
        live.claim = claimed.claim
        for card in claimed.devices:
            context.devices.meet(card, context.me)
        return None

    def _is_known(self, call_id: str) -> bool:
        """Whether a call goes on here, or is about to."""
        return self._context.live.with_id(call_id) is not None or call_id in self._context.arriving

    async def _learn(self, live: LiveCall, party: Party) -> None:
        """Know all devices of a party of a call that is not this node's by a claim: they are told what was missed."""
        try:
            await self._context.learn(party.profile)
        except Unavailable:
            logger.warning("the devices of call %s at other nodes cannot be found out now", live.call.call_id)

    async def _check_transfer(self, profile: Profile, call_id: str) -> None:
        """Make sure that a profile names a call of its own that was transferred: the callee sees in its history what led to this.

        Raises:
            SignalingError: `invalid_message`: it is none.
        """
        context = self._context
        if profile in context.transferred.get(call_id, ()):
            return
        # The row of a call that another node owned is written a moment after its parties were told.
        for look in range(TRANSFER_LOOKS if len(context.cluster.nodes()) > 1 else 1):
            if look:
                await asyncio.sleep(TRANSFER_LOOK_INTERVAL)
            for log in context.ports.logs.values():
                if await log.was_transferred(call_id, profile):
                    return
        raise SignalingError("invalid_message", "transferred_from names no call of this profile that ended as transferred")

    def _row(self, live: LiveCall, eligibility: Eligibility) -> NewCall:
        call = live.call
        return NewCall(
            call_id=call.call_id,
            scope=call.scope,
            call_type=call.call_type,
            caller=eligibility.caller,
            callee=eligibility.callee,
            started_at=live.started_at,
            transferred_from=call.transferred_from,
            hidden_from_callee=live.refused,
        )

    async def _crosses(self, device: Device, theirs: LiveCall, message: incoming.CallInvitation) -> bool:
        """Whether the invitation crosses one of the callee's to this caller, which was first and stays (glare)."""
        if theirs.call.callee.profile != device.profile or theirs.call.scope != message.scope:
            return False
        async with theirs.lock:
            if theirs.call.state is not State.RINGING:
                return False
            if device.version >= VERSION_2:
                device.send(notices.about(outgoing.CallGlare, theirs.call, theirs.call.callee))
            return True

    async def _call_again(
        self, device: Device, callee: Profile, message: incoming.CallInvitation, offer: SessionDescription
    ) -> bool:
        """The same caller calls the same callee again before there is an answer: a button was pressed twice, or a page was loaded
        anew. It stays one call, which rings on with the latest offer: each press may have made a peer connection of its own.

        Returns:
            Whether there is such a call.
        """
        context, live = self._context, self._context.live.of(device.profile)
        if live is None or (live.call.caller.profile, live.call.callee.profile) != (device.profile, callee):
            return False
        async with live.lock, self._termination.ended_on_error(live):
            call = live.call
            if device.dropped or call.scope != message.scope or call.state not in BEFORE_ANSWER:
                return False
            if self._recordings.turns_away(live.recording, device):
                await self._termination.end(live, EndReason.NOT_SUPPORTED)
                return True
            repeated = (live.offer, call.call_type) == (offer, message.call_type)
            self._termination.hand_over(live, call.caller, device)
            if not repeated:
                await self._offer_again(live, message.call_type, offer)
            if call.state is State.INVITED and not await self._wake(live):
                await self._termination.end(live, EndReason.OFFLINE)
                return True
            self._termination.set_timer(live)
            context.tell_state(live, call.caller)
        return True

    async def _offer_again(self, live: LiveCall, call_type: str, offer: SessionDescription) -> None:
        """Let the call ring anew, with another offer."""
        context, call = self._context, live.call
        live.offer, call.invited_at = offer, context.clock.now()
        if call_type != call.call_type:
            call.call_type = call_type
            context.log.add(Updated(kind=call.scope.kind, call_id=call.call_id, call_type=call_type))
        for ringing, _ in list(live.ringing.values()):
            # In a new session: the device may have begun to connect that of the earlier offer.
            await self.stop_ringing(live, ringing.device_id)
            await self.ring(live, ringing)

    async def _replace_older(self, device: Device) -> None:
        """The same caller calls another profile, or in another scope: its page was loaded anew, or has given up without a word.

        Another device of the caller that is talking is left alone; the new call then finds the caller busy.
        """
        older = self._context.live.of(device.profile)
        if older is None or older.call.caller.profile != device.profile:
            return
        async with older.lock:  # first: it may be answered while this waits
            if not older.call.answered:
                await self._termination.end(older, EndReason.CANCELLED)
            elif older.call.caller.device_id in (device.device_id, None):
                await self._termination.end(older, EndReason.HANGUP)

    # -- ringing ------------------------------------------------------------------------------------------------------

    async def _begin_ringing(self, live: LiveCall) -> None:
        context, call = self._context, live.call
        devices = context.devices.of(call.callee.profile)
        if not devices and not await self._wake(live):
            await self._termination.end(live, EndReason.OFFLINE)
            return
        live.caller.session = await context.open_session(live, context.device_of(call.caller))
        call.caller.transport_id = live.caller.session.transport_id
        # Those that came while the session was opened ring too.
        for device in context.devices.of(call.callee.profile):
            await self.ring(live, device)
        if call.state is State.INVITED and not context.ports.waker:
            await self._termination.end(live, EndReason.OFFLINE)
            return
        self._termination.set_timer(live)
        context.tell_state(live, call.caller)

    async def _wake(self, live: LiveCall) -> bool:
        waker = self._context.ports.waker
        record = notices.missed_record(live.call, "", live.started_at)
        try:
            return waker is not None and await waker.wake(record, live.call.callee.profile)
        except Unavailable:  # where its browsers are reached is in the database
            return False

    async def ring(self, live: LiveCall, device: Device) -> None:
        """Offer the call to one device of the callee, in a session of its own."""
        context, call = self._context, live.call
        if device.device_id in live.ringing:
            return
        session = await context.open_session(live, device)
        live.ringing[device.device_id] = (device, session)
        # As the caller offered it: it may leave the role open, or not.
        offer = context.sessions.offer(session, live.offer, live.offer.transport.role)
        now = context.time_of(live)
        expires = now + timedelta(seconds=max(0.0, call.invited_at + call.timers.ring_timeout - context.clock.now()))
        device.send(notices.invitation(call, offer, expires, now, will_be_recorded=live.recording.certain))
        rang = call.state is State.INVITED
        if rang:
            call.apply(Event.RANG, context.clock.now())
        self.look_at_ringing(live)

    def look_at_ringing(self, live: LiveCall) -> None:
        """Note whether any device that rings is connected."""
        if any(device.connected for device, _ in live.ringing.values()):
            live.call.ringing_lost_at = None
        elif live.call.ringing_lost_at is None:
            live.call.ringing_lost_at = self._context.clock.now()
        self._termination.set_timer(live)

    async def stop_ringing(self, live: LiveCall, device_id: str) -> None:
        """Let one device ring no more."""
        _, session = live.ringing.pop(device_id)
        await self._context.close_session(session)

    # -- the callee ---------------------------------------------------------------------------------------------------

    async def take_answer(self, device: Device, message: incoming.CallAnswer) -> None:
        context = self._context
        live = context.live.named(device, message)
        async with live.lock:
            call = live.call
            if device.device_id not in live.ringing:
                raise SignalingError("wrong_state", f"the call is {call.state}; this device does not ring")
            answer = parse_sdp(message.answer.sdp)
            _, session = live.ringing[device.device_id]
            session.check_answer(answer, live.offer, live.offer.transport.role)
            device.can_show_recording = message.can_show_recording
            if self._recordings.turns_away(live.recording, device):
                await self._termination.end(live, EndReason.NOT_SUPPORTED)
                return
            del live.ringing[device.device_id]
            live.callee.session = session
            call.callee.device_id, call.callee.transport_id = device.device_id, session.transport_id
            call.callee.can_update, call.callee.can_show_recording = device.can_update, device.can_show_recording
            live.answered_at = context.time_of(live)
            call.apply(Event.ANSWERED, context.clock.now())
            context.log.add(Answered(kind=call.scope.kind, call_id=call.call_id, at=live.answered_at))
            context.ports.hooks.answered(call, live.answered_at)
            async with self._termination.ended_on_error(live):
                await self._connect(live, answer)
            others = [other for other, _ in live.ringing.values()]
            others += [one for one in live.waiting if one is not device and one not in others]
            live.waiting.clear()
            for other in others:
                other.send(notices.ended(call, call.callee, EndReason.ANSWERED_ELSEWHERE))
                if other.device_id in live.ringing:
                    await self.stop_ringing(live, other.device_id)
            self._termination.set_timer(live)
            for party in call.parties:
                context.tell_elsewhere(live, party)

    async def _connect(self, live: LiveCall, answer: SessionDescription) -> None:
        """Connect both sessions and give the answer to the caller."""
        context, call, caller, callee = self._context, live.call, live.caller.session, live.callee.session
        assert caller is not None and callee is not None, "an answered call has both its sessions"
        device = context.device_of(call.caller)
        if device is not None:
            caller.addresses = device.addresses  # it may have come back from another network
        # Before media flows: both see that it is recorded, and the first packet is in the file.
        await self._recordings.answered(live)
        text = await context.sessions.connect_pair(call.call_id, caller, callee, live.offer, answer)
        sheets.keep(context.cluster, live)  # first: or it could ring anew for parties that know of the answer
        if device is not None:
            device.send(notices.answer(call, text))
        context.tell_state(live)

    async def take_candidate(self, device: Device, message: incoming.TrickledCandidate) -> None:
        # An ICE-lite agent sends no checks, so there is nothing to do with a good one: the browser comes to us.
        self._context.live.named(device, message)
        if message.candidate is not None and not is_candidate(message.candidate.candidate or ""):
            raise SignalingError("invalid_message", "not a candidate (RFC 8839 section 5.1)")

    async def take_declined(self, device: Device, message: incoming.CallDeclined) -> None:
        live = self._context.live.named(device, message)
        async with live.lock:
            if device.device_id not in live.ringing:
                raise SignalingError("wrong_state", f"the call is {live.call.state}; this device does not ring")
            reason = DECLINED.get(message.reason, EndReason.REJECTED)
            others = any(one.connected for one, _ in live.ringing.values() if one is not device)
            if reason is EndReason.MEDIA_UNAVAILABLE and others:
                # Of this device alone: the callee may answer on another one.
                device.send(notices.ended(live.call, live.call.callee, reason))
                await self.stop_ringing(live, device.device_id)
                self.look_at_ringing(live)
                return
            live.call.decline_message = message.message
            await self._termination.end(live, reason, by=device)

    async def take_ended(self, device: Device, message: incoming.CallEnded) -> None:
        live = self._context.live.named(device, message)
        async with live.lock:
            call, party = live.call, live.call.party(device.profile)
            if call.state is State.ENDED:
                raise SignalingError("no_call", "the call has ended")
            if device.device_id in live.ringing:
                await self._termination.end(live, EndReason.REJECTED, by=device)
            elif party.device_id not in (device.device_id, None):
                raise SignalingError("not_in_call", "another device of this profile is in the call")
            elif party is call.callee and not call.answered:
                raise SignalingError("wrong_state", "this device does not ring")
            else:
                party.device_id = device.device_id  # if its own is gone, this one gets the end in its place
                await self._termination.end(live, EndReason.HANGUP if call.answered else EndReason.CANCELLED, by=device)


def _party(card: ProfileCard, device: Device | None = None) -> Party:
    if device is None:
        return Party(card.profile, card.name, card.avatar)
    return Party(
        *(card.profile, card.name, card.avatar, device.device_id),
        can_update=device.can_update,
        can_show_recording=device.can_show_recording,
    )

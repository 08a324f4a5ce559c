"""Offers and answers in mid-call: a party changes its media, restarts ICE, or comes back with a new peer connection.

One offer is under way at a time in a call. Of two that cross, the one that came first stays. The sender of the other one gets one
message that says so: the offer that overtook its own, or, if none is on its way to it, the error `update_glare`.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from relay.errors import SignalingError
from relay.sdp.model import SessionDescription
from relay.sdp.negotiate import check_next_offer
from relay.sdp.parse import parse_sdp
from relay.signaling.calls import notices
from relay.signaling.calls.call import UPDATE_TIMEOUT, EndReason, Party
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.live import LiveCall, Purpose, Update
from relay.signaling.calls.recordings import Recordings
from relay.signaling.calls.termination import Termination
from relay.signaling.log.entries import Updated
from relay.signaling.messages import incoming, outgoing
from relay.signaling.messages.common import Answer, Offer
from relay.signaling.presence.device import VERSION_2, Device
from relay.signaling.sessions.session import Session

logger = logging.getLogger(__name__)

MAX_OFFERS: Final = 3
"""Offers to a party whose peer connection is lost with another node, until the call ends because it takes none."""

OFFER_INTERVAL: Final = 1.0
"""Seconds until it is asked again: what it has rejected at this moment, it may take a moment later."""


class Negotiation:
    """Takes `call_update` and `call_restart`, and lets a device have its call back (`rejoining.py`)."""

    def __init__(self, context: CallContext, termination: Termination, recordings: Recordings) -> None:
        self._context = context
        self._termination = termination
        self._recordings = recordings
        self._complete: Final[dict[Purpose, Callable[[LiveCall, Update, SessionDescription], Awaitable[None]]]] = {
            Purpose.FORWARD: self._complete_forward,
            Purpose.RESTART: self._complete_own,
            Purpose.REJOIN: self._complete_rejoin,
            Purpose.REFRESH: self._complete_own,
            Purpose.REALIGN: self._complete_realign,
        }

    # -- offers -------------------------------------------------------------------------------------------------------

    async def take_update(self, device: Device, message: incoming.CallUpdate) -> None:
        live = self._context.live.named(device, message)
        async with live.lock:
            party = live.party_of(device)
            if message.offer is not None:
                await self._forward(live, party, device, message, parse_sdp(message.offer.sdp))
            elif message.answer is not None:
                await self._take_answer(live, party, message.update_id, message.answer)
            elif (update := self._awaited(live, party, message.update_id)) is live.update:
                await self._give_up(live)
                await self._go_on(live, update)

    async def _forward(
        self, live: LiveCall, party: Party, device: Device, message: incoming.CallUpdate, offer: SessionDescription
    ) -> None:
        context, call = self._context, live.call
        other = call.other(party)
        (_, mine), (receiving, theirs) = live.media(party).negotiated, live.media(other).negotiated
        if live.update is not None and live.update.answerer is party:
            live.update.overtaken = device, message.ref
            return
        self._check_free(live)
        receiver = context.device_of(other)
        if receiver is None or receiver.version < VERSION_2:
            raise SignalingError("unsupported", "the other party's client cannot change a call")
        if len(theirs.sections) > len(mine.sections):
            # What a late answer has added is still unknown here: it comes first, and overtakes this offer.
            self._offer_own(live, Purpose.REALIGN, party)
            if live.update is not None:
                live.update.overtaken = device, message.ref
                return
            # A client of version 1 that offers all the same takes no offer.
            if len(offer.sections) < len(theirs.sections):
                raise SignalingError("invalid_sdp", "the other party has more media sections than this offer")
        check_next_offer(offer, mine, theirs)
        self._begin(
            live,
            Update(Purpose.FORWARD, other, offer, message.call_type or call.call_type, offerer=device, ref=message.ref),
            receiver,
            receiving,
        )

    async def take_restart(self, device: Device, message: incoming.CallRestart) -> None:
        live = self._context.live.named(device, message)
        async with live.lock:
            party = live.party_of(device)
            self._check_free(live)
            session, _ = live.media(party).negotiated
            await self._context.sessions.restart(session)
            self._begin(live, self._own_offer(live, Purpose.RESTART, party), device, session)

    async def rejoin(self, live: LiveCall, party: Party, device: Device) -> None:
        """A device has the call from now on, with a new peer connection. To be called with the call's lock held."""
        context = self._context
        await self._give_up(live)
        live.expired = None
        self._termination.hand_over(live, party, device)
        await self._recordings.joined(live, party, device)
        update = self._own_offer(live, Purpose.REJOIN, party)
        session = update.session = await context.open_session(live, device)
        # The role of the other party's peer connection cannot change any more.
        session.take_opposite_role(live.media(live.call.other(party)).negotiated[0])
        update.role = session.role
        self._begin(live, update, device, session)
        context.tell_state(live, party)

    def _own_offer(self, live: LiveCall, purpose: Purpose, answerer: Party) -> Update:
        """The server's own offer to a party: what the other one said last of its media."""
        _, description = live.media(live.call.other(answerer)).negotiated
        return Update(purpose, answerer, description, live.call.call_type)

    def _offer_own(self, live: LiveCall, purpose: Purpose, answerer: Party) -> None:
        """Make a party the server's own offer in the session that it has, if its client can take it."""
        receiver, (session, _) = self._context.device_of(answerer), live.media(answerer).negotiated
        if receiver is not None and receiver.version >= VERSION_2:
            self._begin(live, self._own_offer(live, purpose, answerer), receiver, session)

    def _begin(self, live: LiveCall, update: Update, device: Device, session: Session) -> None:
        """Send the offer, and wait for the answer."""
        context, patience = self._context, UPDATE_TIMEOUT
        live.update = update
        update.timer = context.later(patience, lambda: self._time_out(live, update))
        session.addresses = device.addresses  # it may have come back from another network
        text = context.sessions.offer(session, update.offer, update.role)
        now = context.time_of(live)
        times = {"server_time": now, "expires_at": now + timedelta(seconds=patience)}
        device.send(
            self._message(
                live,
                update.answerer,
                update.call_type,
                update_id=update.update_id,
                offer=Offer(sdp=text),
                rejoin=update.purpose is Purpose.REJOIN,
                **{name: notices.milliseconds(at) for name, at in times.items()},
            )
        )

    # -- answers ------------------------------------------------------------------------------------------------------

    async def _take_answer(self, live: LiveCall, party: Party, update_id: str | None, given: Answer) -> None:
        update = self._awaited(live, party, update_id)
        answer = parse_sdp(given.sdp)
        session = update.session or live.media(party).negotiated[0]
        session.check_answer(answer, update.offer, update.role)
        live.expired = None
        if update is live.update:
            live.take_update()
            await self._complete[update.purpose](live, update, answer)
            return
        # Too late: its sender cannot take it back, so its description stands from now on.
        await self._complete_own(live, update, answer)
        if update.purpose is Purpose.FORWARD and live.update is None:
            self._offer_own(live, Purpose.REALIGN, live.call.other(party))

    async def _complete_realign(self, live: LiveCall, update: Update, answer: SessionDescription) -> None:
        await self._complete_own(live, update, answer)
        # The answer may be less than the other party was once offered.
        self._offer_own(live, Purpose.REFRESH, live.call.other(update.answerer))

    async def _complete_forward(self, live: LiveCall, update: Update, answer: SessionDescription) -> None:
        context, call = self._context, live.call
        offerer = call.other(update.answerer)
        (mine, _), (theirs, _) = live.media(offerer).negotiated, live.media(update.answerer).negotiated
        assert update.offerer is not None, "a forwarded offer has its device"
        mine.addresses = update.offerer.addresses
        text = await context.sessions.update_pair(mine, theirs, update.offer, answer)
        update.offerer.send(self._message(live, offerer, update.call_type, answer=Answer(sdp=text)))
        if update.call_type != call.call_type:
            call.call_type = update.call_type
            context.tell_state(live)
            context.log.add(Updated(kind=call.scope.kind, call_id=call.call_id, call_type=call.call_type))

    async def _complete_own(self, live: LiveCall, update: Update, answer: SessionDescription) -> None:
        session, _ = live.media(update.answerer).negotiated
        await self._context.sessions.update(session, answer)

    async def _complete_rejoin(self, live: LiveCall, update: Update, answer: SessionDescription) -> None:
        context, call, party = self._context, live.call, update.answerer
        other = call.other(party)
        (old, _), (staying, _), session = live.media(party).negotiated, live.media(other).negotiated, update.session
        assert session is not None, "a party rejoins in a new session"
        live.media(party).session, party.transport_id = session, session.transport_id
        now = context.clock.now()
        if call.media_changed(party, up=False, now=now):
            live.course.note(call.state, now)
            context.tell_state(live)
        async with self._termination.ended_on_error(live):
            await self._recordings.moved(live, party)
            if not any(one.holds for one in call.parties):
                await context.sessions.route(call.call_id, session, staying)
            await context.sessions.connect(session, answer)
            await context.close_session(old)
        self._termination.set_timer(live)
        party.returning = False
        if other.returning:
            self.call_back(live)
        else:
            self._offer_own(live, Purpose.REFRESH, other)

    def call_back(self, live: LiveCall) -> None:
        """Let the next party come back whose peer connection is lost with another node, if there is one: its client asks for the
        call then, as after any loss. One at a time, since each is offered what the other one has said last. To be called with the
        call's lock held."""
        called = live.called_back
        if live.update is not None or (called is not None and called.connected and live.call.party(called.profile).returning):
            return
        for party in live.call.parties:
            device = self._context.device_of(party)
            if party.returning and device is not None and device.connected:
                live.called_back = device
                recording, now = self._context.recording_of(live, party), self._context.time_of(live)
                device.send(notices.state(live.call, party, live.answered_at, now, yours=False, **recording))
                return

    async def call_again(self, live: LiveCall, party: Party) -> None:
        """A party that is to come back has lost its connection, or has another one: what it was told or offered on that one does
        not count any more, and keeps the other party waiting for nothing. To be called with the call's lock held."""
        update, called = live.update, live.called_back
        if update is not None and update.purpose is Purpose.REJOIN and update.answerer is party:
            await self._give_up(live)
        if called is not None and called.profile == party.profile:
            live.called_back = None
        self.call_back(live)

    async def _go_on(self, live: LiveCall, update: Update) -> None:
        """An offer was rejected, or not answered. A party that is to come back is asked again, but not for ever: the other one
        waits for it."""
        context, party = self._context, update.answerer
        if update.purpose is not Purpose.REJOIN or not party.returning:
            self.call_back(live)
            return
        live.offered_in_vain[party.profile] += 1
        if live.offered_in_vain[party.profile] >= MAX_OFFERS:
            await self._termination.end(live, EndReason.ICE_TIMEOUT)
            return

        async def ask() -> None:
            async with live.lock:
                if live.call.answered:
                    self.call_back(live)

        context.later(OFFER_INTERVAL, ask)

    # -- when nothing comes of it -------------------------------------------------------------------------------------

    async def _time_out(self, live: LiveCall, update: Update) -> None:
        async with live.lock:
            if live.update is not update:
                return
            # An answer may be on its way. That of a new peer connection would be for a session that is closed now.
            live.expired = None if update.session else update
            if update.offerer is not None:
                text = "the other party did not answer the offer"
                update.offerer.send(outgoing.Error(code="update_timeout", message=text, ref=update.ref or "call_update"))
                update.offerer = None
            expired = self._message(live, update.answerer, live.call.call_type, update_id=update.update_id, expired=True)
            self._context.tell(update.answerer, expired)
            await self._give_up(live)
            await self._go_on(live, update)

    async def _give_up(self, live: LiveCall) -> None:
        """Nothing comes of the offer that is under way, if there is one."""
        update = live.take_update()
        if update is None:
            return
        if update.offerer is not None:
            offerer = live.call.other(update.answerer)
            update.offerer.send(self._message(live, offerer, live.call.call_type, rejected=True))
        if update.overtaken is not None:
            device, ref = update.overtaken
            text = "the offer that overtook yours has come to nothing: roll yours back, and offer again if you want"
            device.send(outgoing.Error(code="update_glare", message=text, ref=ref or "call_update"))
        if update.session is not None:
            await self._context.close_session(update.session)
        called = live.called_back
        if update.answerer.returning and called is not None and called.profile == update.answerer.profile:
            live.called_back = None  # the next time it is its turn, it is asked again

    @staticmethod
    def _check_free(live: LiveCall) -> None:
        # The session of a party that is still to come back is none of its peer's: an offer of it would be taken for the next one.
        if live.update is not None or any(party.returning for party in live.call.parties):
            raise SignalingError(
                "update_glare", "another offer is under way, and not to you: roll yours back, and try again in a second"
            )

    @staticmethod
    def _awaited(live: LiveCall, party: Party, update_id: str | None) -> Update:
        """The offer that a party answers: the one under way, or one whose time was up a moment ago."""
        for update in (live.update, live.expired):
            if update is not None and update.answerer is party and update_id in (None, update.update_id):
                return update
        raise SignalingError("wrong_state", "no answer is awaited from this party")

    @staticmethod
    def _message(live: LiveCall, to: Party, call_type: str, **fields: object) -> outgoing.ToClient:
        return notices.about(outgoing.UpdateDelivery, live.call, to, call_type=call_type, **fields)

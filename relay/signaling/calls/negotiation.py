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
from relay.sdp.negotiate import check_answer, check_next_offer, opposite
from relay.sdp.parse import parse_sdp
from relay.signaling.calls import notices
from relay.signaling.calls.call import UPDATE_TIMEOUT, Party
from relay.signaling.calls.context import Exchange
from relay.signaling.calls.live import LiveCall, Purpose, Update
from relay.signaling.calls.termination import Endings
from relay.signaling.log.entries import Updated
from relay.signaling.messages import incoming, outgoing
from relay.signaling.messages.common import Answer, Offer
from relay.signaling.presence.devices import ADDITIONS, Device
from relay.signaling.sessions.legs import Leg

logger = logging.getLogger(__name__)


class Negotiation:
    """Takes `call_update`, `call_restart` and `call_rejoin`."""

    def __init__(self, exchange: Exchange, endings: Endings) -> None:
        self._exchange = exchange
        self._endings = endings
        self._complete: Final[dict[Purpose, Callable[[LiveCall, Update, SessionDescription], Awaitable[None]]]] = {
            Purpose.FORWARD: self._complete_forward,
            Purpose.RESTART: self._complete_own,
            Purpose.REJOIN: self._complete_rejoin,
            Purpose.REFRESH: self._complete_own,
            Purpose.REALIGN: self._complete_realign,
        }

    # -- offers -------------------------------------------------------------------------------------------------------

    async def take_update(self, device: Device, message: incoming.CallUpdate) -> None:
        live = self._exchange.live.named(device, message)
        async with live.lock:
            party = live.party_of(device)
            if message.offer is not None:
                await self._forward(live, party, device, message, parse_sdp(message.offer.sdp))
            elif message.answer is not None:
                await self._take_answer(live, party, message.update_id, message.answer)
            elif self._awaited(live, party, message.update_id) is live.update:
                await self._give_up(live)

    async def _forward(
        self, live: LiveCall, party: Party, device: Device, message: incoming.CallUpdate, offer: SessionDescription
    ) -> None:
        exchange, call = self._exchange, live.call
        mine, other = live.side(party), call.other(party)
        theirs = live.side(other)
        assert mine.leg is not None and theirs.leg is not None, "an answered call has both its legs"
        assert mine.description is not None and theirs.description is not None, "and knows its devices"
        if live.update is not None and live.update.answerer is party:
            live.update.overtaken = device, message.ref
            return
        self._check_free(live)
        receiver = exchange.device_of(other)
        if receiver is None or receiver.version < ADDITIONS:
            raise SignalingError("unsupported", "the other party's client cannot change a call")
        if len(theirs.description.sections) > len(mine.description.sections):
            # What a late answer has added is still unknown here: it comes first, and overtakes this offer.
            self._offer_own(live, Purpose.REALIGN, party)
            if live.update is not None:
                live.update.overtaken = device, message.ref
                return
            # A client of version 1 that offers all the same takes no offer.
            if len(offer.sections) < len(theirs.description.sections):
                raise SignalingError("invalid_sdp", "the other party has more media sections than this offer")
        check_next_offer(offer, mine.description, theirs.description)
        self._begin(
            live,
            Update(Purpose.FORWARD, other, offer, message.call_type or call.call_type, offerer=device, ref=message.ref),
            receiver,
            theirs.leg,
        )

    async def take_restart(self, device: Device, message: incoming.CallRestart) -> None:
        live = self._exchange.live.named(device, message)
        async with live.lock:
            party = live.party_of(device)
            self._check_free(live)
            leg = live.side(party).leg
            assert leg is not None, "an answered call has both its legs"
            await self._exchange.legs.restart(leg)
            self._begin(live, self._own_offer(live, Purpose.RESTART, party), device, leg)

    async def take_rejoin(self, device: Device, message: incoming.CallRejoin) -> None:
        exchange = self._exchange
        live = exchange.live.named(device, message)
        async with live.lock:
            call, party = live.call, live.call.party(device.profile)
            if not call.answered:
                raise SignalingError("wrong_state", f"the call is {call.state}")
            if party.device_id != device.device_id and party.signaling_lost_at is None:
                raise SignalingError("not_in_call", "another device of this profile is in the call")
            await self._give_up(live)
            live.expired = None
            self._endings.hand_over(live, party, device)
            update = self._own_offer(live, Purpose.REJOIN, party)
            update.leg = await exchange.open_leg(live)
            staying = live.side(call.other(party)).leg
            assert staying is not None, "an answered call has both its legs"
            # The new peer connection gets the role that the other party has not (see `legs.settle_roles`), which has to stay.
            update.leg.role = update.role = opposite(staying.role)
            self._begin(live, update, device, update.leg)
            exchange.tell_state(live, party)

    def _own_offer(self, live: LiveCall, purpose: Purpose, answerer: Party) -> Update:
        """The server's own offer to a party: what the other one said last of its media."""
        description = live.side(live.call.other(answerer)).description
        assert description is not None, "an answered call has an offer and an answer"
        return Update(purpose, answerer, description, live.call.call_type)

    def _offer_own(self, live: LiveCall, purpose: Purpose, answerer: Party) -> None:
        """Make a party the server's own offer on the leg that it has, if its client can take it."""
        receiver, leg = self._exchange.device_of(answerer), live.side(answerer).leg
        assert leg is not None, "an answered call has both its legs"
        if receiver is not None and receiver.version >= ADDITIONS:
            self._begin(live, self._own_offer(live, purpose, answerer), receiver, leg)

    def _begin(self, live: LiveCall, update: Update, device: Device, leg: Leg) -> None:
        """Send the offer, and wait for the answer."""
        exchange, patience = self._exchange, UPDATE_TIMEOUT
        live.update = update
        update.timer = exchange.later(patience, lambda: self._time_out(live, update))
        text = exchange.legs.offer(update.offer, leg, device, update.role)
        now = exchange.time_of(live)
        times = {"server_time": now, "expires_at": now + timedelta(seconds=patience)}
        device.send(
            self._message(
                live,
                update.answerer,
                update.call_type,
                update_id=update.update_id,
                offer=Offer(sdp=text),
                **{name: notices.milliseconds(at) for name, at in times.items()},
            )
        )

    # -- answers ------------------------------------------------------------------------------------------------------

    async def _take_answer(self, live: LiveCall, party: Party, update_id: str | None, given: Answer) -> None:
        update = self._awaited(live, party, update_id)
        answer = parse_sdp(given.sdp)
        # A new peer connection has said nothing before, and takes the role that it is offered.
        said = None if update.leg else live.side(party).description
        check_answer(update.offer, answer, update.role, said)
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
        exchange, call = self._exchange, live.call
        offerer = call.other(update.answerer)
        mine, theirs = live.side(offerer), live.side(update.answerer)
        assert mine.leg is not None and theirs.leg is not None, "an answered call has both its legs"
        mine.description, theirs.description = update.offer, answer
        assert mine.leg.remote is not None, "and knows its devices"
        if update.offer.transport.ufrag != mine.leg.remote.ufrag:
            # RFC 8839 section 4.4.1.1.1: an ICE restart; the answer must have fresh credentials too. (Not before there is one: of
            # several offers that come to nothing, none may cost the credentials that media flows by.)
            await exchange.legs.restart(mine.leg)
        mine.leg.remote = update.offer.transport
        await exchange.legs.update(mine.leg, update.offer)
        await exchange.legs.update(theirs.leg, answer)
        assert update.offerer is not None, "a forwarded offer has its device"
        text = exchange.legs.answer(answer, mine.leg, update.offerer)
        update.offerer.send(self._message(live, offerer, update.call_type, answer=Answer(sdp=text)))
        if update.call_type != call.call_type:
            call.call_type = update.call_type
            exchange.tell_state(live)
            exchange.log.add(Updated(kind=call.place.kind, call_id=call.call_id, call_type=call.call_type))

    async def _complete_own(self, live: LiveCall, update: Update, answer: SessionDescription) -> None:
        side = live.side(update.answerer)
        assert side.leg is not None, "an answered call has both its legs"
        side.description = answer
        side.leg.remote = answer.transport
        await self._exchange.legs.update(side.leg, answer)

    async def _complete_rejoin(self, live: LiveCall, update: Update, answer: SessionDescription) -> None:
        exchange, call, party = self._exchange, live.call, update.answerer
        other = call.other(party)
        mine, theirs = live.side(party), live.side(other)
        assert update.leg is not None and mine.leg is not None and theirs.leg is not None, "a call that goes on has its legs"
        old, mine.leg, mine.description = mine.leg, update.leg, answer
        party.transport_id = mine.leg.transport_id
        now = exchange.clock.now()
        if call.media_changed(party, up=False, now=now):
            live.course.note(call.state, now)
            exchange.tell_state(live)
        async with self._endings.ended_on_error(live):
            if not any(one.holds for one in call.parties):
                await exchange.legs.route(call.call_id, mine.leg, theirs.leg)
            await exchange.legs.connect(mine.leg, answer)
            await exchange.close_leg(old)
        self._endings.set_timer(live)
        self._offer_own(live, Purpose.REFRESH, other)

    # -- when nothing comes of it -------------------------------------------------------------------------------------

    async def _time_out(self, live: LiveCall, update: Update) -> None:
        async with live.lock:
            if live.update is not update:
                return
            # An answer may be on its way. That of a new peer connection would be to a leg that is closed now.
            live.expired = None if update.leg else update
            if update.offerer is not None:
                text = "the other party did not answer the offer"
                update.offerer.send(outgoing.Error(code="update_timeout", message=text, ref=update.ref or "call_update"))
                update.offerer = None
            expired = self._message(live, update.answerer, live.call.call_type, update_id=update.update_id, expired=True)
            self._exchange.tell(update.answerer, expired)
            await self._give_up(live)

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
        if update.leg is not None:
            await self._exchange.close_leg(update.leg)

    @staticmethod
    def _check_free(live: LiveCall) -> None:
        if live.update is not None:
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

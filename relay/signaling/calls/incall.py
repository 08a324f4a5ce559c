"""What parties say to each other within a call: the state of their media, hold, chat messages, and the wish to transfer it."""

import logging
from datetime import timedelta

import msgspec

from relay.errors import SignalingError
from relay.ids import Profile, Scope, ScopeKind, new_id
from relay.media.api import TransportReport
from relay.records.profiles import ProfileCard
from relay.signaling.calls import notices
from relay.signaling.calls.call import TRANSFER_TIMEOUT, EndReason, Party
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.live import MAX_CHAT_IDS, MAX_TARGETS, MAX_TARGETS_ASKED, MAX_TRANSFERS, LiveCall, Transfer
from relay.signaling.calls.recordings import Recordings
from relay.signaling.calls.termination import Termination
from relay.signaling.log.entries import Said
from relay.signaling.messages import incoming, outgoing
from relay.signaling.ports import ChatMessage, Eligibility
from relay.signaling.presence.device import Device

logger = logging.getLogger(__name__)


class InCall:
    """Takes `call_media_state`, `call_hold`, `call_resume`, `call_chat`, and what is said about transfers."""

    def __init__(self, context: CallContext, termination: Termination, recordings: Recordings) -> None:
        self._context = context
        self._termination = termination
        self._recordings = recordings

    async def take_media_state(self, device: Device, message: incoming.CallMediaState) -> None:
        live = self._context.live.named(device, message)
        async with live.lock:
            party = live.party_of(device)
            party.media = message.state
            self._tell_other(live, party, outgoing.MediaStateDelivery, **msgspec.structs.asdict(message.state))

    # -- hold ---------------------------------------------------------------------------------------------------------

    async def take_hold(self, device: Device, message: incoming.CallHold) -> None:
        await self._hold(device, message, holds=True)

    async def take_resume(self, device: Device, message: incoming.CallResume) -> None:
        await self._hold(device, message, holds=False)

    async def _hold(self, device: Device, message: incoming.AboutCall, *, holds: bool) -> None:
        context = self._context
        live = context.live.named(device, message)
        async with live.lock:
            call, party = live.call, live.party_of(device)
            if party.holds is holds:
                raise SignalingError("wrong_state", "the call is held already" if holds else "the call is not held")
            (caller, _), (callee, _) = live.caller.negotiated, live.callee.negotiated
            if not call.other(party).holds:  # else none flow, before and after
                await (context.sessions.unroute if holds else context.sessions.route)(call.call_id, caller, callee)
            party.holds = holds
            self._tell_other(live, party, outgoing.HoldDelivery if holds else outgoing.ResumeDelivery)
            self._recordings.held(live)
            context.tell_state(live)

    # -- chat --------------------------------------------------------------------------------------------------------

    async def take_chat(self, device: Device, message: incoming.CallChat) -> None:
        context = self._context
        live = context.live.named(device, message)
        async with live.lock:
            call, party = live.call, live.party_of(device)
            said = ChatMessage(message.message_id or new_id(), party.profile, message.text, context.time_of(live))
            key = (party.profile, said.message_id)
            first_sent = live.chat_ids.get(key)
            if first_sent is None:
                live.chat_ids[key] = said.sent_at
                if len(live.chat_ids) > MAX_CHAT_IDS:
                    del live.chat_ids[next(iter(live.chat_ids))]
                context.log.add(Said(kind=call.scope.kind, call_id=call.call_id, scope=call.scope, message=said))
                self._tell_other(live, party, outgoing.ChatDelivery, **_chat(said, own=False))
            else:
                said = ChatMessage(said.message_id, said.author, said.text, first_sent)
            device.send(notices.about(outgoing.ChatDelivery, call, party, **_chat(said, own=True)))

    # -- transfer -----------------------------------------------------------------------------------------------------

    async def take_transfer(self, device: Device, message: incoming.CallTransfer) -> None:
        context = self._context
        live = context.live.named(device, message)
        context.check_open()  # the other party would leave this call, and could not begin the next one
        party = self._may_ask(live, device)
        # Without the lock: a party that hangs up meanwhile must not wait for the database.
        target = await self._target(live, party, Profile(message.target_profile_type, message.target_profile_id))
        async with live.lock:
            party = self._may_ask(live, device)
            asked = live.transfer = Transfer(party, target)
            asked.timer = context.later(TRANSFER_TIMEOUT, lambda: self._transfer_timed_out(live, asked))
            now = context.time_of(live)
            self._tell_other(
                live,
                party,
                outgoing.TransferDelivery,
                target=target,
                expires_at=notices.milliseconds(now + timedelta(seconds=TRANSFER_TIMEOUT)),
                server_time=notices.milliseconds(now),
            )

    @staticmethod
    def _may_ask(live: LiveCall, device: Device) -> Party:
        """The party that asks for a transfer.

        Raises:
            SignalingError: `wrong_state`, `not_in_call`.
        """
        party = live.party_of(device)
        if live.transfer is not None:
            raise SignalingError("wrong_state", "a transfer is being asked for already")
        return party

    async def _target(self, live: LiveCall, asker: Party, profile: Profile) -> outgoing.TransferTarget:
        """Whom the other party would call, and where.

        Whether a profile can be called now is nothing for strangers, so the asker must know the target too. All refusals look the
        same, and take the same queries.

        Raises:
            SignalingError: `not_allowed`: it could not, whatever the reason.
        """
        directory, other = self._context.ports.directory, live.call.other(asker)
        if profile in [one.profile for one in live.call.parties]:
            raise SignalingError("invalid_message", "a call is transferred to a profile that is not in it")
        live.transfers_asked[asker.profile] += 1
        if live.transfers_asked[asker.profile] <= MAX_TRANSFERS:
            known = await directory.shared_conversation(asker.profile, profile)
            shared = await directory.shared_conversation(other.profile, profile)
            to_asker = await directory.eligibility(_conversation(known), asker.profile, profile)
            to_other = await directory.eligibility(_conversation(shared), other.profile, profile)
            visible = to_asker.members and not to_asker.blocked
            reachable = await self._context.availability(profile) is None
            # Not only if it is reachable: how long this takes must not say whether the target exists.
            allowed = shared is not None and visible and await self._may_call(to_other, shared, live.call.call_type)
            if shared is not None and allowed and reachable:
                card = to_other.callee
                return outgoing.TransferTarget(shared, profile.profile_id, profile.profile_type, card.name, card.avatar)
        raise SignalingError("not_allowed", "the other party cannot call this profile now")

    async def take_transfer_targets(self, device: Device, message: incoming.CallTransferTargets) -> None:
        context = self._context
        live = context.live.named(device, message)
        asker = live.party_of(device)
        if live.targets_asked[asker.profile] >= MAX_TARGETS_ASKED:
            raise SignalingError("not_allowed", f"this party has asked {MAX_TARGETS_ASKED} times in this call")
        live.targets_asked[asker.profile] += 1
        # Without the lock, as for a transfer.
        known = {one.profile: one for one in await context.ports.directory.visible_profiles(asker.profile)}
        theirs = [one.profile for one in await context.ports.directory.visible_profiles(live.call.other(asker).profile)]
        parties = [one.profile for one in live.call.parties]
        both_know = [known[one] for one in theirs if one in known and one not in parties][:MAX_TARGETS]
        found = [one for card in both_know if (one := await self._reachable(live, asker, card)) is not None]
        device.send(notices.about(outgoing.TransferTargets, live.call, asker, targets=tuple(found)))

    async def _reachable(self, live: LiveCall, asker: Party, card: ProfileCard) -> outgoing.ReachableProfile | None:
        """Whether the other party could be transferred to a profile that both know; None: it may not call it, whatever the
        reason. Whether a profile is there that it may not call, the asker does not learn."""
        directory, other, profile = self._context.ports.directory, live.call.other(asker), card.profile
        shared = await directory.shared_conversation(other.profile, profile)
        to_asker = await directory.eligibility(
            _conversation(await directory.shared_conversation(asker.profile, profile)), asker.profile, profile
        )
        to_other = await directory.eligibility(_conversation(shared), other.profile, profile)
        if shared is None or to_asker.blocked or not to_asker.members:
            return None
        refusal = await self._refusal(to_other, shared, live.call.call_type)
        if refusal not in (None, EndReason.BUSY):
            return None
        reason = await self._context.availability(profile)
        if reason is None and refusal is not None:
            reason = "busy"
        return outgoing.ReachableProfile(profile.profile_id, profile.profile_type, card.name, card.avatar, reason)

    async def _refusal(self, eligibility: Eligibility, conversation_id: int, call_type: str) -> EndReason | None:
        try:
            return await self._context.ports.judge.refusal(eligibility, _conversation(conversation_id), call_type)
        except SignalingError:  # that cannot be found out now
            return EndReason.REJECTED

    async def _may_call(self, eligibility: Eligibility, conversation_id: int, call_type: str) -> bool:
        return await self._refusal(eligibility, conversation_id, call_type) is None

    async def take_transfer_answer(self, device: Device, message: incoming.CallTransferAnswer) -> None:
        live = self._context.live.named(device, message)
        async with live.lock:
            party = live.party_of(device)
            asked = live.transfer
            if asked is None or asked.by is party:
                raise SignalingError("wrong_state", "this party was not asked to be transferred")
            if message.accepted:
                self._context.check_open()
                await self._termination.end(live, EndReason.TRANSFERRED, transfer=asked.target)
            else:
                self._refuse_transfer(live)

    async def _transfer_timed_out(self, live: LiveCall, asked: Transfer) -> None:
        async with live.lock:
            if live.transfer is asked:
                self._refuse_transfer(live)

    def _refuse_transfer(self, live: LiveCall) -> None:
        asked = live.take_transfer()
        assert asked is not None, "the caller looked"
        refusal = notices.about(outgoing.TransferAnswerDelivery, live.call, asked.by, accepted=False)
        self._context.tell(asked.by, refusal)

    # -- quality ------------------------------------------------------------------------------------------------------

    def report(self, live: LiveCall, event: TransportReport) -> None:
        """Tell both parties how good the path to one of them is."""
        call, report = live.call, event.report
        party = call.party_with(event.transport_id)
        if party is None or not call.answered:
            return
        media = live.media(party)
        media.quality.add(event)
        media.report = event
        route = self._context.paths.seen(media, event.remote, report.rtt).route
        for to in call.parties:
            quality = notices.about(
                outgoing.CallQuality,
                call,
                to,
                leg="yours" if to is party else "other",
                score=round(report.score, 2),
                rtt_ms=None if report.rtt is None else round(report.rtt * 1000, 1),
                jitter_ms=round(report.jitter * 1000, 1),
                loss_from_peer=round(report.loss_from_peer, 4),
                loss_to_peer=round(report.loss_to_peer, 4),
                bitrate=round(report.bitrate),
                route=None if route is None else route.transport,
                family=None if route is None else route.family,
            )
            self._context.tell(to, quality)

    def _tell_other(self, live: LiveCall, party: Party, message: type[outgoing.CallMessage], **fields: object) -> None:
        other = live.call.other(party)
        self._context.tell(other, notices.about(message, live.call, other, **fields))


def _conversation(conversation_id: int | None) -> Scope:
    """Without an id: one that does not exist."""
    return Scope(ScopeKind.CONVERSATION, conversation_id or 0)


def _chat(said: ChatMessage, *, own: bool) -> dict[str, object]:
    sent_at = notices.milliseconds(said.sent_at)
    return {"text": said.text, "message_id": said.message_id, "sent_at": sent_at, "own": own}

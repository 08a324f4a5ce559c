"""Recordings of calls: takes what parties and the service want, asks who is to consent, and tells both parties.

`relay.signaling.recording` decides; `captures` has it captured. A call waits no longer than the media plane takes to answer.
"""

import hashlib
from contextlib import suppress
from typing import Final

from relay.errors import SignalingError
from relay.ids import Scope, new_id
from relay.media.api import CaptureEnded
from relay.records.recordings import ConsentAnswer, RecordingConsent, RecordingEnd, RecordingPolicy
from relay.settings.recording import RecordingSettings
from relay.signaling.calls import notices
from relay.signaling.calls.call import Party, State
from relay.signaling.calls.captures import CallCaptures, label
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.live import CallMoved, LiveCall
from relay.signaling.log.entries import RecordingAnswered, RecordingDiscarded
from relay.signaling.messages import incoming, outgoing
from relay.signaling.presence.device import Device
from relay.signaling.recording import CONSENT, HOLD, CallRecording, RecordingEvent, RecordingStage, Terms


class Recordings:
    """Takes `call_record` and `call_record_answer`.

    Methods with a `LiveCall` are to be called with its lock held, but for those that say otherwise.

    Args:
        key: what files are sealed with; None: they are not.

    Attributes:
        captures: those that go on.
    """

    def __init__(self, context: CallContext, settings: RecordingSettings, key: bytes | None) -> None:
        self._context = context
        self._settings = settings
        self.captures = CallCaptures(context, settings, key)
        self._terms: Final = Terms(settings.recording_policy_version, settings.recording_policy_text)
        text = self._terms.policy_text
        self._text_hash: Final = hashlib.sha256(text.encode()).hexdigest() if text else None

    @property
    def server_policy(self) -> RecordingPolicy:
        """Of this server."""
        return RecordingPolicy.OFF if self._context.ports.recordings is None else RecordingPolicy(self._settings.recording_policy)

    # -- which calls --------------------------------------------------------------------------------------------------

    async def of_new_call(self, scope: Scope) -> CallRecording:
        """What may become of a call's recording.

        Raises:
            Unavailable: the policy of its scope cannot be read now.
        """
        server, log = self.server_policy, self._context.ports.recordings
        if log is None or server is RecordingPolicy.OFF:
            return CallRecording()
        own = await log.policy(scope)
        return CallRecording(
            policy=server.stricter(own),
            consent_only=own is RecordingPolicy.CONSENT,
            terms=self._terms,
            answer_timeout=self._settings.recording_consent_timeout,
            since=self._now(),
        )

    def turns_away(self, recording: CallRecording, device: Device) -> bool:
        """Whether a device may not be in the call, because it cannot show that it is recorded."""
        return recording.certain and not device.can_show_recording and not self._settings.recording_legacy_clients

    async def answered(self, live: LiveCall) -> None:
        """The call was answered, and no media flows yet: it begins to be recorded, if all calls are."""
        if live.recording.certain:
            await self._order(live)

    async def review(self) -> None:
        """Look whether the policies of scopes have changed, by another server say. No lock is held.

        Raises:
            Unavailable: they cannot be read now.
        """
        log = self._context.ports.recordings
        if log is None or self.server_policy is RecordingPolicy.OFF:
            return
        for scope in {one.call.scope for one in self._context.live}:
            await self.set_policy(scope, await log.policy(scope))

    async def set_policy(self, scope: Scope, policy: RecordingPolicy | None) -> None:
        """The policy of a scope is this: recordings there end that it does not allow. No lock is held."""
        new = self.server_policy.stricter(policy), policy is RecordingPolicy.CONSENT
        for live in [one for one in self._context.live if one.call.scope == scope]:
            with suppress(CallMoved):  # its new owner has read the policy
                async with live.lock:
                    rec = live.recording
                    if (rec.policy, rec.consent_only) == new or live.call.state is State.ENDED:
                        continue
                    rec.policy, rec.consent_only = new
                    forbidden = rec.policy is RecordingPolicy.OFF or (rec.consent_only and rec.origin == "service")
                    if rec.active and forbidden:
                        await self._stop(live, RecordingEnd.STOPPED)
                    elif rec.stage is RecordingStage.ASKED and forbidden:
                        rec.end("cancelled", self._now())
                        self._changed(live)
                    else:
                        self._context.tell_state(live)

    # -- messages -----------------------------------------------------------------------------------------------------

    async def take_record(self, device: Device, message: incoming.RecordCall) -> None:
        live = self._context.live.named(device, message)
        async with live.lock:
            party = live.party_of(device)
            if message.action == "start":
                self._ask(live, party, device, message.text_hash)
            elif live.recording.stage is RecordingStage.ASKED:
                await self._refuse(live, party, None)
            else:
                live.recording.check_ending()
                await self._stop(live, RecordingEnd.STOPPED)

    def _ask(self, live: LiveCall, party: Party, device: Device, text_hash: str | None) -> None:
        rec, other = live.recording, live.call.other(party)
        rec.check(RecordingEvent.ASK)
        if not all(one.can_show_recording for one in live.call.parties):
            raise SignalingError("not_supported", "the client of a party cannot show that the call is recorded")
        rec.ask(new_id(), (party.profile, device.device_id), (other.profile, other.device_id), self._now())
        self._write_answer(live, party, ConsentAnswer.REQUESTED, text_hash)
        self._changed(live)
        self._request(live, other)

    async def take_record_answer(self, device: Device, message: incoming.CallRecordAnswer) -> None:
        live = self._context.live.named(device, message)
        async with live.lock:
            party, rec = live.party_of(device), live.recording
            if message.recording_id is not None and message.recording_id != rec.recording_id:
                raise SignalingError("wrong_state", "that recording is over, or another one was asked for")
            if not message.accepted:
                await self._refuse(live, party, message.text_hash)
                return
            asked = rec.stage is RecordingStage.ASKED
            rec.agreed(party.profile, device.device_id, self._now())
            self._write_answer(live, party, ConsentAnswer.ACCEPTED, message.text_hash)
            if asked:
                await self._begin(live)
            else:
                await self._context.sessions.pause_capture(live.call.call_id, False, CONSENT)
                self._changed(live)

    async def _refuse(self, live: LiveCall, party: Party, text_hash: str | None) -> None:
        rec, call = live.recording, live.call
        asked = rec.asked == party.profile
        before = rec.refused(party.profile, self._now())
        if before is RecordingStage.ASKED:
            self._write_answer(live, party, ConsentAnswer.DECLINED if asked else ConsentAnswer.WITHDRAWN, text_hash)
            self._changed(live)
            return
        # First of all: nothing that arrives from now on is written.
        await self.captures.stop(call.call_id, RecordingEnd.CONSENT_WITHDRAWN)
        self._write_answer(live, party, ConsentAnswer.WITHDRAWN, text_hash)
        self._withdrawn(live)
        self._changed(live)

    def _withdrawn(self, live: LiveCall) -> None:
        rec, call = live.recording, live.call
        if self._settings.recording_on_withdrawal == "delete" and rec.recording_id is not None:
            discarded = RecordingDiscarded(kind=call.scope.kind, call_id=call.call_id, recording_id=rec.recording_id)
            self._context.log.add(discarded)

    # -- the service --------------------------------------------------------------------------------------------------

    async def order(self, call_id: str) -> str | None:
        """Record a call without asking, at once or from its answer on. No lock is held.

        Returns:
            The id of the recording; empty: it begins with the answer. None: no such call is in progress.

        Raises:
            SignalingError: `not_allowed`, `not_supported`, `wrong_state`, or `unavailable`: it could not begin.
        """
        live = self._context.live.with_id(call_id)
        if live is None:
            return None
        async with live.lock:
            rec, call = live.recording, live.call
            rec.check(RecordingEvent.ORDER)
            parties = call.parties if call.answered else (call.caller,)
            if not all(one.can_show_recording for one in parties) and not self._settings.recording_legacy_clients:
                raise SignalingError("not_supported", "the client of a party cannot show that the call is recorded")
            if not call.answered:
                rec.ordered = True
                return ""
            await self._order(live)
            if not rec.active:
                raise SignalingError("unavailable", f"the recording could not begin: {rec.reason}")
            return rec.recording_id

    async def stop(self, call_id: str) -> bool:
        """End the recording of a call; whether there was one. No lock is held."""
        live = self._context.live.with_id(call_id)
        if live is None:
            return False
        async with live.lock:
            rec = live.recording
            ordered, rec.ordered = rec.ordered, False
            if not rec.active:
                return ordered
            await self._stop(live, RecordingEnd.STOPPED)
            return True

    async def _order(self, live: LiveCall) -> None:
        live.recording.order(new_id(), {one.profile: one.device_id for one in live.call.parties}, self._now())
        await self._begin(live)

    # -- the call -----------------------------------------------------------------------------------------------------

    def held(self, live: LiveCall) -> None:
        """A party holds the call, or not any more. While it is held, nothing is forwarded, and so nothing is captured."""
        (live.recording.pause if self._is_held(live) else live.recording.resume)(HOLD, self._now())
        if live.recording.active:
            self._changed(live)

    async def joined(self, live: LiveCall, party: Party, device: Device) -> None:
        """A device is in the call for a party: the same as before, or another one."""
        rec, call_id = live.recording, live.call.call_id
        before, was_active, was_paused = rec.stage, rec.active, CONSENT in rec.pauses
        informed = device.can_show_recording or self._settings.recording_legacy_clients
        asks = rec.joined(party.profile, device.device_id, self._now(), informed=informed)
        if was_active and not rec.active:
            await self.captures.stop(call_id, RecordingEnd.CONSENT_WITHDRAWN)
            self._withdrawn(live)
        elif was_paused is not (CONSENT in rec.pauses):
            await self._context.sessions.pause_capture(call_id, not was_paused, CONSENT)
        if asks or was_active or rec.stage is not before:
            self._changed(live)
        elif rec.policy is not RecordingPolicy.OFF:  # whether it can be recorded depends on this device
            self._context.tell_state(live, live.call.other(party))
        if asks:
            self._request(live, party)

    async def moved(self, live: LiveCall, party: Party) -> None:
        """A party has a new transport, which is not connected yet."""
        if live.recording.active and party.transport_id is not None:
            await self._context.sessions.capture_party(live.call.call_id, party.transport_id, label(live, party))

    def call_ended(self, live: LiveCall) -> None:
        """The call ends, and with it its recording: its router is closed next."""
        self._cancel_timer(live)
        if live.recording.active:
            live.recording.end(RecordingEnd.CALL_ENDED, self._now())
            self._tell(live)

    async def call_moved(self, live: LiveCall) -> None:
        """The call goes on at another node, which says whether it is recorded there. What is recorded here ends."""
        self._cancel_timer(live)
        if live.recording.active:
            live.recording.end(RecordingEnd.CALL_ENDED, self._now())
            await self.captures.stop(live.call.call_id, RecordingEnd.CALL_ENDED)

    # -- the media plane ----------------------------------------------------------------------------------------------

    async def _begin(self, live: LiveCall) -> None:
        """Have the call captured: it is `recording` already, by its table, and no party was told so yet."""
        rec = live.recording
        self._cancel_timer(live)
        if self._is_held(live):
            rec.pause(HOLD, self._now())
        refused = await self.captures.start(live)
        if refused is not None and rec.active:
            rec.end(refused, self._now())
        self._changed(live)

    async def _stop(self, live: LiveCall, reason: RecordingEnd) -> None:
        # First of all: nothing that arrives from now on is written.
        await self.captures.stop(live.call.call_id, reason)
        live.recording.end(reason, self._now())
        self._changed(live)

    def capture_ended(self, event: CaptureEnded) -> None:
        """The media plane says that a capture has ended. No lock is held."""
        live, reason = self.captures.ended(event)
        if live is not None and not self._context.closing:
            self._context.spawn(self._ended_by_itself(live, event.recording_id, reason))

    async def _ended_by_itself(self, live: LiveCall, recording_id: str, reason: RecordingEnd) -> None:
        async with live.lock:
            rec = live.recording
            if rec.active and rec.recording_id == recording_id:
                rec.end(reason, self._now())
                self._changed(live)

    def _write_answer(self, live: LiveCall, party: Party, answer: ConsentAnswer, text_hash: str | None = None) -> None:
        call, rec = live.call, live.recording
        assert rec.recording_id is not None, "it was asked for"
        consent = RecordingConsent(
            consent_id=new_id(),
            recording_id=rec.recording_id,
            call_id=call.call_id,
            profile=party.profile,
            answer=answer,
            at=self._context.time_of(live),
            policy_version=self._terms.policy_version,
            text_hash=text_hash or self._text_hash,
        )
        self._context.log.add(RecordingAnswered(kind=call.scope.kind, call_id=call.call_id, consent=consent))

    # -- what parties are told ----------------------------------------------------------------------------------------

    def _request(self, live: LiveCall, party: Party) -> None:
        """Ask a party, and await its answer."""
        rec, context = live.recording, self._context
        assert rec.recording_id is not None and rec.expires_at is not None, "the party is asked"
        self._cancel_timer(live)
        recording_id, expires_at = rec.recording_id, rec.expires_at
        live.recording_timer = context.later(
            max(0.0, expires_at - self._now()), lambda: self._expire(live, recording_id, expires_at)
        )
        request = notices.about(
            outgoing.RecordRequestDelivery,
            live.call,
            party,
            recording_id=recording_id,
            **self._terms._asdict(),
            expires_at=notices.milliseconds(live.timeline.at(expires_at)),
            server_time=notices.milliseconds(context.time_of(live)),
        )
        context.tell(party, request)

    async def _expire(self, live: LiveCall, recording_id: str, expires_at: float) -> None:
        async with live.lock:
            rec = live.recording
            if rec.asked is None or (rec.recording_id, rec.expires_at) != (recording_id, expires_at):
                return
            party, was_active = live.call.party(rec.asked), rec.active
            rec.expired(self._now())
            self._write_answer(live, party, ConsentAnswer.EXPIRED)
            if was_active:
                await self.captures.stop(live.call.call_id, RecordingEnd.CONSENT_WITHDRAWN)
                self._withdrawn(live)
            self._changed(live)

    def _changed(self, live: LiveCall) -> None:
        """Tell both parties; if none of them is asked any more, no answer is awaited."""
        if live.recording.asked is None:
            self._cancel_timer(live)
        self._tell(live)

    def _tell(self, live: LiveCall) -> None:
        for party in live.call.parties:
            fields = notices.recording_fields(live.recording, live.call, party, live.timeline)
            self._context.tell(party, notices.about(outgoing.RecordingDelivery, live.call, party, **fields))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._context.clock.now()

    @staticmethod
    def _is_held(live: LiveCall) -> bool:
        return any(one.holds for one in live.call.parties)

    @staticmethod
    def _cancel_timer(live: LiveCall) -> None:
        if live.recording_timer is not None:
            live.recording_timer.cancel()
            live.recording_timer = None

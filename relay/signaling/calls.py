"""The calls of this server: takes what clients, media and time do, moves each call along its table, and tells everyone.

One lock per call puts everything that happens to it in order; nothing is shared between calls but the indexes, which change
without waiting.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from relay.errors import LostRace, SignalingError
from relay.ids import Profile, new_id
from relay.media.api import (
    WORKER_LOST,
    DtlsRole,
    MediaEngine,
    MediaEvent,
    TransportClosed,
    TransportReport,
    TransportUp,
    WorkerLost,
)
from relay.signaling import messages, notices, sdp
from relay.signaling.call import BEFORE_ANSWER, Call, EndReason, Event, Party, State, Timers
from relay.signaling.clock import Clock
from relay.signaling.devices import Devices
from relay.signaling.heartbeat import Heartbeat
from relay.signaling.legs import Leg, Legs
from relay.signaling.ports import CallLog, Device, Directory, NewCall, ProfileCard

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Active:
    """A call that has not ended, and what belongs to it outside the pure `Call`."""

    call: Call
    offer: sdp.SessionDescription
    caller_leg: Leg | None = None
    ringing: dict[str, tuple[Device, Leg]] = field(default_factory=dict)
    """Devices that ring: device id → the device and its leg."""
    answered_at: datetime | None = None
    timer: asyncio.TimerHandle | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Calls:
    """The service behind every WebSocket.

    Args:
        public_addresses: what the operator says media is reachable at; may be empty.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        log: CallLog,
        engine: MediaEngine,
        timers: Timers,
        public_addresses: tuple[str, ...] = (),
        clock: Clock | None = None,
    ) -> None:
        self._directory = directory
        self._log = log
        self._legs = Legs(engine, public_addresses)
        self._timers = timers
        self._clock = clock or Clock()
        self._heartbeat = Heartbeat(log, lambda: [one.call.call_id for one in self._active()], self._clock)
        self._devices = Devices()
        self._by_profile: dict[Profile, _Active] = {}
        self._by_transport: dict[str, _Active] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self.refused: Counter[str] = Counter()
        """Messages answered with an error, by code."""
        self._take: Final[dict[type[messages.FromClient], Callable[[Device, Any], Awaitable[None]]]] = {
            messages.CallInvitation: self._take_invitation,
            messages.CallAnswer: self._take_answer,
            messages.TrickledCandidate: self._take_candidate,
            messages.CallDeclined: self._take_declined,
            messages.CallEnded: self._take_ended,
        }

    @property
    def call_count(self) -> int:
        """Calls that have not ended."""
        return len(self._active())

    @property
    def device_count(self) -> int:
        """Open connections."""
        return len(self._devices)

    # -- what the outside does ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Close what an earlier life of this server left open, and begin."""
        await self._heartbeat.start()

    async def connected(self, device: Device) -> None:
        """A device has connected: it rings if its profile is being called, and takes over a call that lost its device."""
        self._devices.add(device)
        active = self._by_profile.get(device.profile)
        if active is None:
            return
        async with active.lock:
            call, party = active.call, active.call.party(device.profile)
            if call.state is State.RINGING and party is call.callee and device.device_id not in active.ringing:
                async with self._ended_on_error(active):
                    await self._ring(active, device)
            elif call.answered and party.device_id is None:
                call.signaling_back(party, device.device_id)
                self._set_timer(active)
                self._tell_state(active, party)

    async def disconnected(self, device: Device) -> None:
        """A device has gone."""
        self._devices.remove(device)
        active = self._by_profile.get(device.profile)
        if active is None:
            return
        async with active.lock:
            call, party = active.call, active.call.party(device.profile)
            if call.answered and party.device_id == device.device_id:
                call.signaling_lost(party, self._clock.now())
                self._set_timer(active)
            elif call.state in BEFORE_ANSWER and party is call.caller and party.device_id == device.device_id:
                await self._end(active, EndReason.SIGNALING_LOST)
            elif device.device_id in active.ringing:
                await self._stop_ringing(active, device.device_id)
                if not active.ringing:
                    await self._end(active, EndReason.OFFLINE)

    async def receive(self, device: Device, frame: str | bytes) -> None:
        """Take one frame of a device. What is wrong with it is answered with an `error`; nothing is raised."""
        try:
            message = messages.decode(frame)
            await self._take[type(message)](device, message)
        except SignalingError as error:
            self._refuse(device, frame, error.code, str(error))
        except Exception:
            logger.exception("a message of %s could not be handled", device.profile.key)
            self._refuse(device, frame, "unavailable", "the server could not do this now; try again")

    def media_event(self, event: MediaEvent) -> None:
        """Take what the media engine says (`relay.media.api.MediaEventSink`)."""
        active = self._by_transport.get(event.transport_id)
        if active is not None and not self._closing and not isinstance(event, TransportReport):
            self._spawn(self._take_media_event(active, event))

    async def close(self) -> None:
        """End every call and tell everyone."""
        self._closing = True
        await self._heartbeat.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._end_locked(one, EndReason.SERVER_SHUTDOWN) for one in self._active()))

    # -- the five messages --------------------------------------------------------------------------------------------

    async def _take_invitation(self, device: Device, message: messages.CallInvitation) -> None:
        offer = sdp.parse(message.offer.sdp)
        callee = Profile(message.to_profile_type, message.to_profile_id)
        if callee == device.profile:
            raise SignalingError("invalid_message", "nobody can call themselves")
        if self._closing:
            raise SignalingError("unavailable", "the server is shutting down")
        caller_card = await self._card(device.profile)
        callee_card = await self._card(callee)
        members = await self._directory.members(message.conversation_id)
        await self._replace_older(device)
        if self._closing:
            raise SignalingError("unavailable", "the server is shutting down")
        call = Call(
            call_id=new_id(),
            conversation_id=message.conversation_id,
            call_type=message.call_type,
            caller=_party(caller_card, device.device_id),
            # Who may not call somebody does not learn whether they exist, either.
            callee=_party(callee_card if {device.profile, callee} <= members else ProfileCard(callee, "", "")),
            timers=self._timers,
            since=self._clock.now(),
        )
        active = _Active(call, offer)
        refusal = self._refusal(call, members)
        if refusal is None:
            # Both are taken from here on, before anything waits: of two invitations that cross, the second finds them busy.
            self._by_profile[device.profile] = self._by_profile[callee] = active
        async with active.lock, self._ended_on_error(active):
            await self._log.opened(
                NewCall(call.call_id, call.conversation_id, call.call_type, caller_card, callee_card, self._clock.utcnow())
            )
            if refusal is not None:
                await self._end(active, refusal)
                return
            await self._begin_ringing(active)

    async def _replace_older(self, device: Device) -> None:
        """The same caller calls again: its page was loaded anew, or has given up without a word.

        Another device of the caller that is talking is left alone; the new call then finds the caller busy.
        """
        older = self._by_profile.get(device.profile)
        if older is None or older.call.caller.profile != device.profile:
            return
        if not older.call.answered:
            await self._end_locked(older, EndReason.CANCELLED)
        elif older.call.caller.device_id in (device.device_id, None):
            await self._end_locked(older, EndReason.HANGUP)

    def _refusal(self, call: Call, members: frozenset[Profile]) -> EndReason | None:
        caller, callee = call.caller.profile, call.callee.profile
        if not {caller, callee} <= members:
            return EndReason.REJECTED
        if not self._devices.of(callee):
            return EndReason.OFFLINE
        if caller in self._by_profile or callee in self._by_profile:
            return EndReason.BUSY
        return None

    async def _begin_ringing(self, active: _Active) -> None:
        call = active.call
        active.caller_leg = await self._open_leg(active)
        call.caller.transport_id = active.caller_leg.transport_id
        call.apply(Event.RANG, self._clock.now())
        for device in self._devices.of(call.callee.profile):
            await self._ring(active, device)
        if not active.ringing:
            await self._end(active, EndReason.OFFLINE)
            return
        self._set_timer(active)
        self._tell_state(active, call.caller)

    async def _ring(self, active: _Active, device: Device) -> None:
        """Offer the call to one device, on a leg of its own."""
        call = active.call
        leg = await self._open_leg(active)
        active.ringing[device.device_id] = (device, leg)
        offer = self._legs.describe_offer(active.offer, leg, device)
        now = self._clock.utcnow()
        expires = now + timedelta(seconds=max(0.0, call.since + self._timers.ring - self._clock.now()))
        device.send(messages.encode(notices.invitation(call, offer, expires, now)))

    async def _take_answer(self, device: Device, message: messages.CallAnswer) -> None:
        active = self._find(device, message.conversation_id)
        async with active.lock:
            call = active.call
            if device.device_id not in active.ringing:
                raise SignalingError("wrong_state", f"the call is {call.state}; this device does not ring")
            answer = sdp.parse(message.answer.sdp)
            if len(answer.sections) != len(active.offer.sections):
                raise SignalingError("invalid_sdp", "an answer has as many media sections as its offer")
            if answer.transport.role is DtlsRole.ACTPASS:
                raise SignalingError("invalid_sdp", "a=setup of an answer is active or passive")
            now = self._clock.utcnow()
            try:
                await self._log.answered(call.call_id, now)
            except LostRace:
                logger.warning("call %s was closed by somebody else before its answer", call.call_id)
                await self._end(active, EndReason.EXPIRED)
                return
            _, leg = active.ringing.pop(device.device_id)
            call.callee.device_id, call.callee.transport_id = device.device_id, leg.transport_id
            active.answered_at = now
            call.apply(Event.ANSWERED, self._clock.now())
            async with self._ended_on_error(active):
                await self._join(active, leg, answer)
            for other, _ in list(active.ringing.values()):
                other.send(messages.encode(notices.ended(call, call.callee, "answered_elsewhere")))
                await self._stop_ringing(active, other.device_id)
            self._set_timer(active)

    async def _join(self, active: _Active, callee_leg: Leg, answer: sdp.SessionDescription) -> None:
        """Connect both legs and hand the answer to the caller."""
        call = active.call
        assert active.caller_leg is not None, "a call that rings has its caller's leg"
        await self._legs.join(call.call_id, active.caller_leg, active.offer, callee_leg, answer)
        device = self._devices.get(call.caller.profile, call.caller.device_id)
        if device is not None:
            text = self._legs.describe_answer(answer, active.offer, active.caller_leg, device)
            device.send(messages.encode(notices.answer(call, text)))
        for party in call.parties:
            self._tell_state(active, party)

    async def _take_candidate(self, device: Device, message: messages.TrickledCandidate) -> None:
        # An ICE-lite agent sends no checks, so there is nothing to do with a good one: the browser comes to us.
        self._find(device, message.conversation_id)
        if message.candidate is not None and not sdp.check_candidate(message.candidate.candidate or ""):
            raise SignalingError("invalid_message", "not a candidate (RFC 8839 section 5.1)")

    async def _take_declined(self, device: Device, message: messages.CallDeclined) -> None:
        active = self._find(device, message.conversation_id)
        async with active.lock:
            if device.device_id not in active.ringing:
                raise SignalingError("wrong_state", f"the call is {active.call.state}; this device does not ring")
            known = message.reason in ("offline", "busy")
            await self._end(active, EndReason(message.reason) if known else EndReason.REJECTED, by=device)

    async def _take_ended(self, device: Device, message: messages.CallEnded) -> None:
        active = self._find(device, message.conversation_id)
        async with active.lock:
            call, party = active.call, active.call.party(device.profile)
            if call.state is State.ENDED:
                raise SignalingError("no_call", "the call has ended")
            if device.device_id in active.ringing:
                await self._end(active, EndReason.REJECTED, by=device)
            elif party.device_id not in (device.device_id, None):
                raise SignalingError("not_in_call", "another device of this profile is in the call")
            else:
                await self._end(active, EndReason.HANGUP if call.answered else EndReason.CANCELLED, by=device)

    def _find(self, device: Device, conversation_id: int) -> _Active:
        active = self._by_profile.get(device.profile)
        if active is None or active.call.conversation_id != conversation_id:
            raise SignalingError("no_call", "this profile is in no call of this conversation")
        return active

    # -- media and time -----------------------------------------------------------------------------------------------

    async def _take_media_event(self, active: _Active, event: MediaEvent) -> None:
        async with active.lock:
            call = active.call
            if isinstance(event, TransportClosed) and event.reason == WORKER_LOST:
                # All of its transports are lost, so this is the end at any stage; unless one was closed a moment before.
                if event.transport_id in self._by_transport:
                    await self._end(active, EndReason.WORKER_LOST)
                return
            party = next((one for one in call.parties if one.transport_id == event.transport_id), None)
            if party is None or not call.answered:
                return
            if isinstance(event, TransportClosed) and event.reason == "dtls_failed":
                await self._end(active, EndReason.ICE_FAILED)
                return
            if call.media_changed(party, up=isinstance(event, TransportUp), now=self._clock.now()):
                for one in call.parties:
                    self._tell_state(active, one)
            self._set_timer(active)

    def _set_timer(self, active: _Active) -> None:
        if active.timer is not None:
            active.timer.cancel()
            active.timer = None
        due = active.call.deadline()
        if due is not None:
            loop = asyncio.get_running_loop()
            active.timer = loop.call_at(due[0], lambda: self._spawn(self._expire(active)))

    async def _expire(self, active: _Active) -> None:
        async with active.lock:
            due = active.call.deadline()
            if due is None:
                return
            if due[0] > self._clock.now() + 0.01:  # moved meanwhile; timers are a millisecond off at times
                self._set_timer(active)
                return
            await self._end(active, due[1])

    # -- the end ------------------------------------------------------------------------------------------------------

    async def _end_locked(self, active: _Active, reason: EndReason) -> None:
        async with active.lock:
            await self._end(active, reason)

    async def _end(self, active: _Active, reason: EndReason, by: Device | None = None) -> None:
        """End a call, once: its row, its media, and one last message to each of its devices. Call it with the lock held."""
        call = active.call
        if not call.end(reason, self._clock.now()):
            return
        for party in call.parties:
            if self._by_profile.get(party.profile) is active:
                del self._by_profile[party.profile]
        if active.timer is not None:
            active.timer.cancel()
        now = self._clock.utcnow()
        duration = await self._log_end(active, now)
        last = [(device, call.callee) for device, _ in active.ringing.values()]
        last += [(device, party) for party in call.parties if (device := self._devices.get(party.profile, party.device_id))]
        for device, party in last:
            if device is by:
                device.send(messages.encode(notices.ended_by_you(call, party, active.answered_at, now, duration)))
            else:
                device.send(messages.encode(notices.final(call, party, duration)))
        for party in call.parties:
            self._by_transport.pop(party.transport_id or "", None)
        for _, leg in active.ringing.values():
            self._by_transport.pop(leg.transport_id, None)
        active.ringing.clear()
        await self._legs.close_all(call.call_id)
        logger.info("call %s ended: %s after %s s", call.call_id, reason, duration)

    async def _log_end(self, active: _Active, now: datetime) -> int | None:
        assert active.call.end_reason is not None, "the call has ended"
        try:
            return await self._log.ended(active.call.call_id, now, active.call.end_reason)
        except LostRace:
            logger.warning("call %s was closed by somebody else before its end", active.call.call_id)
        except Exception:
            # The parties must hear of the end all the same; the row is closed as expired at the next start.
            logger.exception("the end of call %s could not be written to call_logs", active.call.call_id)
        return None if active.answered_at is None else int((now - active.answered_at).total_seconds())

    @asynccontextmanager
    async def _ended_on_error(self, active: _Active) -> AsyncIterator[None]:
        """A call that the server cannot set up must not stay half open."""
        try:
            yield
        except Exception as error:
            await self._end(active, EndReason.WORKER_LOST if isinstance(error, WorkerLost) else EndReason.UNAVAILABLE)
            raise

    # -- little helpers -----------------------------------------------------------------------------------------------

    def _active(self) -> list[_Active]:
        return list({id(one): one for one in self._by_profile.values()}.values())

    async def _card(self, profile: Profile) -> ProfileCard:
        return await self._directory.profile(profile) or ProfileCard(profile, "", "")

    async def _open_leg(self, active: _Active) -> Leg:
        leg = await self._legs.open(active.call.call_id)
        self._by_transport[leg.transport_id] = active
        return leg

    async def _stop_ringing(self, active: _Active, device_id: str) -> None:
        _, leg = active.ringing.pop(device_id)
        self._by_transport.pop(leg.transport_id, None)
        await self._legs.close(leg)

    def _tell_state(self, active: _Active, party: Party) -> None:
        device = self._devices.get(party.profile, party.device_id)
        if device is not None:
            device.send(messages.encode(notices.state(active.call, party, active.answered_at, self._clock.utcnow())))

    def _refuse(self, device: Device, frame: str | bytes, code: str, text: str) -> None:
        self.refused[code] += 1
        device.send(messages.encode(messages.Error(code=code, message=text, ref=messages.ref_of(frame))))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a call could not be moved along", exc_info=error)


def _party(card: ProfileCard, device_id: str | None = None) -> Party:
    return Party(card.profile, card.name, card.avatar, device_id)

"""How calls end: by a party, by the clock, by a failure. One row, and one last message to each device."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from relay.cluster.values import NodeRef
from relay.errors import Unavailable
from relay.media.api import WorkerLost
from relay.signaling.calls import notices
from relay.signaling.calls import sheet as sheets
from relay.signaling.calls.call import Call, EndReason, Party
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.live import LiveCall, Update
from relay.signaling.calls.recordings import Recordings
from relay.signaling.calls.summary import line, summary
from relay.signaling.log.entries import Ended
from relay.signaling.messages.outgoing import CallMissed, TransferTarget
from relay.signaling.presence.device import Device

logger = logging.getLogger(__name__)

TIMER_TOLERANCE: Final = 0.01
"""Seconds that a timer may come too early: event loops round."""


MAX_TRANSFERRED: Final = 1000
"""Calls that are remembered as transferred, until their rows certainly say so."""


class Termination:
    """Ends calls. Every method is to be called with the call's lock held, but for those that say otherwise."""

    def __init__(self, context: CallContext, recordings: Recordings) -> None:
        self._context = context
        self._recordings = recordings

    def set_timer(self, live: LiveCall) -> None:
        """Let the call end when its next deadline comes."""
        if live.timer is not None:
            live.timer.cancel()
            live.timer = None
        due = live.call.deadline()
        if due is not None:
            live.timer = self._context.later(due[0] - self._context.clock.now(), lambda: self._expire(live))

    def hand_over(self, live: LiveCall, party: Party, device: Device) -> None:
        """The party's device has come back, or another takes its place; whichever might have been in the call is told."""
        former = self._context.device_of(party)
        others = [one for one in live.waiting if one.profile == party.profile]
        live.waiting = [one for one in live.waiting if one not in others]
        if former is not None and former not in others:
            others.append(former)
        live.call.signaling_back(party, device.device_id)
        party.can_update, party.can_show_recording = device.can_update, device.can_show_recording
        self.set_timer(live)
        for other in others:
            if other is not device:
                other.send(notices.ended(live.call, party, EndReason.ANSWERED_ELSEWHERE))
        if former is not device:
            sheets.keep(self._context.cluster, live)  # at once: a successor would have another device in the call
            self._context.tell_elsewhere(live, party)

    async def _expire(self, live: LiveCall) -> None:
        async with live.lock:
            due = live.call.deadline()
            if due is None:
                return
            if due[0] > self._context.clock.now() + TIMER_TOLERANCE:  # moved meanwhile
                self.set_timer(live)
                return
            await self.end(live, due[1])

    async def end_locked(self, live: LiveCall, reason: EndReason) -> None:
        """End a call whose lock is not held yet."""
        async with live.lock:
            await self.end(live, reason)

    async def end(
        self, live: LiveCall, reason: EndReason, by: Device | None = None, transfer: TransferTarget | None = None
    ) -> None:
        """End a call, once.

        Args:
            by: the device that ended it.
            transfer: whom the party that agreed to a transfer is to call.
        """
        context, call = self._context, live.call
        if not call.end(reason, context.clock.now()):
            return
        context.ended[reason.value] += 1
        update, asked = live.take_update(), live.take_transfer()
        asking = live.drop_requests()
        self._take_out(live, update)
        self._recordings.call_ended(live)
        if reason is EndReason.TRANSFERRED:
            self._remember_transfer(call)
        now = context.time_of(live)
        duration = None if live.answered_at is None else (now - live.answered_at) // timedelta(seconds=1)
        self._write_end(live, now)
        if live.claim is not None:
            context.cluster.release(live.claim)
        told = {device: call.party(device.profile) for device in (*live.waiting, *asking)}
        told |= {device: call.callee for device, _ in live.ringing.values()}
        told |= {device: party for party in call.parties if (device := context.device_of(party))}
        for device, party in told.items():
            if device is by:
                device.send(notices.ended_by_you(call, party, live.answered_at, now, duration))
            else:
                agreed = asked is not None and party is not asked.by
                device.send(notices.final(call, party, duration, transfer if agreed else None))
        for party in call.parties:
            context.tell_elsewhere(live, party)
        self._tell_missed(live)
        context.forget(*(party.profile for party in call.parties))
        live.ringing.clear()
        fields = summary(live, context.clock.now())
        logger.info("call %s ended: %s", call.call_id, line(fields), extra=fields)
        # After everyone has been told: that they must not wait for a media plane that is slow to answer.
        await context.sessions.close_all(call.call_id)
        context.ports.hooks.ended(call, now, duration)

    def lost(self, call_id: str) -> None:
        """The row of a call was closed by another hand before its answer. Its lock is not held."""
        if (live := self._context.live.with_id(call_id)) is not None:
            self._context.spawn(self.end_locked(live, EndReason.EXPIRED))

    async def taken_over(self, call_id: str) -> None:
        """The row of a call was another server's a moment ago: this one was taken for dead. Its lock is not held."""
        if (live := self._context.live.with_id(call_id)) is None:
            return
        async with live.lock:
            # A call that moves is the next owner's for a moment, also if it comes back.
            if await self._is_anothers(live):
                for party in live.call.parties:
                    for device in self._context.devices.known(party.profile):
                        device.in_doubt = device.remote is None
                await self._drop(live)

    async def _is_anothers(self, live: LiveCall) -> bool:
        call_id, log = live.call.call_id, self._context.ports.logs[live.call.scope.kind]
        try:
            return call_id in await log.heartbeat([call_id], self._context.time_of(live))
        except Unavailable:
            return False  # the next heartbeat finds it

    async def drop(self, live: LiveCall) -> None:
        """Carry a call no more. Nothing is written, and no device is told: another server speaks for the call. Its lock is not
        held."""
        async with live.lock:
            await self._drop(live)

    async def _drop(self, live: LiveCall) -> None:
        context, call = self._context, live.call
        if not call.end(EndReason.EXPIRED, context.clock.now()):
            return
        update, _, _ = live.take_update(), live.take_transfer(), live.drop_requests()
        self._take_out(live, update)
        if live.claim is not None:
            context.cluster.release(live.claim)  # or it would be claimed anew when the engine has lost the new owner's
        live.ringing.clear()
        context.ports.hooks.dropped(call)
        context.forget(*(party.profile for party in call.parties))
        logger.warning("call %s is another server's, and is dropped here", call.call_id)
        await context.sessions.close_all(call.call_id)

    def leave(self, live: LiveCall, to: NodeRef) -> None:
        """Carry a call no more that another server goes on with, as this one has asked it to. Its media stays for now."""
        context, call = self._context, live.call
        assert live.claim is not None, "only such a call is moved"
        call.end(EndReason.EXPIRED, context.clock.now())  # here only: nothing is written, and no party is told
        self._take_out(live, live.take_update())
        live.ringing.clear()
        live.lock.moved_to = to
        context.ports.hooks.dropped(call)
        context.cluster.release(live.claim)
        context.forget(*(party.profile for party in call.parties))

    def _take_out(self, live: LiveCall, update: Update | None) -> None:
        """Both parties are free, and neither time nor media moves the call along any more."""
        live_calls = self._context.live
        live_calls.remove(live)
        if live.timer is not None:
            live.timer.cancel()
        sessions = [live.caller.session, live.callee.session, update.session if update else None]
        for session in [*sessions, *(session for _, session in live.ringing.values())]:
            if session is not None:
                live_calls.disown_transport(session.transport_id)

    def _remember_transfer(self, call: Call) -> None:
        transferred = self._context.transferred
        transferred[call.call_id] = tuple(party.profile for party in call.parties)
        if len(transferred) > MAX_TRANSFERRED:
            del transferred[next(iter(transferred))]

    def _tell_missed(self, live: LiveCall) -> None:
        call, reason = live.call, live.call.end_reason
        if live.refused or live.answered_at is not None or reason is None or reason in notices.NOT_MISSED:
            return
        record = notices.missed_record(call, reason.value, live.started_at)
        devices = self._context.devices
        # Also to those that are away: a device that comes back is not told what was missed, but gets what it was sent.
        for device in devices.known(call.callee.profile):
            device.send(CallMissed(call=notices.missed(record)))
        waker = self._context.ports.waker
        if not devices.of(call.callee.profile) and waker is not None:
            self._context.spawn(waker.missed(record, call.callee.profile))

    def _write_end(self, live: LiveCall, now: datetime) -> None:
        call = live.call
        assert call.end_reason is not None, "the call has ended"
        self._context.log.add(
            Ended(
                kind=call.scope.kind,
                call_id=call.call_id,
                at=now,
                reason=call.end_reason,
                answered_at=live.answered_at,
                # Words like those of the chat: they are the platform's to keep or not.
                decline_message=call.decline_message if call.keeps_chat else None,
                caller=replace(live.caller.path, score=live.caller.quality.mean_score),
                callee=replace(live.callee.path, score=live.callee.quality.mean_score),
            )
        )

    @asynccontextmanager
    async def ended_on_error(self, live: LiveCall) -> AsyncIterator[None]:
        """A call that the server cannot set up must not stay half open."""
        try:
            yield
        except Exception as error:
            await self.end(live, EndReason.WORKER_LOST if isinstance(error, WorkerLost) else EndReason.UNAVAILABLE)
            raise

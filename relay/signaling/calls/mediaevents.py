"""What the media plane says about calls: transports that are up or closed, reports, and captures that have ended."""

from relay.media.api import WORKER_LOST, CaptureEnded, MediaEvent, TransportClosed, TransportEvent, TransportReport, TransportUp
from relay.signaling.calls.call import EndReason
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.incall import InCall
from relay.signaling.calls.live import LiveCall
from relay.signaling.calls.recordings import Recordings
from relay.signaling.calls.succession import Succession
from relay.signaling.calls.termination import Termination


class MediaEvents:
    """Takes it. No lock is held."""

    def __init__(
        self, context: CallContext, termination: Termination, recordings: Recordings, in_call: InCall, succession: Succession
    ) -> None:
        self._context = context
        self._termination = termination
        self._recordings = recordings
        self._in_call = in_call
        self._succession = succession

    def take(self, event: MediaEvent) -> None:
        """An event of the media engine."""
        if isinstance(event, CaptureEnded):
            self._recordings.capture_ended(event)
            return
        live = self._context.live.with_transport(event.transport_id)
        if live is None or self._context.closing:
            return
        if isinstance(event, TransportReport):
            self._in_call.report(live, event)
            return
        party = live.call.party_with(event.transport_id)
        if isinstance(event, TransportUp) and party is not None:
            # Not in its turn but now: a report may come before that, and know better.
            self._context.paths.seen(live.media(party), event.remote)
        self._context.spawn(self._take_in_turn(live, event))

    async def _take_in_turn(self, live: LiveCall, event: TransportEvent) -> None:
        async with live.lock:
            call = live.call
            if isinstance(event, TransportClosed) and event.reason == WORKER_LOST:
                # All of its transports are lost, so this is the end at any stage; unless one was closed a moment before.
                if self._context.live.with_transport(event.transport_id) is live:
                    await self._termination.end(live, EndReason.WORKER_LOST)
                return
            party = call.party_with(event.transport_id)
            if party is None or not call.answered:
                return
            if isinstance(event, TransportClosed) and event.reason == "dtls_failed":
                await self._termination.end(live, EndReason.ICE_FAILED)
                return
            now = self._context.clock.now()
            if call.media_changed(party, up=isinstance(event, TransportUp), now=now):
                live.course.note(call.state, now)
                self._context.tell_state(live)
            self._succession.settled(live)
            self._termination.set_timer(live)

"""The captures of calls that the media plane makes: started, stopped, and written down as recordings."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Final

from relay.errors import RelayError
from relay.media.api import CaptureEnded, CaptureOrder, CaptureRefused, PartyLabel
from relay.records.recordings import CaptureResult, NewRecording, RecordingEnd, RecordingPolicy
from relay.settings.recording import MEBIBYTE, RecordingSettings
from relay.signaling.calls.call import Party
from relay.signaling.calls.context import CallContext
from relay.signaling.calls.live import LiveCall
from relay.signaling.log.entries import RecordingCaptured, RecordingStarted

logger = logging.getLogger(__name__)

ENDS_WITHIN: Final = 60.0
"""Seconds that a capture may take to end after its call. Then it is ended once more, and given up after as long again."""


@dataclass(slots=True)
class _Capture:
    """A capture that the media plane was told to begin, and has not ended."""

    live: LiveCall
    over_since: float | None = None
    """When its call was first seen to be over; seconds, monotonic."""


class CallCaptures:
    """The captures that go on.

    Args:
        key: what files are sealed with; None: they are not.
    """

    def __init__(self, context: CallContext, settings: RecordingSettings, key: bytes | None) -> None:
        self._context = context
        self._settings = settings
        self._key = key
        self._captures: dict[str, _Capture] = {}
        """By recording id."""
        self.ended_by_reason: Counter[str] = Counter()
        """Recordings that have ended."""
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __len__(self) -> int:
        return len(self._captures)

    def concerns(self, recording_id: str) -> bool:
        """Whether this server captures that recording, or is about to write how it ended."""
        return recording_id in self._captures or self._context.log.is_ending(recording_id)

    async def start(self, live: LiveCall) -> RecordingEnd | None:
        """Have a call captured; its lock is held.

        Returns:
            Why it cannot be, or None.
        """
        recording_id, call = live.recording.recording_id, live.call
        assert recording_id is not None, "it was asked for, or ordered"
        order = self._order(live, recording_id)
        # Before the first packet: no one would find a file without a row.
        self._write_start(live, order)
        self._captures[recording_id] = _Capture(live)
        self._none_left.clear()
        try:
            await self._context.sessions.start_capture(call.call_id, order)
        except (RelayError, KeyError) as error:
            reason = _reason(str(error)) if isinstance(error, CaptureRefused) else RecordingEnd.WORKER_LOST
            logger.warning("call %s cannot be recorded: %s", call.call_id, reason)
            self._write_end(recording_id, CaptureResult(reason))
            return reason
        logger.info("call %s is recorded from now on: %s, policy %s", call.call_id, recording_id, order.policy)
        return None

    async def stop(self, call_id: str, reason: RecordingEnd) -> None:
        """Capture nothing of a call that arrives from now on."""
        try:
            await self._context.sessions.stop_capture(call_id, reason, self._context.clock.now())
        except RelayError as error:  # its worker has died: `CaptureEnded` says so
            logger.warning("the recording of call %s ended by itself: %s", call_id, error)

    def ended(self, event: CaptureEnded) -> tuple[LiveCall | None, RecordingEnd]:
        """The media plane says that a capture has ended.

        Returns:
            The call, unless the capture is one that was given up; and the reason.
        """
        capture, reason = self._captures.get(event.recording_id), _reason(event.reason)
        files = {f"{event.recording_id}.pcapng": event.bytes}
        self._write_end(event.recording_id, CaptureResult(reason, event.packets, event.bytes, event.dropped, files))
        return (None if capture is None else capture.live), reason

    async def watch(self, now: float) -> None:
        """End the captures whose call is over, and give up those that do not end by that.

        Args:
            now: seconds, monotonic.
        """
        going = {one.call.call_id for one in self._context.live}
        for recording_id, capture in list(self._captures.items()):
            call_id = capture.live.call.call_id
            if call_id in going:
                continue
            if capture.over_since is None:
                capture.over_since = now
            elif now - capture.over_since > 2 * ENDS_WITHIN:
                logger.error("recording %s does not end: its disk hangs, or its writer has died", recording_id)
                files = {f"{recording_id}.pcapng": 0}
                self._write_end(recording_id, CaptureResult(RecordingEnd.WRITE_FAILED, files=files))
            elif now - capture.over_since > ENDS_WITHIN:
                logger.warning("recording %s has gone on without its call: it ends now", recording_id)
                await self.stop(call_id, RecordingEnd.CALL_ENDED)

    async def settled(self, within: float) -> None:
        """Wait until every capture has ended, but no longer than that many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._none_left.wait()
        except TimeoutError:
            logger.warning("%d recordings have not ended: the next start finds them", len(self._captures))

    def _order(self, live: LiveCall, recording_id: str) -> CaptureOrder:
        settings = self._settings
        return CaptureOrder(
            recording_id=recording_id,
            directory=str(settings.recordings),
            call_id=live.call.call_id,
            policy="consent" if live.recording.origin == "party" else "always",
            parties={one.transport_id: label(live, one) for one in live.call.parties if one.transport_id is not None},
            key=self._key,
            min_free=settings.recording_min_free * MEBIBYTE,
            max_hours=settings.recording_max_hours,
            keyframe_interval=settings.recording_keyframe_interval,
            buffer=settings.recording_buffer * MEBIBYTE,
        )

    def _write_start(self, live: LiveCall, order: CaptureOrder) -> None:
        call, context = live.call, self._context
        recording = NewRecording(
            recording_id=order.recording_id,
            call_id=call.call_id,
            scope=call.scope,
            caller=call.caller.profile,
            callee=call.callee.profile,
            started_at=context.time_of(live),
            policy=RecordingPolicy(order.policy),
            policy_version=self._settings.recording_policy_version,
            consented=live.recording.origin == "party",
            sealed=self._key is not None,
        )
        context.log.add(RecordingStarted(kind=call.scope.kind, call_id=call.call_id, recording=recording))

    def _write_end(self, recording_id: str, result: CaptureResult) -> None:
        capture = self._captures.get(recording_id)
        if capture is None:
            return
        self._forget(recording_id)
        self.ended_by_reason[result.reason.value] += 1
        logger.info("recording %s ended: %s, %d packets", recording_id, result.reason, result.packets)
        call, at = capture.live.call, self._context.time_of(capture.live)
        ended = RecordingCaptured(kind=call.scope.kind, call_id=call.call_id, recording_id=recording_id, at=at, result=result)
        self._context.log.add(ended)

    def _forget(self, recording_id: str) -> None:
        self._captures.pop(recording_id, None)
        if not self._captures:
            self._none_left.set()


def label(live: LiveCall, party: Party) -> PartyLabel:
    """What the file calls a party."""
    return "A" if party is live.call.caller else "B"


def _reason(said: str) -> RecordingEnd:
    return RecordingEnd(said) if said in set(RecordingEnd) else RecordingEnd.WRITE_FAILED

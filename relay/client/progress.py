"""Where a call stands, and who is told when that changes."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Final

from relay.client.errors import CallOver
from relay.client.events import (
    CallFinished,
    ClientEvent,
    QualityMeasured,
    RecordingChanged,
    RecordingRequested,
    StateChanged,
)

MAX_EVENTS: Final = 256
"""Events that wait for a program that does not read them; the oldest are dropped."""


class CallProgress:
    """
    Attributes:
        state: `new`, `invited`, `ringing`, `answered`, `connected`, `reconnecting` or `ended`.
        reason: why it ended; empty before.
        held_by: of `you` and `other`.
        recording: the latest state of the recording.
        quality: the latest measurement of each party's path: by `yours` and `other`.
        times: seconds of the event loop at which each state began first, and at which this party `called`.
    """

    def __init__(self) -> None:
        self.state = "new"
        self.reason = ""
        self.held_by: Sequence[str] = ()
        self.recording = RecordingChanged("idle", None, None, None)
        self.quality: dict[str, QualityMeasured] = {}
        self.times: dict[str, float] = {}
        self._subscribers: list[_Subscriber] = []
        self._changed = asyncio.Event()

    def take(self, event: ClientEvent) -> None:
        """Note an event, and give it to all that wait for events. Nothing happens after the end."""
        if self.state == "ended":
            return
        match event:
            case CallFinished():
                self.reason = event.reason
                self.enter("ended")
            case StateChanged():
                self.held_by = event.held_by
                self.enter(event.state)
            case RecordingChanged():
                self.recording = event
            case QualityMeasured():
                self.quality[event.leg] = event
            case RecordingRequested():
                self.recording = RecordingChanged("asked", None, self.recording.recording_id, "party")
        for subscriber in self._subscribers:
            subscriber.put(event)

    def enter(self, state: str) -> None:
        """The call is in that state."""
        if self.state not in {"ended", state}:
            self.state = state
            self.times.setdefault(state, asyncio.get_running_loop().time())
            self._changed.set()
            self._changed = asyncio.Event()

    async def reach(self, states: Collection[str]) -> None:
        """Wait for one of the states.

        Raises:
            CallOver: the call ended before.
        """
        while self.state not in states:
            if self.state == "ended":
                raise CallOver(self.reason)
            await self._changed.wait()

    async def events(self) -> AsyncGenerator[ClientEvent, None]:
        """What happens from now on; ends with `CallFinished`."""
        subscriber = _Subscriber()
        if self.state == "ended":
            subscriber.put(CallFinished(self.reason))
        self._subscribers.append(subscriber)
        try:
            while True:
                event = await subscriber.get()
                yield event
                if isinstance(event, CallFinished):
                    return
        finally:
            self._subscribers.remove(subscriber)


class _Subscriber:
    def __init__(self) -> None:
        self._events: deque[ClientEvent] = deque(maxlen=MAX_EVENTS)
        self._some = asyncio.Event()

    def put(self, event: ClientEvent) -> None:
        self._events.append(event)
        self._some.set()

    async def get(self) -> ClientEvent:
        while not self._events:
            self._some.clear()
            await self._some.wait()
        return self._events.popleft()

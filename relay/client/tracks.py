"""Tracks that a program sends and receives: frames of its own, and the decoded frames of the other party."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from typing import Final, Generic, TypeVar

from aiortc import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

SAMPLE_RATE: Final = 48_000
"""Hz, of the silence that is sent while a program sends nothing."""

SAMPLES_PER_FRAME: Final = SAMPLE_RATE // 50
"""20 ms."""

VIDEO_CLOCK: Final = 90_000
"""Hz, of RTP timestamps of video."""

MAX_QUEUED: Final = 50
"""Frames of one's own that wait to be sent: 1 s of audio."""

MAX_UNREAD: Final = {"audio": 250, "video": 60}
"""Decoded frames that wait for the program: 5 s of audio, 2 s of video. The oldest are dropped."""

_FrameT = TypeVar("_FrameT", AudioFrame, VideoFrame)


class MediaClock:
    """The one clock of all tracks that belong together. It starts when the first of them is asked for a frame."""

    def __init__(self) -> None:
        self._started: float | None = None

    async def reach(self, seconds: float) -> None:
        """Wait until so many seconds after the start."""
        loop = asyncio.get_running_loop()
        if self._started is None:
            self._started = loop.time()
        if (wait := self._started + seconds - loop.time()) > 0:
            await asyncio.sleep(wait)

    @property
    def now(self) -> float:
        """Seconds since the start; 0 before it."""
        return 0.0 if self._started is None else asyncio.get_running_loop().time() - self._started


class OutgoingAudio(MediaStreamTrack):
    """Audio that a program sends, frame by frame; silence while it sends nothing."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._frames: asyncio.Queue[AudioFrame] = asyncio.Queue(MAX_QUEUED)
        self._clock = MediaClock()
        self._sent = 0
        """Samples, at `SAMPLE_RATE`."""

    async def send(self, frame: AudioFrame) -> None:
        """Queue a frame of any rate and layout; waits while a second of audio is queued. Frames play one after the other."""
        await self._frames.put(frame)

    async def recv(self) -> AudioFrame:
        """Called by aiortc."""
        await self._clock.reach(self._sent / SAMPLE_RATE)
        frame = self._frames.get_nowait() if not self._frames.empty() else silence()
        frame.pts = self._sent * frame.sample_rate // SAMPLE_RATE
        frame.time_base = Fraction(1, frame.sample_rate)
        self._sent += frame.samples * SAMPLE_RATE // frame.sample_rate
        return frame


class OutgoingVideo(MediaStreamTrack):
    """Video that a program sends, frame by frame, each at the moment in which it is sent."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._frames: asyncio.Queue[VideoFrame] = asyncio.Queue(1)
        self._clock = MediaClock()
        self._last = -1

    async def send(self, frame: VideoFrame) -> None:
        """Send a frame; waits until the one before has been taken."""
        await self._frames.put(frame)

    async def recv(self) -> VideoFrame:
        """Called by aiortc."""
        await self._clock.reach(0.0)
        frame = await self._frames.get()
        self._last = max(self._last + 1, round(self._clock.now * VIDEO_CLOCK))
        frame.pts, frame.time_base = self._last, Fraction(1, VIDEO_CLOCK)
        return frame


def silence() -> AudioFrame:
    """20 ms of silence, mono."""
    frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES_PER_FRAME)
    frame.sample_rate = SAMPLE_RATE
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    return frame


class ReceivedFrames(Generic[_FrameT]):
    """The decoded frames of the other party's audio or video: `async for frame in call.audio`. Ends with the call.

    A program that is slower than the media misses the oldest frames instead of falling behind.

    Attributes:
        decoded: frames so far.
        dropped: of these, how many the program did not take in time.
    """

    def __init__(self, kind: str) -> None:
        self.decoded = 0
        self.dropped = 0
        self._frames: deque[_FrameT] = deque(maxlen=MAX_UNREAD[kind])
        self._changed = asyncio.Event()
        self._ended = False
        self._latest = 0
        self._consumers: set[asyncio.Task[object]] = set()

    def __aiter__(self) -> AsyncIterator[_FrameT]:
        return self._iterate()

    async def consume(self, track: MediaStreamTrack, number: int = 0, came: Callable[[], None] = lambda: None) -> None:
        """Take the frames of a track until it ends, or `end` is called: aiortc ends no track that has had no packet.

        Args:
            number: of the peer connection that it belongs to. Once a later one brings frames, those of earlier ones are dropped:
                while a call moves to another server, the same comes by both.
            came: called at each frame.
        """
        task = asyncio.current_task()
        assert task is not None, "this is a coroutine"
        self._consumers.add(task)
        try:
            with contextlib.suppress(MediaStreamError):
                while not self._ended:
                    frame = await track.recv()
                    came()
                    if number >= self._latest:
                        self._latest = number
                        self._put(frame)
        finally:
            self._consumers.discard(task)

    def end(self) -> None:
        """No frames come any more."""
        self._ended = True
        self._changed.set()
        for task in self._consumers:
            task.cancel()

    def _put(self, frame: object) -> None:
        assert isinstance(frame, AudioFrame | VideoFrame), "aiortc decodes"
        self.decoded += 1
        self.dropped += len(self._frames) == self._frames.maxlen
        self._frames.append(frame)  # type: ignore[arg-type]
        self._changed.set()

    async def _iterate(self) -> AsyncIterator[_FrameT]:
        while True:
            while self._frames:
                yield self._frames.popleft()
            if self._ended:
                return
            self._changed.clear()
            await self._changed.wait()

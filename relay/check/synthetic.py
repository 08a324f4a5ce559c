"""Synthetic media: what the test sends, and what it does with what comes back. No camera, no microphone, no screen."""

import asyncio
import contextlib
import secrets
from typing import Final

from aiortc import MediaStreamError, MediaStreamTrack, VideoStreamTrack
from aiortc.mediastreams import AudioStreamTrack
from av import VideoFrame

WIDTH: Final = 320
HEIGHT: Final = 240
_VARIANTS: Final = 8


class NoiseTrack(VideoStreamTrack):
    """30 frames per second of noise, which no codec compresses: the call carries as much as congestion control allows."""

    def __init__(self) -> None:
        super().__init__()
        size = WIDTH * HEIGHT
        self._noise = secrets.token_bytes(size + _VARIANTS * WIDTH)
        self._count = 0

    async def recv(self) -> VideoFrame:
        frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        begin = self._count % _VARIANTS * WIDTH
        luma, *chroma = frame.planes
        luma.update(self._noise[begin : begin + luma.buffer_size])
        for plane in chroma:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = await self.next_timestamp()
        self._count += 1
        return frame


def sent_tracks() -> tuple[MediaStreamTrack, MediaStreamTrack]:
    """Audio (silence, in packets of the usual size) and video."""
    return AudioStreamTrack(), NoiseTrack()


class Sink:
    """Consumes tracks.

    Attributes:
        video_frames, audio_frames: decoded so far.
    """

    def __init__(self) -> None:
        self.video_frames = 0
        self.audio_frames = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, track: MediaStreamTrack) -> None:
        self._tasks.add(asyncio.create_task(self._consume(track)))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _consume(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                if track.kind == "video":
                    self.video_frames += 1
                else:
                    self.audio_frames += 1

"""Synthetic media, which the test sends. No camera, no microphone, no screen."""

import secrets
from typing import Final

from aiortc import MediaStreamTrack, VideoStreamTrack
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

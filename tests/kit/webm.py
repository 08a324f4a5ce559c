"""Small files that browsers play, as recordings have them."""

import io
from array import array
from fractions import Fraction
from math import pi, sin
from typing import Final

import av
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

SIZE: Final = (160, 90)
FRAME_RATE: Final = 10
SAMPLES: Final = 960
"""Of one Opus packet: 20 ms at 48 kHz."""


def webm(seconds: int, luma: int) -> bytes:
    """A WebM file of VP8 and Opus: a plain colour and a tone.

    Args:
        luma: how bright the video is, 16 to 235.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        video = container.add_stream("libvpx", rate=FRAME_RATE, options={"deadline": "realtime", "cpu-used": "8", "g": "10"})
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1  # threads of libvpx spin while they wait for each other
        audio = container.add_stream("libopus", rate=48_000)
        audio.layout = "mono"
        for number in range(seconds * FRAME_RATE):
            image = VideoFrame(*SIZE, "yuv420p")
            for plane, value in zip(image.planes, (luma, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            image.pts, image.time_base = number, Fraction(1, FRAME_RATE)
            container.mux(video.encode(image))
            for packet in range(50 // FRAME_RATE):
                container.mux(audio.encode(_tone(number * 50 // FRAME_RATE + packet)))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return file.getvalue()


def _tone(number: int) -> AudioFrame:
    sound = AudioFrame("s16", "mono", SAMPLES)
    sound.planes[0].update(array("h", (int(3000 * sin(2 * pi * 440 * at / 48_000)) for at in range(SAMPLES))).tobytes())
    sound.sample_rate, sound.pts, sound.time_base = 48_000, number * SAMPLES, Fraction(1, 48_000)
    return sound

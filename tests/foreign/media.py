"""Encoded media for clients that encode nothing: a tone and moving video, each a loop."""

import base64
import fractions
import json
import math
from pathlib import Path

import av
from av import AudioFrame, VideoFrame

LOOP = 20
"""Frames of each loop, the first a key frame: a decoder that starts anywhere in the loop waits a second at most."""

SAMPLES = 960
"""Of one Opus packet: 20 ms at 48 kHz."""

WIDTH, HEIGHT = 320, 240


def write_media(file: Path) -> None:
    """Write `{"audio": [...], "video": [...]}`: Opus packets of 20 ms and VP8 frames for 20 a second, in base64."""
    loops = {"audio": _tone(), "video": _video()}
    file.write_text(json.dumps({kind: [base64.b64encode(one).decode() for one in frames] for kind, frames in loops.items()}))


def _tone() -> list[bytes]:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    packets = []
    for number in range(LOOP):
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        times = range(number * SAMPLES, (number + 1) * SAMPLES)
        samples = (int(12_000 * math.sin(2 * math.pi * 450 * time / 48_000)) for time in times)
        frame.planes[0].update(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
        frame.sample_rate, frame.pts = 48_000, number * SAMPLES
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


def _video() -> list[bytes]:
    encoder = av.CodecContext.create("libvpx", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.bit_rate = fractions.Fraction(1, 20), 300_000
    encoder.thread_count = 1
    encoder.options = {"deadline": "realtime", "lag-in-frames": "0"}
    packets = []
    for number in range(LOOP):
        frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, value in zip(frame.planes, (10 * number + 20, 90, 200), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts = number
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets

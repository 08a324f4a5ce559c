"""Files as the assembly writes them, made of a reference's packets: whole, and with each thing that goes wrong."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

OPUS_SILENCE = bytes.fromhex("f8fffe")
"""20 ms, mono."""

Edit = Callable[[str, float, Any], bytes | None]
"""Takes kind, time and packet; returns the payload that is written, None for no packet."""


def as_it_is(kind: str, time: float, packet: Any) -> bytes | None:
    return bytes(packet)


def remux(source: Path, target: Path, edit: Edit = as_it_is, delay: float = 0.0, loops: int = 1) -> Path:
    """Copy a file, packet by packet.

    Args:
        delay: seconds by which the audio comes later.
        loops: how often it is played.
    """
    with av.open(str(target), "w", options={"cues_to_front": "1"}) as output:
        with av.open(str(source)) as container:
            duration = Fraction(round((container.duration or 0) / 20_000) * 20, 1000)
            streams = {one.index: output.add_stream_from_template(one) for one in container.streams}
        for turn in range(loops):
            for kind, index, packet in packets(source):
                time = float(packet.pts * packet.time_base)
                payload = edit(kind, time, packet)
                if payload is None or (turn and time < 0):  # Opus begins with what its decoder needs before the first sample
                    continue
                copy = av.Packet(payload)
                shift = turn * duration + (Fraction(round(delay * 1000), 1000) if kind == "audio" else 0)
                copy.time_base = packet.time_base
                copy.pts = copy.dts = packet.pts + round(shift / packet.time_base)
                copy.duration = packet.duration
                copy.is_keyframe = packet.is_keyframe
                copy.stream = streams[index]
                output.mux(copy)
    return target


def packets(source: Path) -> Iterator[tuple[str, int, Any]]:
    with av.open(str(source)) as container:
        for packet in container.demux():
            if packet.pts is not None:
                yield packet.stream.type, packet.stream.index, packet


def without_video(start: float, end: float) -> Edit:
    return lambda kind, time, packet: None if kind == "video" and start <= time < end else bytes(packet)


def without_audio(start: float, end: float) -> Edit:
    return lambda kind, time, packet: None if kind == "audio" and start <= time < end else bytes(packet)


def silent(start: float, end: float) -> Edit:
    return lambda kind, time, packet: OPUS_SILENCE if kind == "audio" and start <= time < end else bytes(packet)


def write_scene(target: Path, *, seed: int = 0, seconds: float = 5.0, rate: int = 15, speech: bool = True) -> Path:
    """A video without a counter, in which something moves, and what sounds somewhat like speech."""
    width, height = 160, 90
    random = np.random.default_rng(seed)
    with av.open(str(target), "w") as container:
        video = container.add_stream("libvpx", rate=rate)
        video.width, video.height, video.pix_fmt, video.bit_rate, video.gop_size = width, height, "yuv420p", 300_000, rate
        video.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
        video.codec_context.thread_count = 1
        audio = container.add_stream("libopus", rate=48_000, layout="mono")
        audio.bit_rate = 32_000
        xs, ys = random.uniform(0, 1, 2), random.uniform(0.2, 0.7, 2)
        for number in range(round(seconds * rate)):
            luma = np.full((height * 3 // 2, width), 128, np.uint8)
            luma[:height] = np.linspace(40, 160, width, dtype=np.uint8)
            for x, y, speed in zip(xs, ys, (0.31, 0.17), strict=True):
                left, top = int((x + speed * number / rate) % 1 * (width - 30)), int(y * height)
                luma[top : top + 24, left : left + 30] = 220 if speed > 0.2 else 20
            frame = av.VideoFrame.from_ndarray(luma, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(video.encode(frame))
        for at, samples in enumerate(speechlike(seconds, seed) if speech else ()):
            sound = av.AudioFrame.from_ndarray(samples[np.newaxis], "flt", "mono")
            sound.sample_rate, sound.pts, sound.time_base = 48_000, at * 960, Fraction(1, 48_000)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        if speech:
            container.mux(audio.encode(None))
    return target


def speechlike(seconds: float, seed: int = 0) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    """Noise with the rhythm of syllables, 20 ms at a time."""
    random = np.random.default_rng([seed, 7])
    count = int(seconds * 50)
    for index in range(count):
        loud = max(0.03, np.sin(np.pi * index / 10) ** 2 * (0.6 if (index // 25) % 4 else 0.1))
        noise = random.normal(0, 0.2, 960)
        yield (loud * np.convolve(noise, np.ones(6) / 3, "same")).astype(np.float32).clip(-0.9, 0.9)

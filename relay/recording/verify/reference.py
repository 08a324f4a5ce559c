"""A source whose recording can be judged: a video with a counter and a flash each second, and a tone with each flash.

VP8 and Opus, in WebM or Matroska, with a key frame every second: a caller can send its packets as they are, and a receiver that
lost one has not long to wait, as a file answers no request for a key frame.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

from relay.recording.verify import counter

SAMPLE_RATE = 48_000
TONES: Final = (500, 650, 800, 1000, 1250, 1500, 1800, 2200, 2600, 3000)
"""Hz, far enough apart to be told from each other in 50 ms."""
BEEP = 0.1
"""Seconds that flash and tone last."""
_RAMP = 0.002
_PACKET = 960
"""Samples: 20 ms."""
_GLYPHS: Final = {
    **dict(zip("0123456789", ("7b6f", "2492", "73e7", "73cf", "5bc9", "79cf", "79ef", "7249", "7bef", "7bcf"), strict=True)),
    ":": "0410",
}
"""3 x 5 squares, row by row, in 15 bits."""


@dataclass(frozen=True, slots=True)
class ReferencePlan:
    """What a reference file shows and sounds like."""

    duration: float = 10.0
    """Seconds."""
    width: int = 640
    height: int = 360
    rate: int = 30
    """Frames per second."""
    seed: int = 0
    """Other seeds have another background and another order of tones."""
    bitrate: int = 800_000


def tone(second: int, seed: int = 0) -> int:
    """Hz of the tone that begins at a second of the source."""
    order = np.random.default_rng([seed, second // len(TONES)]).permutation(len(TONES))
    return TONES[int(order[second % len(TONES)])]


def write_reference(path: Path, plan: ReferencePlan, progress: Callable[[str, float], None] | None = None) -> None:
    """Make the file; its name ends in `.webm` or `.mkv`.

    Raises:
        ValueError: the name, or the plan, cannot be.
        OSError: the file cannot be written.
    """
    if path.suffix not in {".webm", ".mkv"}:
        raise ValueError(f"{path.name}: a reference is a .webm or .mkv file")
    if plan.width % 2 or plan.height % 2 or plan.width < 160 or plan.height < 90:
        raise ValueError(f"{plan.width}x{plan.height} is not an even size of 160x90 or more")
    if not 1 <= plan.rate <= 60 or not 1 <= plan.duration <= 1800:
        raise ValueError("a reference has 1 to 60 frames per second and lasts 1 to 1,800 seconds")
    with av.open(str(path), "w", options={"cues_to_front": "1"}) as container:
        video = _video_stream(container.add_stream("libvpx", rate=plan.rate), plan)
        audio = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
        audio.bit_rate = 48_000
        sounds = _packets_of_samples(plan)
        sounded = 0
        for number, frame in enumerate(_frames(plan)):
            container.mux(video.encode(frame))
            while sounded * plan.rate <= number * SAMPLE_RATE:
                samples = next(sounds, None)
                if samples is None:
                    break
                container.mux(audio.encode(_audio_frame(samples, sounded)))
                sounded += _PACKET
            if progress is not None:
                progress("reference", (number + 1) / (plan.duration * plan.rate))
        for samples in sounds:
            container.mux(audio.encode(_audio_frame(samples, sounded)))
            sounded += _PACKET
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _video_stream(stream: VideoStream, plan: ReferencePlan) -> VideoStream:
    stream.width, stream.height, stream.pix_fmt = plan.width, plan.height, "yuv420p"
    stream.bit_rate = plan.bitrate
    stream.gop_size = plan.rate
    # Threads of libvpx spin while they wait for each other.
    stream.codec_context.thread_count = 1
    # As a browser encodes: no frame waits for later ones, and none is only referred to (RTP has no place for those).
    stream.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0", "error-resilient": "1"}
    return stream


def _frames(plan: ReferencePlan) -> Iterator[av.VideoFrame]:
    background, chroma = _background(plan)
    height, width = background.shape
    flash_frames = max(1, round(BEEP * plan.rate))
    side = max(8, height // 9)
    for number in range(round(plan.duration * plan.rate)):
        flash = number % plan.rate < flash_frames
        luma = np.full_like(background, 235) if flash else background.copy()
        # Something moves, so that a frame that stands still can be told from one that does not.
        left = int((width - side) * (0.5 - 0.5 * np.cos(2 * np.pi * number / (plan.rate * 4))))
        luma[height * 7 // 10 : height * 7 // 10 + side, left : left + side] = 60 if flash else 200
        _write_time(luma, number // plan.rate)
        counter.burn_in(luma, number)
        frame = av.VideoFrame.from_ndarray(np.concatenate([luma.reshape(-1, width), chroma]), "yuv420p")
        frame.pts = number
        frame.time_base = Fraction(1, plan.rate)
        yield frame


def _background(plan: ReferencePlan) -> tuple[counter.Luma, counter.Luma]:
    """Waves whose direction and length are the seed's, and a colour of its own."""
    random = np.random.default_rng([plan.seed, 1])
    angle, waves, phase = random.uniform(0, np.pi), random.uniform(1.0, 3.0), random.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0 : plan.height, 0 : plan.width] / plan.width
    along = rows * np.sin(angle) + columns * np.cos(angle)
    luma = (105 + 55 * np.sin(2 * np.pi * waves * along + phase)).astype(np.uint8)
    chroma = np.empty((plan.height // 2, plan.width), np.uint8)
    quarter = plan.height // 4
    chroma[:quarter], chroma[quarter:] = random.integers(90, 166, 2)
    return luma, chroma


def _write_time(luma: counter.Luma, second: int) -> None:
    """Minutes and seconds, for people, in the lower right."""
    unit = max(2, luma.shape[1] // 160)
    text = f"{second // 60:02}:{second % 60:02}"
    top, left = luma.shape[0] - 7 * unit, luma.shape[1] - (len(text) * 4 + 1) * unit
    luma[top - unit : top + 6 * unit, left - unit :] = 16
    for at, character in enumerate(text):
        bits = int(_GLYPHS[character], 16)
        squares = np.array([bits >> shift & 1 for shift in range(14, -1, -1)], dtype=np.uint8).reshape(5, 3)
        cell = luma[top : top + 5 * unit, left + at * 4 * unit : left + (at * 4 + 3) * unit]
        cell[:] = (16 + squares * 219).repeat(unit, 0).repeat(unit, 1)


def _packets_of_samples(plan: ReferencePlan) -> Iterator[npt.NDArray[np.float32]]:
    """20 ms at a time, to the end of the last one that is whole."""
    count = int(plan.duration * SAMPLE_RATE) // _PACKET
    for index in range(count):
        times = (np.arange(_PACKET) + index * _PACKET) / SAMPLE_RATE
        second = int(times[0])
        within = times - second
        loud = np.clip(np.minimum(within, BEEP - within) / _RAMP, 0, 1)
        yield (0.5 * loud * np.sin(2 * np.pi * tone(second, plan.seed) * within)).astype(np.float32)


def _audio_frame(samples: npt.NDArray[np.float32], at: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], "flt", "mono")
    frame.sample_rate = SAMPLE_RATE
    frame.pts = at
    frame.time_base = Fraction(1, SAMPLE_RATE)
    return frame

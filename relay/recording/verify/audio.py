"""An audio track of a product: whether its packets abut, and what is heard when a player plays one after the other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import InputContainer

from relay.recording.decoding import decoder_of
from relay.recording.verify import intervals
from relay.recording.verify.figures import AudioFigures, Interval
from relay.recording.verify.video import per_second

RATE = 16_000
"""Hz of the samples that are kept for comparison."""
STEP = 0.1
"""Seconds of one level."""
SILENCE = -60.0
"""dBFS."""
SHORTEST_SILENCE = 1.0
FLOOR = -100.0
"""dBFS: what digital silence is written as."""
HOLE = 0.001
"""Seconds by which neighbouring packets may miss each other: containers count in milliseconds."""
_ROUNDING = 1e-6
_FULL_SCALE = 1 - 1 / 32768
_CLIPPED_SAMPLES = 3
_FULL_SCALES: Final = {"s16": 32768.0, "s32": 2147483648.0}
"""Of integer sample formats."""

Samples = npt.NDArray[np.float32]

_OPUS_DURATIONS: Final = (
    *(10, 20, 40, 60) * 3,
    *(10, 20) * 2,
    *(2.5, 5, 10, 20) * 4,
)
"""Milliseconds of a frame, by the configuration of its TOC byte (RFC 6716, 3.1)."""


def opus_duration(packet: bytes) -> float:
    """Seconds of an Opus packet; 0 for one that says nothing of it."""
    if not packet:
        return 0.0
    code = packet[0] & 3
    count = 1 if code == 0 else 2 if code < 3 else packet[1] & 63 if len(packet) > 1 else 0
    return count * _OPUS_DURATIONS[packet[0] >> 3] / 1000


@dataclass(slots=True)
class DecodedAudio:
    """What is kept of an audio track."""

    codec: str = ""
    channels: int = 1
    sample_rate: int = 48_000
    start: float = 0.0
    """Of the first sample that is heard."""
    packets: list[tuple[float, float, int]] = field(default_factory=list)
    """Start, duration and bytes of each."""
    samples: npt.NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    """At 16 kHz, mono; only where asked for. Without regard to timestamps: as a player plays them."""
    levels: list[float] = field(default_factory=list)
    peak: float = 0.0
    energy: float = 0.0
    count: int = 0
    clipped: int = 0
    loudness: float | None = None
    decode_errors: int = 0

    @property
    def duration(self) -> float:
        """Seconds that are heard."""
        return self.count / self.sample_rate if self.sample_rate else 0.0


def read_audio(
    container: InputContainer, stream: AudioStream, samples: bool, progress: Callable[[float], None] | None = None
) -> DecodedAudio:
    """Decode a track from its beginning.

    Args:
        samples: whether to keep them, at 16 kHz.
        progress: takes the time of the frame.
    """
    context, decoder = stream.codec_context, decoder_of(stream)
    track = DecodedAudio(codec=context.name, channels=context.channels, sample_rate=context.sample_rate or 48_000)
    meter = _Meter(track)
    loudness = _Loudness()
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE) if samples else None
    kept: list[npt.NDArray[np.int16]] = []
    for packet in container.demux(stream):
        if packet.pts is not None and packet.size:
            track.packets.append((float(packet.pts * packet.time_base), _duration(packet, track), packet.size))
        try:
            frames = decoder.decode(packet)
        except av.error.FFmpegError:
            track.decode_errors += 1
            continue
        for frame in frames:
            if not track.count:
                track.start = max(0.0, float(frame.time or 0.0))
                track.sample_rate = frame.sample_rate
            meter.add(_floats(frame))
            loudness.add(frame)
            if resampler is not None:
                kept += [one.to_ndarray()[0] for one in resampler.resample(frame)]
            if progress is not None and frame.time is not None:
                progress(float(frame.time))
    meter.finish()
    if resampler is not None:
        kept += [one.to_ndarray()[0] for one in resampler.resample(None)]
        track.samples = np.concatenate(kept) if kept else track.samples
    track.loudness = loudness.integrated
    return track


def _duration(packet: "av.Packet[AudioStream]", track: DecodedAudio) -> float:
    if track.codec in {"opus", "libopus"}:
        return opus_duration(bytes(packet))
    if track.codec in {"pcm_mulaw", "pcm_alaw"}:
        return packet.size / (8000 * max(1, track.channels))
    return float((packet.duration or 0) * (packet.time_base or 0))


def _floats(frame: av.AudioFrame) -> Samples:
    """Channels by samples, -1 to 1."""
    values: npt.NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    scale = _FULL_SCALES.get(frame.format.name.removesuffix("p"), 1.0)
    floats: Samples = (values / scale).astype(np.float32) if scale != 1 else values.astype(np.float32, copy=False)
    return floats


class _Meter:
    """Levels, peak and clipping, by blocks of 100 ms."""

    def __init__(self, track: DecodedAudio) -> None:
        self._track = track
        self._waiting: list[Samples] = []
        self._length = 0

    def add(self, samples: Samples) -> None:
        self._waiting.append(samples)
        self._length += samples.shape[1]
        self._track.count += samples.shape[1]
        if self._length >= self._track.sample_rate:
            self._measure(self._length - self._length % int(self._track.sample_rate * STEP))

    def finish(self) -> None:
        if self._length:
            self._measure(self._length)

    def _measure(self, length: int) -> None:
        channels = min(one.shape[0] for one in self._waiting)
        whole = np.concatenate([one[:channels] for one in self._waiting], axis=1)
        samples, rest = whole[:, :length], whole[:, length:]
        self._waiting, self._length = [rest], rest.shape[1]
        step = int(self._track.sample_rate * STEP)
        squares = (samples.astype(np.float64) ** 2).mean(axis=0)
        self._track.energy += float(squares.sum())
        for begin in range(0, length, step):
            self._track.levels.append(decibels(float(squares[begin : begin + step].mean()) ** 0.5))
        absolute = np.abs(samples)
        self._track.peak = max(self._track.peak, float(absolute.max(initial=0.0)))
        full = absolute >= _FULL_SCALE
        if full.any():
            for channel in full:
                edges = np.flatnonzero(np.diff(np.concatenate([[0], channel.astype(np.int8), [0]])))
                self._track.clipped += int((edges[1::2] - edges[::2] >= _CLIPPED_SAMPLES).sum())


class _Loudness:
    """EBU R 128, by FFmpeg's filter."""

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._form: tuple[str, str, int] | None = None
        self._last: dict[str, str] = {}

    def add(self, frame: av.AudioFrame) -> None:
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._graph is None:
            self._form = form
            self._graph = graph = av.filter.Graph()
            source = graph.add_abuffer(
                sample_rate=frame.sample_rate, format=form[0], layout=form[1], time_base=frame.time_base or None
            )
            filters = [source, graph.add("ebur128", "metadata=1:framelog=quiet"), graph.add("abuffersink")]
            for before, after in pairwise(filters):
                before.link_to(after)
            graph.configure()
        if form != self._form:
            return
        try:
            self._graph.push(frame)
            while True:
                self._last = dict(self._graph.pull().metadata)
        except av.error.FFmpegError:  # nothing more to pull yet
            return

    @property
    def integrated(self) -> float | None:
        """LUFS; None for less than 400 ms, or silence."""
        value = float(self._last.get("lavfi.r128.I", "-inf"))
        return value if value > -70 else None


def decibels(amplitude: float) -> float:
    return max(FLOOR, 20 * float(np.log10(amplitude))) if amplitude > 0 else FLOOR


def figures(track: DecodedAudio, inserted: list[Interval], missing: list[Interval]) -> AudioFigures:
    """What the report says of a track.

    Args:
        inserted: what the assembly filled.
        missing: intervals in which no sound is expected: a hold, a pause of the recording.
    """
    holes, overlaps = joints([(start, duration) for start, duration, _ in track.packets])
    quiet = intervals.runs([level < SILENCE for level in track.levels], STEP, track.start, SHORTEST_SILENCE)
    silences = intervals.without(quiet, [*inserted, *missing], SHORTEST_SILENCE)
    return AudioFigures(
        codec=track.codec.removeprefix("lib"),
        channels=track.channels,
        sample_rate=track.sample_rate,
        start=track.start,
        duration=track.duration,
        packets=len(track.packets),
        decode_errors=track.decode_errors,
        holes=holes,
        overlaps=overlaps,
        rms=decibels((track.energy / track.count) ** 0.5) if track.count else None,
        peak=decibels(track.peak) if track.count else None,
        loudness=track.loudness,
        clipped=track.clipped,
        silences=silences,
        longest_silence=intervals.longest(silences),
        inserted=inserted,
        inserted_total=sum(duration for _, duration in inserted),
        levels=[round(level, 1) for level in track.levels],
        bitrate=per_second([(start, size) for start, _, size in track.packets]),
    )


def joints(packets: list[tuple[float, float]]) -> tuple[list[Interval], list[Interval]]:
    """Where packets do not abut: holes between them, and overlaps, of more than 1 ms.

    Args:
        packets: start and duration of each.
    """
    holes: list[Interval] = []
    overlaps: list[Interval] = []
    end: float | None = None
    for start, duration in packets:
        if end is not None and start - end > HOLE + _ROUNDING:
            holes.append((end, start - end))
        elif end is not None and end - start > HOLE + _ROUNDING:
            overlaps.append((start, end - start))
        end = start + duration
    return holes, overlaps

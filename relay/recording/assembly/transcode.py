"""`call.mp4`: both parties side by side, for programs that play nothing else. The only step that decodes and encodes."""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
from av.audio.frame import AudioFrame
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from relay.recording.decoding import decoder_of

WIDTH: Final = 1280
HEIGHT: Final = 720
RATE: Final = 25
"""Frames a second."""

_TURNS: Final = {90: (("transpose", "clock"),), 180: (("hflip", ""), ("vflip", "")), 270: (("transpose", "cclock"),)}


def side_by_side(folder: Path, described: Mapping[str, Any], progress: Callable[[float], None]) -> None:
    """Write `call.mp4` from the files of both parties.

    Args:
        described: as of `sidecar.json`.
        progress: called with how much is done, from 0 to 1.
    """
    duration = max(float(described["duration"]), 0.04)
    tracks = described["tracks"]
    panels = [_Panel(folder, party, [one for one in tracks if one["party"] == party]) for party in ("A", "B")]
    voices = _mixed(folder, [one for one in tracks if one["kind"] == "audio"])
    with av.open(str(folder / "call.mp4"), "w", options={"movflags": "+faststart"}) as container:
        has_video = any(one["kind"] == "video" for one in tracks)
        video = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"}) if has_video else None
        if video is not None:
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=48000)
        audio.codec_context.layout = "stereo"
        join = _join() if video is not None else None
        pending: AudioFrame | None = next(voices, None)
        for tick in range(max(1, int(duration * RATE))):
            time = tick / RATE
            while pending is not None and pending.pts is not None and pending.pts <= time * 48000:
                container.mux(audio.encode(pending))
                pending = next(voices, None)
            if video is not None and join is not None:
                for pad, panel in enumerate(panels):
                    frame = panel.at(time)
                    frame.pts, frame.time_base = tick, Fraction(1, RATE)
                    join[1][pad].push(frame)
                joined = join[0].vpull()
                joined.pts, joined.time_base = tick, Fraction(1, RATE)
                container.mux(video.encode(joined))
            if not tick % RATE:
                progress(min(1.0, time / duration))
        while pending is not None:
            container.mux(audio.encode(pending))
            pending = next(voices, None)
        for stream in (video, audio):
            if stream is not None:
                container.mux(stream.encode(None))
    progress(1.0)


def _join() -> tuple[Graph, list[Any]]:
    graph = Graph()
    sources: list[Any] = [
        graph.add_buffer(width=WIDTH // 2, height=HEIGHT, format=VideoFormat("yuv420p"), time_base=Fraction(1, RATE))
        for _ in range(2)
    ]
    stack, sink = graph.add("hstack", "inputs=2"), graph.add("buffersink")
    for pad, source in enumerate(sources):
        source.link_to(stack, 0, pad)
    stack.link_to(sink)
    graph.configure()
    return graph, sources


class _Panel:
    """One party's half of the frame, at any time from the beginning on."""

    def __init__(self, folder: Path, party: str, tracks: list[Mapping[str, Any]]) -> None:
        videos = [one for one in tracks if one["kind"] == "video" and one["frames"]]
        self._rotations: list[list[float]] = videos[0]["rotations"] if videos else []
        self._frames = _decoded(folder / videos[0]["file"], "video") if videos else iter(())
        self._next: tuple[float, Any] | None = next(self._frames, None)
        self._graph: tuple[tuple[Any, ...], Graph] | None = None
        self._black = _black()
        self._shown: VideoFrame = self._black

    def at(self, time: float) -> VideoFrame:
        fresh: tuple[float, VideoFrame] | None = None
        while self._next is not None and self._next[0] <= time + 0.5 / RATE:
            fresh = self._next
            self._next = next(self._frames, None)
        if fresh is not None:
            self._shown = self._fitted(*fresh)
        return self._shown

    def _fitted(self, time: float, frame: VideoFrame) -> VideoFrame:
        turn = 0
        for begin, degrees in self._rotations:
            if begin <= time + 0.001:
                turn = int(degrees)
        shape = (frame.width, frame.height, frame.format.name, turn)
        if self._graph is None or self._graph[0] != shape:
            self._graph = (shape, _fitting(frame, turn))
        graph = self._graph[1]
        frame.pts = None
        graph.vpush(frame)
        return graph.vpull()


def _fitting(frame: VideoFrame, turn: int) -> Graph:
    graph = Graph()
    steps = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, RATE))]
    steps += [graph.add(name, value) for name, value in _TURNS.get(turn, ())]
    half = WIDTH // 2
    steps.append(graph.add("scale", f"w={half}:h={HEIGHT}:force_original_aspect_ratio=decrease:force_divisible_by=2"))
    steps.append(graph.add("pad", f"w={half}:h={HEIGHT}:x=(ow-iw)/2:y=(oh-ih)/2"))
    steps += [graph.add("setsar", "1"), graph.add("format", "yuv420p"), graph.add("buffersink")]
    for one, following in pairwise(steps):
        one.link_to(following)
    graph.configure()
    return graph


def _black() -> VideoFrame:
    frame = VideoFrame(WIDTH // 2, HEIGHT, "yuv420p")
    for plane, value in zip(frame.planes, (16, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def _decoded(path: Path, kind: str, index: int = 0) -> Iterator[tuple[float, Any]]:
    """The frames of a file's stream, with their times; those that cannot be decoded are left out."""
    with av.open(str(path)) as container:
        stream: Any = [one for one in container.streams if one.type == kind][index]
        decoder: Any = decoder_of(stream) if kind == "audio" else stream.codec_context
        for packet in container.demux(stream):
            try:
                frames: list[Any] = decoder.decode(packet)
            except av.FFmpegError:
                continue
            for frame in frames:
                if frame.time is not None:
                    yield frame.time, frame


def _mixed(folder: Path, tracks: list[Mapping[str, Any]]) -> Iterator[AudioFrame]:
    """All voices as one: 48 kHz, stereo, from the beginning on without holes."""
    if not tracks:
        return
    counts: dict[str, int] = {}
    voices = []
    for track in tracks:
        index = counts.get(track["file"], 0)
        counts[track["file"]] = index + 1
        voices.append(_resampled(folder / track["file"], index))
    graph = Graph()
    inputs = [graph.add_abuffer(sample_rate=48000, format="fltp", layout="stereo", time_base=Fraction(1, 48000)) for _ in voices]
    mix = graph.add("amix", f"inputs={len(voices)}:duration=longest:normalize=0")
    shape = graph.add("aformat", "sample_fmts=fltp:sample_rates=48000:channel_layouts=stereo")
    sink = graph.add("abuffersink")
    for pad, one in enumerate(inputs):
        one.link_to(mix, 0, pad)
    mix.link_to(shape)
    shape.link_to(sink)
    graph.configure()
    running = dict(enumerate(voices))
    position = 0
    while running:
        for pad in list(running):
            frame = next(running[pad], None)
            inputs[pad].push(frame)
            if frame is None:
                del running[pad]
        while True:
            try:
                mixed = sink.pull()
            except (av.BlockingIOError, av.EOFError):
                break
            assert isinstance(mixed, AudioFrame)
            mixed.pts, mixed.time_base = position, Fraction(1, 48000)
            position += mixed.samples
            yield mixed


def _resampled(path: Path, index: int) -> Iterator[AudioFrame]:
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=48000, frame_size=960)
    position = 0
    for _, frame in _decoded(path, "audio", index):
        frame.pts = None
        for one in resampler.resample(frame):
            one.pts, one.time_base = position, Fraction(1, 48000)
            position += one.samples
            yield one
    for one in resampler.resample(None):
        one.pts, one.time_base = position, Fraction(1, 48000)
        position += one.samples
        yield one

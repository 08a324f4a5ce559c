"""A party's tracks beside what the party sent: the reference."""

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import av
import msgspec

from relay.recording.verify import audio, counter, likeness, sync, video
from relay.recording.verify.alignment import align, intelligibility, lags
from relay.recording.verify.figures import AudioMatch, Interval, Sample, VideoMatch
from relay.recording.verify.products import Product

Progress = Callable[[str, float], None]
"""Takes a step, `A video`, and how much of it is done, 0 to 1."""

_NEAR: Final = 5.0
"""Seconds around a window of sound in which the video's lag is looked for."""


@dataclass(slots=True)
class ReferenceSource:
    """A reference, read once."""

    path: Path
    shown: video.DecodedVideo | None = None
    heard: audio.DecodedAudio | None = None
    offset: float = 0.0
    """Seconds by which its own audio is later than its video."""
    tones: dict[int, float] = field(default_factory=dict)
    """Second → Hz of its beep."""

    @property
    def rate(self) -> float | None:
        return counter.rate_of(counter.passes(self.shown.numbered)) if self.shown is not None else None


def read_source(path: Path, tell: Progress) -> ReferenceSource:
    shown: video.DecodedVideo | None = None
    heard: audio.DecodedAudio | None = None
    with av.open(str(path)) as container:
        whole = (container.duration or 0) / av.time_base or 1.0
        if container.streams.video:
            shown = video.read_video(container, container.streams.video[0], True, share_of(tell, "reference video", whole))
    with av.open(str(path)) as container:
        if container.streams.audio:
            heard = audio.read_audio(container, container.streams.audio[0], True, share_of(tell, "reference audio", whole))
    source = ReferenceSource(path, shown, heard)
    if shown is not None and heard is not None and shown.numbers:
        numbered = counter.passes(shown.numbered)
        pairs = sync.pairs(sync.flashes(numbered, counter.rate_of(numbered)), sync.beeps(heard.samples, heard.start), {})
        own = sync.summary(sync.offsets(pairs), 0.0, True)
        source.offset = own.median if own is not None else 0.0
        source.tones = {flash.second: beep.frequency for flash, beep in pairs if beep is not None}
    return source


def share_of(tell: Progress, step: str, whole: float) -> Callable[[float], None]:
    return lambda time: tell(step, min(1.0, max(0.0, time / whole)))


def match_video(
    product: Product,
    track: video.DecodedVideo,
    reference: video.DecodedVideo,
    path: Path,
    tell: Progress,
    held: Sequence[Interval] = (),
) -> tuple[VideoMatch, list[Sample]]:
    """Args: held: when nothing was recorded."""
    by_counter = bool(track.numbers and reference.numbers)
    pairs = likeness.pair_by_counter(track, reference) if by_counter else likeness.pair_by_content(track, reference)
    name = f"{product.party} video, PSNR"
    with product.open() as container:
        frames = (one for one in container.decode(container.streams.video[0]) if one.pts is not None)
        told = share_of(tell, name, track.times[-1] if track.times else 1.0)
        match = likeness.compare(frames, track, str(path), pairs, told)
    if by_counter:
        gone = counter.missing(counter.passes(track.numbered), held)
        match = msgspec.structs.replace(match, by="counter", missing_frames=gone)
    else:
        match = msgspec.structs.replace(match, by="content")
    return match, [(track.times[index], reference.times[at]) for index, at in pairs]


def match_audio(
    track: audio.DecodedAudio, source: ReferenceSource, positions: list[Sample], found: list[tuple[sync.Flash, sync.Beep | None]]
) -> AudioMatch:
    assert source.heard is not None
    windows = align(track.samples, track.start, source.heard.samples, _interpolated(positions), source.heard.start)
    over_time = lags(windows, max(1e-3, source.heard.duration))
    stoi, pesq = intelligibility(windows)
    judged = [(flash, beep) for flash, beep in found if flash.second in source.tones]
    heard = [(source.tones[flash.second], beep.frequency) for flash, beep in judged if beep is not None]
    return AudioMatch(
        matched=sum(one.found for one in windows) / len(windows) if windows else 0.0,
        lag=sorted(value for _, value in over_time)[len(over_time) // 2] if over_time else None,
        lags=[(round(time, 3), round(value, 4)) for time, value in over_time],
        stoi=stoi,
        pesq=pesq,
        beeps=len(heard),
        wrong_tones=sum(abs(expected - frequency) > sync.TOLERANCE for expected, frequency in heard),
        missing_tones=len(judged) - len(heard),
    )


def _interpolated(positions: list[Sample]) -> Callable[[float], float | None]:
    """Time in the reference for a time of the recording, by the video."""
    times = [time for time, _ in positions]

    def at(time: float) -> float | None:
        index = bisect.bisect_left(times, time)
        near = [positions[one] for one in (index - 1, index) if 0 <= one < len(positions)]
        near = [one for one in near if abs(one[0] - time) < 2]
        if not near:
            return None
        moment, source = min(near, key=lambda one: abs(one[0] - time))
        return source + time - moment

    return at


def offsets_of_lags(heard: list[Sample], positions: list[Sample], length: float) -> list[Sample]:
    """Audio's lag less the video's, for each window of sound."""
    found = []
    for time, lag in heard:
        near = sorted(moment - source for moment, source in positions if abs(moment - time) < _NEAR)
        if near:
            difference = lag - near[len(near) // 2]
            found.append((time, difference - round(difference / length) * length))
    return found

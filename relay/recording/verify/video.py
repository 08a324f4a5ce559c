"""A video track of a product: every frame is decoded, and asked for its time, its size and its counter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.stream import VideoStream

from relay.recording.verify import counter, intervals
from relay.recording.verify.figures import CounterFigures, VideoFigures

THUMBNAIL = (32, 18)
"""Width and height of the luma thumbnails by which content is compared."""
_BLACK = 32
_SHORTEST_BLACK = 1.0
_SHORTEST_STILL = 2.0
_SAME_DURATION = 0.05
_SAME_TIME = 1.0
"""Seconds by which a freeze of a track and a pause of its sender differ at most, if they are the same: packets take time."""
_PROBED = 60
"""Frames of which is seen whether the video has a counter."""


@dataclass(slots=True)
class DecodedVideo:
    """What is kept of each frame."""

    codec: str = ""
    times: list[float] = field(default_factory=list)
    numbers: list[int | None] = field(default_factory=list)
    """That the counter shows; empty when there is no counter."""
    thumbnails: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    """Only where asked for; without a counter, of all frames."""
    sizes: list[tuple[float, int, int]] = field(default_factory=list)
    packets: list[tuple[float, int, bool]] = field(default_factory=list)
    """Time, bytes and whether it is a key frame, of each frame in the file."""
    black: list[bool] = field(default_factory=list)
    still: list[bool] = field(default_factory=list)
    decode_errors: int = 0

    @property
    def numbered(self) -> list[counter.Numbered]:
        return [
            counter.Numbered(time, number)
            for time, number in zip(self.times, self.numbers, strict=bool(self.numbers))
            if number is not None
        ]


def luma_of(frame: av.VideoFrame) -> counter.Luma:
    """The luma of a frame, without a copy where it is planar."""
    if not frame.format.name.startswith(("yuv4", "yuvj4", "gray")) or frame.format.components[0].bits != 8:
        frame = frame.reformat(format="yuv420p")
    plane = frame.planes[0]
    samples: counter.Luma = np.frombuffer(memoryview(plane), np.uint8)
    return samples[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)[:, : plane.width]


def thumbnail_of(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    width, height = THUMBNAIL
    return luma_of(frame.reformat(width, height, "yuv420p", interpolation="AREA")).copy()


def read_video(
    container: InputContainer, stream: VideoStream, thumbnails: bool, progress: Callable[[float], None] | None = None
) -> DecodedVideo:
    """Decode a track from its beginning.

    Args:
        thumbnails: whether to keep one of each frame.
        progress: takes the time of the frame.
    """
    track = DecodedVideo(codec=stream.codec_context.name)
    stream.thread_type = "AUTO"
    counting = True
    sample: npt.NDArray[np.uint8] | None = None
    for packet in container.demux(stream):
        if packet.pts is not None and packet.size:
            track.packets.append((float(packet.pts * packet.time_base), packet.size, packet.is_keyframe))
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            track.decode_errors += 1
            continue
        for frame in frames:
            if frame.pts is None or frame.time is None:
                continue
            time = float(frame.time)
            luma = luma_of(frame)
            if not track.sizes or track.sizes[-1][1:] != (frame.width, frame.height):
                track.sizes.append((time, frame.width, frame.height))
            track.times.append(time)
            track.decode_errors += frame.is_corrupt
            before, sample = sample, luma[:: max(1, frame.height // 36), :: max(1, frame.width // 64)].copy()
            track.black.append(bool(sample.max() <= _BLACK))
            track.still.append(before is not None and before.shape == sample.shape and bool((before == sample).all()))
            if counting:
                track.numbers.append(counter.read(luma))
                if len(track.numbers) == _PROBED:
                    # Frames with a counter are recognised by it alone.
                    counting = counter.is_counter(track.numbers)
                    thumbnails = thumbnails and not counting
            if thumbnails:
                track.thumbnails.append(thumbnail_of(frame))
            if progress is not None:
                progress(time)
    if not counter.is_counter(track.numbers):
        track.numbers.clear()
    return track


def figures(
    track: DecodedVideo, missing: list[tuple[float, float]], sender_pauses: Sequence[tuple[float, float]] = ()
) -> VideoFigures:
    """What the report says of a track.

    Args:
        missing: intervals in which no frame is expected: a hold, a pause of the recording.
        sender_pauses: when its sender gave no frame, by the packets.
    """
    times = track.times
    duration = times[-1] - times[0] if times else 0.0
    keys = [time for time, _, key in track.packets if key]
    stops = [one for one in intervals.freezes(times) if not intervals.touching([one], missing)]
    numbered = counter.passes(track.numbered)
    whole = int(times[-1]) + 1 if times else 0
    return VideoFigures(
        codec=track.codec,
        start=times[0] if times else 0.0,
        duration=duration,
        frames=len(times),
        decode_errors=track.decode_errors,
        frame_rate=(len(times) - 1) / duration if duration > 0 else None,
        sizes=track.sizes,
        key_frames=len(keys),
        longest_key_frame_distance=intervals.longest(intervals.gaps(keys, 0)) or None,
        freezes=stops,
        longest_freeze=intervals.longest(stops),
        sender_pauses=[one for one in stops if any(_is_that(one, pause) for pause in sender_pauses)],
        gaps=intervals.gaps(times),
        black=_stretches(times, track.black, _SHORTEST_BLACK),
        still=_stretches(times, track.still, _SHORTEST_STILL),
        rates=[float(count) for count in np.bincount([int(max(0.0, time)) for time in times], minlength=whole)] if times else [],
        bitrate=per_second([(time, size) for time, size, _ in track.packets]),
        counter=_counter(track, numbered, missing),
    )


def _is_that(freeze: tuple[float, float], pause: tuple[float, float]) -> bool:
    """Whether a freeze of the track is a pause of its sender: as long, and at about the time at which packets arrived."""
    return abs(freeze[1] - pause[1]) <= _SAME_DURATION and abs(freeze[0] - pause[0]) <= _SAME_TIME


def _counter(
    track: DecodedVideo, numbered: list[list[counter.Numbered]], excluded: list[tuple[float, float]]
) -> CounterFigures | None:
    if not track.numbers:
        return None
    readable = sum(number is not None for number in track.numbers)
    return CounterFigures(
        readable=readable,
        unreadable=len(track.numbers) - readable,
        first=numbered[0][0].number,
        last=numbered[-1][-1].number,
        missing=counter.missing(numbered, excluded),
        rate=counter.rate_of(numbered) or 0.0,
    )


def _stretches(times: list[float], flags: list[bool], shortest: float) -> list[tuple[float, float]]:
    """Where every frame has a flag for that long."""
    found = []
    begin: float | None = None
    for time, flag in [*zip(times, flags, strict=True), (times[-1] if times else 0.0, False)]:
        if flag and begin is None:
            begin = time
        elif not flag and begin is not None:
            found += [(begin, time - begin)] if time - begin >= shortest else []
            begin = None
    return found


def per_second(sizes: list[tuple[float, int]]) -> list[float]:
    """bit/s of each second, from times and bytes."""
    if not sizes:
        return []
    seconds = [int(max(0.0, time)) for time, _ in sizes]
    return [float(one) * 8 for one in np.bincount(seconds, weights=[size for _, size in sizes])]

"""Which frame of a reference a frame of the recording is, and how good it still is: PSNR and SSIM."""

from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.filter import filters_available

from relay.recording.verify.figures import Sample, VideoMatch
from relay.recording.verify.video import DecodedVideo, luma_of
from relay.recording.verify.vmaf import Vmaf, find_program

BAND = 2.0
"""Seconds by which the recording may lead or lag within a comparison by content."""
COMPARED = 0.2
"""Seconds between two pairs of frames that are compared sample by sample."""
ALIKE = 0.8
"""Correlation of two thumbnails that show the same."""
BEST_PSNR = 100.0
"""dB that stand for infinite."""
_FLAT = 2.0
"""Standard deviation of the samples of a thumbnail in which there is nothing to correlate."""
_FLAT_DIFFERENCE = 12.0
_PROBES = 48
_LAG_STEP = 0.1

Thumbnails = npt.NDArray[np.int16]
Pairs = list[tuple[int, int]]
"""Index of a frame of the recording, and of its frame in the reference."""


def pair_by_counter(track: DecodedVideo, reference: DecodedVideo) -> Pairs:
    """Frames that show the same number."""
    where: dict[int, int] = {}
    for index, number in enumerate(reference.numbers):
        if number is not None:
            where.setdefault(number, index)
    return [(index, where[number]) for index, number in enumerate(track.numbers) if number is not None and number in where]


def pair_by_content(track: DecodedVideo, reference: DecodedVideo) -> Pairs:
    """Frames that look alike, in their order: monotone dynamic programming within 2 s of one lag. The reference may be played
    again and again."""
    if not track.times or len(track.thumbnails) < len(track.times) or len(reference.thumbnails) < max(2, len(reference.times)):
        return []  # One has a counter, and the other has none.
    shown, known = _stack(track), _stack(reference)
    times = np.array(track.times) - track.times[0]
    length = reference.times[-1] - reference.times[0] + (reference.times[-1] - reference.times[0]) / (len(reference.times) - 1)
    rounds = int(times[-1] // length) + 2
    base = np.array(reference.times) - reference.times[0]
    tiled = np.concatenate([base + turn * length for turn in range(rounds)])
    lag = _lag(shown, times, known, base, length)
    chosen = _align(shown, times, known, tiled, lag)
    return [(index, at % len(known)) for index, at in enumerate(chosen) if _alike(shown[index], known[at % len(known)])]


def _stack(track: DecodedVideo) -> Thumbnails:
    return np.stack(track.thumbnails).reshape(len(track.thumbnails), -1).astype(np.int16)


def _lag(
    shown: Thumbnails, times: npt.NDArray[np.float64], known: Thumbnails, base: npt.NDArray[np.float64], length: float
) -> float:
    """Seconds to add to a time of the recording for that of the reference."""
    probes = np.unique(np.linspace(0, len(shown) - 1, min(_PROBES, len(shown))).astype(int))
    thinned = np.unique(np.searchsorted(base, np.arange(0, base[-1], _LAG_STEP)))
    distances = np.stack([np.abs(known[thinned] - shown[probe]).mean(axis=1) for probe in probes])
    lags = np.arange(0, length, _LAG_STEP)
    columns = np.searchsorted(base[thinned], (times[probes][:, np.newaxis] + lags) % length).clip(0, len(thinned) - 1)
    costs = np.take_along_axis(distances, columns, axis=1).mean(axis=0)
    return float(lags[costs.argmin()])


def _align(
    shown: Thumbnails, times: npt.NDArray[np.float64], known: Thumbnails, tiled: npt.NDArray[np.float64], lag: float
) -> list[int]:
    """For each frame the index, in the reference played again and again, of the frame that it is: never going back."""
    lows = np.searchsorted(tiled, times + lag - BAND).clip(0, len(tiled) - 1)
    highs = np.searchsorted(tiled, times + lag + BAND).clip(1, len(tiled))
    costs: npt.NDArray[np.float64] | None = None
    origins: list[npt.NDArray[np.int64]] = []
    for index, (low, high) in enumerate(zip(lows, highs, strict=True)):
        columns = np.arange(low, high)
        distance = np.abs(known[columns % len(known)] - shown[index]).mean(axis=1)
        # Of frames that look the same, the one that is due.
        distance = distance + 0.2 * np.abs(tiled[columns] - times[index] - lag)
        if costs is None:
            costs, origins = distance, [columns]
            continue
        best = np.minimum.accumulate(costs)
        argument = np.maximum.accumulate(np.where(costs <= best, np.arange(len(costs)), 0))
        reach = (columns - lows[index - 1]).clip(-1, len(costs) - 1)
        before = np.where(reach >= 0, best[reach], np.inf)
        origins.append(np.where(reach >= 0, argument[reach], 0))
        costs = before + distance
    assert costs is not None
    at = int(costs.argmin())
    chosen = [0] * len(shown)
    for index in range(len(shown) - 1, -1, -1):
        chosen[index] = int(lows[index]) + at
        at = int(origins[index][at]) if index else at
    return chosen


def _alike(one: Thumbnails, other: Thumbnails) -> bool:
    deviations = float(one.std()), float(other.std())
    difference = abs(float(one.mean()) - float(other.mean()))
    if min(deviations) < _FLAT:
        return max(deviations) < 2 * _FLAT and difference < _FLAT_DIFFERENCE
    return float(np.corrcoef(one, other)[0, 1]) >= ALIKE


class _Comparison:
    """FFmpeg's PSNR and SSIM of pairs of frames of one size."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self._graph = graph = av.filter.Graph()
        base, form = Fraction(1, 1000), av.VideoFormat("gray", width, height)
        shown = graph.add_buffer(width=width, height=height, format=form, time_base=base)
        known = graph.add_buffer(width=width, height=height, format=form, time_base=base)
        names = ["psnr", "ssim", *(["xpsnr"] if has_xpsnr() else [])]
        split, sink = graph.add("split", str(len(names))), graph.add("buffersink")
        known.link_to(split)
        before = shown
        for number, name in enumerate(names):
            measure = graph.add(name)
            before.link_to(measure, 0, 0)
            split.link_to(measure, number, 1)
            before = measure
        before.link_to(sink)
        graph.configure()
        self._inputs, self._sink = (shown, known), sink
        self._count = 0

    def compare(self, shown: av.VideoFrame, known: av.VideoFrame) -> tuple[float, float, float | None]:
        """Mean squared error, SSIM and XPSNR, of luma."""
        for source, frame in zip(self._inputs, (shown, known), strict=True):
            plain = av.VideoFrame.from_ndarray(np.ascontiguousarray(luma_of(frame)), "gray")
            plain.pts, plain.time_base = self._count, Fraction(1, 1000)
            source.push(plain)
        self._count += 1
        found = self._sink.pull().metadata
        xpsnr = found.get("lavfi.xpsnr.xpsnr.y")
        return float(found["lavfi.psnr.mse.y"]), float(found["lavfi.ssim.Y"]), None if xpsnr is None else float(xpsnr)


def has_xpsnr() -> bool:
    """Whether PyAV's FFmpeg has the filter, as from 7.1 on."""
    return "xpsnr" in filters_available


class _ReferenceFrames:
    """The frames of a reference, decoded once from end to end as long as they are asked for in their order."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._at = -1
        self._frame: av.VideoFrame | None = None

    def frame(self, index: int) -> av.VideoFrame | None:
        if self._frame is None or index < self._at:
            self._frames, self._at, self._frame = self._decode(), -1, None
        while self._at < index:
            self._frame = next(self._frames, None)
            self._at += 1
            if self._frame is None:
                return None
        return self._frame

    def _decode(self) -> Iterator[av.VideoFrame]:
        with av.open(self._path) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(container.streams.video[0]):
                if frame.pts is not None:
                    yield frame


def compare(
    frames: Iterator[av.VideoFrame],
    track: DecodedVideo,
    reference: str,
    pairs: Pairs,
    progress: Callable[[float], None] | None = None,
) -> VideoMatch:
    """Compare pairs of frames, five a second, the reference's scaled to the recording's size.

    Args:
        frames: the recording's, from its beginning.
        reference: path of the file.
    """
    known = _ReferenceFrames(reference)
    wanted = dict(pairs)
    comparison: _Comparison | None = None
    errors: list[float] = []
    xpsnrs: list[float] = []
    program = find_program()
    vmaf = None if program is None or not pairs else Vmaf(program)
    psnrs: list[Sample] = []
    ssims: list[Sample] = []
    due = -1.0
    for index, frame in enumerate(frames):
        time = track.times[index] if index < len(track.times) else 0.0
        if index not in wanted or time < due:
            continue
        due = time + COMPARED
        other = known.frame(wanted[index])
        if other is None:
            continue
        if comparison is None or comparison.size != (frame.width, frame.height):
            comparison = _Comparison(frame.width, frame.height)
        error, ssim, xpsnr = comparison.compare(frame, other.reformat(frame.width, frame.height, "yuv420p"))
        errors.append(error)
        if xpsnr is not None:
            xpsnrs.append(min(BEST_PSNR, xpsnr))
        if vmaf is not None:
            vmaf.add(frame, other)
        psnrs.append((round(time, 3), round(decibels_of(error), 2)))
        ssims.append((round(time, 3), round(ssim, 4)))
        if progress is not None:
            progress(time)
    return VideoMatch(
        by="counter" if track.numbers else "content",
        matched=len(pairs) / len(track.times) if track.times else 0.0,
        compared=len(errors),
        psnr=round(decibels_of(float(np.mean(errors))), 2) if errors else None,
        psnr_low=float(np.percentile([value for _, value in psnrs], 5)) if errors else None,
        ssim=round(float(np.mean([value for _, value in ssims])), 4) if errors else None,
        ssim_low=float(np.percentile([value for _, value in ssims], 5)) if errors else None,
        psnrs=psnrs,
        ssims=ssims,
        # As of errors: decibels are no quantity of which there is a mean.
        xpsnr=round(-10 * float(np.log10(np.mean(10 ** (-np.array(xpsnrs) / 10)))), 2) if xpsnrs else None,
        vmaf=None if vmaf is None else vmaf.result(),
    )


def decibels_of(error: float) -> float:
    """PSNR of a mean squared error of 8-bit samples."""
    return min(BEST_PSNR, 10 * float(np.log10(255**2 / error))) if error > 0 else BEST_PSNR

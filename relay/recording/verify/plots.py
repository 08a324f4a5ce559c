"""The plots of a report, as SVG that takes its colours from the page: light or dark."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relay.recording.verify.figures import Interval, Sample, TrackReport, VerificationReport

WIDTH: Final = 10.4
HEIGHT: Final = 1.7
"""Inches, at 72 points."""
MOST_POINTS: Final = 1500
"""Of one line: there are no more columns on a screen."""

_COLOURS: Final = {
    "#010101": "var(--ink)",
    "#020202": "var(--faint)",
    "#030303": "var(--grid)",
    "#040404": "var(--audio)",
    "#050505": "var(--video)",
    "#060606": "var(--bad)",
    "#070707": "var(--missing)",
    "#080808": "var(--event)",
}
"""What matplotlib draws in, and what the page makes of it."""
_INK, _FAINT, _GRID, _AUDIO, _VIDEO, _BAD, _MISSING, _EVENT = _COLOURS

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
}


class Plot:
    """One plot over the time of the recording."""

    def __init__(self, title: str, unit: str, svg: str) -> None:
        self.title, self.unit, self.svg = title, unit, svg


def plots_of(report: VerificationReport, party: str) -> list[Plot]:
    """All plots of a party for which there are figures."""
    tracks = [track for track in report.tracks if track.party == party]
    found: list[Plot] = []

    def plot(title: str, unit: str, draw: Callable[[Axes], None]) -> None:
        found.append(Plot(title, unit, _drawn(f"{title}, {unit}", report, draw, f"{party} {title}")))

    for track in tracks:
        number = f" {track.number}" if track.number > 1 else ""
        if track.audio is not None and track.audio.levels:
            plot(f"Audio level{number}", "dBFS", lambda axes, one=track: _levels(axes, one))  # type: ignore[misc]
        if track.video is not None and track.video.rates:
            plot(f"Frame rate{number}", "frames per second", lambda axes, one=track: _frame_rate(axes, one))  # type: ignore[misc]
    if party in report.av_offsets:
        plot("Audio later than video", "ms", lambda axes: _offset(axes, report, party))
    if any(track.audio or track.video for track in tracks):
        plot("Bit rate", "kbit/s", lambda axes: _bitrate(axes, tracks))
    if any(track.packets for track in tracks):
        plot("Packets lost after repair", "%", lambda axes: _loss(axes, tracks))
    for track in tracks:
        if track.video_match is not None and track.video_match.psnrs:
            plot("PSNR of luma", "dB", lambda axes, one=track: _psnr(axes, one, report))  # type: ignore[misc]
    return found


def _drawn(label: str, report: VerificationReport, draw: Callable[[Axes], None], salt: str) -> str:
    with mpl.rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        figure.patch.set_alpha(0)
        axes = figure.add_axes((0.055, 0.16, 0.92, 0.78))
        axes.patch.set_alpha(0)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        draw(axes)
        axes.set_xlim(0, max(1.0, report.duration))
        axes.tick_params(axis="x", pad=6)  # the lowest number beside the plot is on the same height as its edge
        axes.xaxis.set_major_formatter(lambda value, _: clock(value))
        for event in report.events:
            if 0 < event.time < report.duration:
                axes.axvline(event.time, color=_EVENT, linewidth=1, linestyle=(0, (2, 2)))
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour, variable)
    # Only the drawing: its size, its fonts and its metadata are the page's.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: [\d.]+px [^;\"]*", "font-size: 10px", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label} over time"', 1)


def clock(seconds: float) -> str:
    """`1:05`, or `1:02:03`."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _thinned(times: Sequence[float], values: Sequence[float], choose: Callable[[Sequence[float]], float]) -> list[Sample]:
    step = -(-len(values) // MOST_POINTS) or 1
    return [(times[at], choose(values[at : at + step])) for at in range(0, len(values), step)]


def _line(axes: Axes, samples: Sequence[Sample], colour: str, label: str = "", filled: bool = False) -> None:
    if not samples:
        return
    times, values = [time for time, _ in samples], [value for _, value in samples]
    axes.plot(times, values, color=colour, label=label)
    if filled:
        axes.fill_between(times, values, min(0.0, *values), color=colour, alpha=0.14, linewidth=0)


def _spans(axes: Axes, found: Sequence[Interval], colour: str) -> None:
    for start, duration in found[:500]:
        axes.axvspan(start, start + duration, color=colour, alpha=0.22, linewidth=0)


def _levels(axes: Axes, track: TrackReport) -> None:
    assert track.audio is not None
    audio = track.audio
    times = [audio.start + 0.1 * index for index in range(len(audio.levels))]
    samples = _thinned(times, audio.levels, max)
    values = [value for _, value in samples]
    axes.fill_between([time for time, _ in samples], values, -100, color=_AUDIO, alpha=0.5, linewidth=0)
    _spans(axes, audio.silences, _BAD)
    _spans(axes, audio.inserted, _MISSING)
    _spans(axes, audio.holes, _BAD)
    axes.set_ylim(-80, 0)
    axes.set_yticks([-60, -40, -20, 0])


def _frame_rate(axes: Axes, track: TrackReport) -> None:
    assert track.video is not None
    rates = track.video.rates
    # The last second is rarely a whole one.
    shown = rates[:-1] if len(rates) > 2 else rates
    _line(axes, _thinned([at + 0.5 for at in range(len(shown))], shown, min), _VIDEO, filled=True)
    _spans(axes, track.video.freezes, _BAD)
    _spans(axes, track.video.black, _MISSING)
    axes.set_ylim(0, max([*shown, 1]) * 1.15)


def _offset(axes: Axes, report: VerificationReport, party: str) -> None:
    offset = report.av_offsets[party]
    values = [1000 * value for _, value in offset.seconds]
    axes.plot([time for time, _ in offset.seconds], values, color=_VIDEO, marker="o", markersize=3.4, linewidth=0)
    limit = report.limits.get("max_av_offset")
    reach = max(20.0, *map(abs, values)) * 1.25
    if limit is not None:
        _limit(axes, 1000 * limit)
        _limit(axes, -1000 * limit)
        reach = max(reach, 1250 * limit)
    axes.axhline(0, color=_FAINT, linewidth=0.8)
    axes.set_ylim(-reach, reach)


def _bitrate(axes: Axes, tracks: Sequence[TrackReport]) -> None:
    for track in tracks:
        media = track.video or track.audio
        colour = _VIDEO if track.kind == "video" else _AUDIO
        rates = [rate / 1000 for rate in media.bitrate] if media is not None else []
        shown = rates[:-1] if len(rates) > 2 else rates
        _line(axes, _thinned([at + 0.5 for at in range(len(shown))], shown, max), colour, filled=True)
    axes.set_ylim(bottom=0)


def _loss(axes: Axes, tracks: Sequence[TrackReport]) -> None:
    most = 1.0
    for track in tracks:
        for packets in track.packets:
            values = [100 * share for share in packets.loss]
            most = max([most, *values])
            colour = _VIDEO if track.kind == "video" else _AUDIO
            _line(axes, _thinned([at + 0.5 for at in range(len(values))], values, max), colour, filled=True)
    axes.set_ylim(0, most * 1.15)


def _psnr(axes: Axes, track: TrackReport, report: VerificationReport) -> None:
    assert track.video_match is not None
    found = track.video_match.psnrs
    samples = _thinned([time for time, _ in found], [value for _, value in found], min)
    _line(axes, samples, _VIDEO)
    limit = report.limits.get("min_psnr")
    if limit is not None:
        _limit(axes, limit)
    values = [value for _, value in samples]
    axes.set_ylim(max(0.0, min([*values, limit or 99.0]) - 4), max([*values, limit or 0.0]) + 4)


def _limit(axes: Axes, value: float) -> None:
    axes.axhline(value, color=_BAD, linewidth=1, linestyle=(0, (4, 3)))

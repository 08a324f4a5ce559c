"""`report.json` for programs and `report.html` for people: one file each, and no image and no sound of the call in them."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
from markupsafe import Markup

from relay.recording.limits import count_of, described, shown
from relay.recording.verify.figures import (
    AudioFigures,
    Finding,
    Interval,
    PacketFigures,
    TrackReport,
    VerificationReport,
    VideoFigures,
)
from relay.recording.verify.plots import Plot, clock, plots_of
from relay.recording.verify.verdict import VerificationResult

JSON_NAME: Final = "report.json"
HTML_NAME: Final = "report.html"

_TITLES: Final[Mapping[str, str]] = {
    "readable": "Readable",
    "decodable": "Decodable",
    "whole": "Whole",
    "audio_abuts": "Audio without holes",
    "reference": "Shows the reference",
    "tones": "Tones in order",
    "max_freeze": "Longest freeze",
    "max_loss": "Packet loss",
    "max_av_offset": "Audio and video together",
    "max_silence": "Longest silence",
    "min_psnr": "PSNR",
    "min_ssim": "SSIM",
    "min_stoi": "Speech (STOI)",
    "max_drift": "Clock drift",
    "max_missing_frames": "Missing frames",
}
_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "failed": ("✕", "failed"),
    "not_measured": ("?", "not measured"),
    "passed": ("✓", "passed"),
    "measured": ("·", "measured, no limit"),
    "not_applicable": ("–", "does not apply"),
}
"""Sign and words, the worst first."""
_PARTIES: Final = {"A": "Party A, the caller", "B": "Party B, the callee"}
_LATE_START: Final = 0.5
"""Seconds of a recording without a track from which on the report says so."""
_FORMATS: Final = {".webm": "WebM", ".mkv": "Matroska", ".mp4": "MP4"}
_WORDS: Final = {"passed": "Passed", "failed": "Failed", "unreadable": "Cannot be judged"}


def write_report(report: VerificationReport, folder: Path) -> VerificationResult:
    """Write both files into a directory, which is made if it is missing; each is replaced at once.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    plain = msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
    files = (folder / JSON_NAME, folder / HTML_NAME)
    for file, content in zip(files, (plain, html(report).encode()), strict=True):
        part = file.with_name(f"{file.name}.part")
        part.unlink(missing_ok=True)
        # As the recording itself: for its owner alone.
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as target:
            target.write(content)
        part.replace(file)
    return VerificationResult(report.verdict, tuple(report.reasons), report, files)


def schema() -> dict[str, Any]:
    """The JSON schema of `report.json` (draft 2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(VerificationReport)}


def html(report: VerificationReport) -> str:
    """The page: it loads nothing, runs nothing, and escapes all that is not its own."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = resources.files(__package__).joinpath("report.html.jinja").read_text("utf-8")
    parties = list(dict.fromkeys(track.party for track in report.tracks))
    return environment.from_string(template).render(
        report=report,
        word=_WORDS[report.verdict],
        clock=clock,
        findings=_rows(report.findings),
        parties=[
            {
                "name": _PARTIES.get(party, party),
                "plots": [_safe(plot) for plot in plots_of(report, party)],
                "tracks": [_track(track, report.unavailable) for track in report.tracks if track.party == party],
            }
            for party in parties
        ],
        facts=_facts(report),
        formats={product.name: _FORMATS.get(Path(product.name).suffix, product.container) for product in report.products},
        created=_moment(report.created),
    )


def _safe(plot: Plot) -> dict[str, object]:
    # Drawn here, from numbers and our own words.
    return {"title": plot.title, "unit": plot.unit, "svg": Markup(plot.svg)}  # noqa: S704


def _rows(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """One for each question, with the answers of all tracks, and the worst state of them."""
    rows: list[dict[str, object]] = []
    for name in dict.fromkeys(finding.name for finding in findings):
        answers = [finding for finding in findings if finding.name == name]
        worst = min((finding.state for finding in answers), key=[*_STATES].index)
        limit = next((one.limit for one in answers if one.limit is not None), None)
        sign, said = _STATES[worst]
        rows.append(
            {
                "state": worst,
                "sign": sign,
                "said": said,
                "title": _TITLES.get(name, name),
                "answers": [(one.state, one.sentence) for one in answers],
                "limit": "" if limit is None or name == "audio_abuts" else shown(limit, answers[0].unit),
            }
        )
    return rows


def _facts(report: VerificationReport) -> list[tuple[str, str]]:
    found = [
        ("Duration", clock(report.duration)),
        ("Started", _moment(report.started)),
        ("Ended", report.end_reason.replace("_", " ")),
        ("Limits", ", ".join(described(report.limits)) or "none"),
    ]
    of_all = len(set(report.references.values())) == 1
    found += [("Reference" if of_all else f"Reference of {party}", name) for party, name in report.references.items()]
    found = [*dict.fromkeys(found)]
    return [(name, value) for name, value in found if value]


def _moment(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%-d %B %Y, %H:%M:%S} UTC"
    except ValueError:
        return text


def _track(track: TrackReport, unavailable: Mapping[str, str]) -> dict[str, object]:
    number = f" {track.number}" if track.number > 1 else ""
    rows = _video_rows(track.video) if track.video else _audio_rows(track.audio) if track.audio else []
    return {
        "title": f"{track.kind.capitalize()}{number}",
        "file": track.file,
        "rows": [*rows, *_packet_rows(track), *_match_rows(track, unavailable)],
    }


def _video_rows(video: VideoFigures) -> list[tuple[str, str]]:
    sizes = " → ".join(f"{width}×{height}" for _, width, height in video.sizes[:6])
    rows = [
        ("Codec", video.codec.upper()),
        ("Size", sizes + (" …" if len(video.sizes) > 6 else "")),
        ("Frames", f"{video.frames:,} in {clock(video.duration)}"),
        ("Begins", f"after {shown(video.start, 's')}" if video.start > _LATE_START else ""),
        ("Frame rate", f"{video.frame_rate:.1f} per second" if video.frame_rate else ""),
        ("Key frames", f"{video.key_frames}, at most {video.longest_key_frame_distance or 0:.1f} s apart"),
        ("Freezes", _listed(video.freezes)),
        ("Black", _listed(video.black)),
        ("Without any change", _listed(video.still)),
        ("Cannot be decoded", f"{video.decode_errors:,} frames" if video.decode_errors else ""),
    ]
    if video.counter is not None:
        counter = video.counter
        # A source that is played again begins anew with its numbers.
        last = f"{counter.last}" if counter.last >= counter.first else f"its end, and from its beginning to {counter.last}"
        rows.append(("Counter", f"{counter.first} to {last}, {counter.missing} missing, {counter.unreadable} unreadable"))
    return rows


def _audio_rows(audio: AudioFigures) -> list[tuple[str, str]]:
    return [
        ("Codec", f"{audio.codec}, {audio.sample_rate / 1000:g} kHz, {'stereo' if audio.channels == 2 else 'mono'}"),
        ("Duration", clock(audio.duration)),
        ("Begins", f"after {shown(audio.start, 's')}" if audio.start > _LATE_START else ""),
        ("Loudness", f"{audio.loudness:.1f} LUFS" if audio.loudness is not None else ""),
        ("Level", f"{audio.rms:.1f} dBFS RMS, {audio.peak:.1f} peak" if audio.rms is not None and audio.peak is not None else ""),
        ("Clipping", f"{audio.clipped:,} times" if audio.clipped else "none"),
        ("Silence", _listed(audio.silences)),
        ("Missing sound", f"{shown(audio.inserted_total, 's')}, filled" if audio.inserted else ""),
        ("Holes", _listed(audio.holes)),
        ("Cannot be decoded", f"{audio.decode_errors:,} packets" if audio.decode_errors else ""),
    ]


def _packet_rows(track: TrackReport) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for packets in track.packets:
        rows += [
            ("Packets", f"{packets.packets:,} received, {packets.lost_before_repair:,} lost, {packets.repaired:,} repaired"),
            ("Longest burst", f"{packets.longest_burst} packets lost in a row" if packets.longest_burst else ""),
            ("Sender", _pace(packets)),
            ("Late", f"{packets.late:,} by more than 2 s" if packets.late else ""),
            ("Jitter", f"up to {packets.jitter * 1000:.0f} ms" if packets.jitter is not None else ""),
            ("Round trip", f"{packets.round_trip * 1000:.0f} ms" if packets.round_trip is not None else ""),
            ("Asked for again", f"{packets.nacked:,} packets, {packets.key_frame_requests:,} key frames"),
            ("Clock", f"{packets.drift:+.0f} ± {packets.drift_error or 0:.0f} ppm" if packets.drift is not None else ""),
        ]
    return rows


def _pace(packets: PacketFigures) -> str:
    """What the camera or the encoder gave, by its timestamps."""
    if packets.frame_rate is None:
        return ""
    pauses = packets.sender_pauses
    took = f"; {count_of(len(pauses), 'pause')} of {shown(sum(one for _, one in pauses), 's')} in all" if pauses else ""
    return f"{packets.frame_rate:.1f} frames per second{took}"


def _match_rows(track: TrackReport, unavailable: Mapping[str, str]) -> list[tuple[str, str]]:
    missing = {name: f"not available: {why}" for name, why in unavailable.items()}
    rows: list[tuple[str, str]] = []
    if track.video_match is not None:
        match = track.video_match
        rows.append(("In the reference", f"{match.matched * 100:.1f} % of the frames, by {match.by}"))
        if match.psnr is not None and match.psnr_low is not None:
            rows.append(("PSNR of luma", f"{match.psnr:.1f} dB; 5 % below {match.psnr_low:.1f}"))
        if match.ssim is not None and match.ssim_low is not None:
            rows.append(("SSIM of luma", f"{match.ssim:.3f}; 5 % below {match.ssim_low:.3f}"))
        rows.append(("XPSNR of luma", f"{match.xpsnr:.1f} dB" if match.xpsnr is not None else missing.get("xpsnr", "")))
        rows.append(("VMAF", f"{match.vmaf:.1f}" if match.vmaf is not None else missing.get("vmaf", "")))
    if track.audio_match is not None:
        heard = track.audio_match
        rows.append(("In the reference", f"{heard.matched * 100:.0f} % of the sound"))
        rows.append(("STOI", f"{heard.stoi:.2f}" if heard.stoi is not None else ""))
        rows.append(("PESQ", f"{heard.pesq:.1f} MOS-LQO" if heard.pesq is not None else missing.get("pesq", "")))
        tones = f"{heard.beeps} heard, {heard.wrong_tones} in the wrong second, {heard.missing_tones} missing"
        rows.append(("Tones", tones if heard.beeps or heard.missing_tones else ""))
    return rows


def _listed(found: list[Interval]) -> str:
    if not found:
        return "none"
    times = ", ".join(f"{shown(duration, 's')} at {clock(start)}" for start, duration in found[:4])
    return f"{len(found)}: {times}{', …' if len(found) > 4 else ''}"

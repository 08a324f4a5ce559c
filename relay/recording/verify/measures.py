"""Each limit's findings: what was measured of each track, beside what is allowed. Sans-IO."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from relay.recording.limits import UNITS, count_of, shown
from relay.recording.verify.figures import Finding, FindingState, OffsetFigures, PacketFigures, TrackReport, VideoFigures

_TOGETHER = 0.0005
"""Seconds: what would be printed as 0 ms."""
_CLEARLY_FEWER = 0.95
"""Of the usual frame rate: a sender that gives fewer is named."""
DRIFT_ERRORS = 2
"""Standard errors by which a drift must exceed its limit: some reports of a short call say little."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A limit, and the findings that it makes."""

    name: str
    limit: float | None

    def measured(self, track: str, value: float, what: str, margin: float = 0.0) -> Finding:
        """A value, beside its limit if there is one.

        Args:
            margin: uncertainty by which the value must exceed the limit to fail.
        """
        state: FindingState = "measured"
        sentence = f"{track}: {what}."
        if self.limit is not None:
            above = self.name.startswith("max")
            kept = value - margin <= self.limit if above else value >= self.limit
            state = "passed" if kept else "failed"
            if not kept:
                sentence = f"{track}: {what}; the limit is {shown(self.limit, self.unit)}."
        return Finding(name=self.name, state=state, track=track, value=value, limit=self.limit, unit=self.unit, sentence=sentence)

    def unmeasured(self, track: str, why: str) -> Finding:
        return Finding(
            name=self.name, state="not_measured", track=track, limit=self.limit, unit=self.unit, sentence=f"{track}: {why}."
        )

    def inapplicable(self, track: str, why: str) -> Finding:
        return Finding(
            name=self.name, state="not_applicable", track=track, limit=self.limit, unit=self.unit, sentence=f"{track}: {why}."
        )

    @property
    def unit(self) -> str:
        return UNITS[self.name]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a limit is held against."""

    tracks: list[TrackReport]
    offsets: Mapping[str, OffsetFigures]
    references: Mapping[str, str]


def name_of(track: TrackReport) -> str:
    return f"{track.party} {track.kind}{f' {track.number}' if track.number > 1 else ''}"


def _freeze(one: Judged, measured: Measured) -> Iterator[Finding]:
    for track in measured.tracks:
        if track.video is not None and track.video.frames:
            longest = track.video.longest_freeze
            count = count_of(len(track.video.freezes), "freeze")
            start = max(track.video.freezes, key=lambda freeze: freeze[1], default=(0.0, 0.0))[0]
            what = (
                f"{count}, the longest of {shown(longest, 's')} at {start:.1f} s{_whose(track.video)}" if longest else "no freeze"
            )
            yield one.measured(name_of(track), longest, what)


def _whose(video: VideoFigures) -> str:
    """Of how many freezes the sender is the reason."""
    own, count = len(video.sender_pauses), len(video.freezes)
    if not own:
        return ""
    which = f"in {own} of them" if own < count else "in it" if count == 1 else "in all of them"
    return f"; {which} the sender gave no frame, and no packet was lost"


def pace_notes(tracks: Iterable[TrackReport]) -> list[str]:
    """Each video whose sender gave clearly fewer frames than its camera is set to: so that these are not taken for loss."""
    notes = []
    for track in tracks:
        for one in track.packets:
            if one.frame_rate and one.usual_frame_rate and one.frame_rate < _CLEARLY_FEWER * one.usual_frame_rate:
                rates = (
                    f"{one.frame_rate:.1f} frames per second of the {one.usual_frame_rate:.1f} that it gives between its pauses"
                )
                left_out = (
                    f"{count_of(one.sender_left_out or 0, 'frame')} left out by its camera or encoder, none lost on the way"
                )
                notes.append(f"{name_of(track)}: its sender gave {rates} ({left_out}).")
    return notes


def _loss(one: Judged, measured: Measured) -> Iterator[Finding]:
    for track in measured.tracks:
        name = name_of(track)
        if track.lost is None or not track.expected:
            yield one.unmeasured(name, "its loss is not known without the capture or its sidecar")
            continue
        share = 100 * track.lost / track.expected
        what = f"{track.lost:,} of {count_of(track.expected, 'packet')} lost after repair, {shown(share, '%')}"
        yield one.measured(name, share, what)


def _av_offset(one: Judged, measured: Measured) -> Iterator[Finding]:
    kinds: dict[str, set[str]] = {}
    for track in measured.tracks:
        kinds.setdefault(track.party, set()).add(track.kind)
    for party, found in kinds.items():
        offset = measured.offsets.get(party)
        if found != {"audio", "video"}:
            yield one.inapplicable(party, f"it has no {'video' if 'audio' in found else 'audio'} to compare with")
        elif offset is None:
            yield one.unmeasured(party, "the offset between audio and video cannot be measured without a counter or a reference")
        else:
            where = f"{shown(abs(offset.median), 's')} {'later' if offset.median > 0 else 'earlier'} than video"
            where = "together with video" if abs(offset.median) < _TOGETHER else where
            seconds = count_of(len(offset.seconds), "second")
            what = f"audio is {where} (median; at most {shown(offset.p95, 's')} off in 95 % of {seconds})"
            yield one.measured(party, offset.p95, what)


def _silence(one: Judged, measured: Measured) -> Iterator[Finding]:
    for track in measured.tracks:
        if track.audio is not None and track.audio.packets:
            longest = track.audio.longest_silence
            start = max(track.audio.silences, key=lambda silence: silence[1], default=(0.0, 0.0))[0]
            what = f"the longest silence is {shown(longest, 's')} at {start:.1f} s" if longest else "no silence of 1 s or more"
            yield one.measured(name_of(track), longest, what)


def _psnr(one: Judged, measured: Measured) -> Iterator[Finding]:
    for track in _with_reference(measured, "video"):
        value = track.video_match.psnr if track.video_match else None
        yield _or_unmeasured(
            one, track, value, lambda psnr: f"PSNR of luma is {psnr:.1f} dB", "no frame of it is in the reference"
        )


def _ssim(one: Judged, measured: Measured) -> Iterator[Finding]:
    for track in _with_reference(measured, "video"):
        value = track.video_match.ssim if track.video_match else None
        yield _or_unmeasured(one, track, value, lambda ssim: f"SSIM of luma is {ssim:.3f}", "no frame of it is in the reference")


def _stoi(one: Judged, measured: Measured) -> Iterator[Finding]:
    for track in _with_reference(measured, "audio"):
        name, match = name_of(track), track.audio_match
        if match is None or not match.matched:
            yield one.unmeasured(name, "its sound is not in the reference")
        elif match.stoi is None:
            yield one.inapplicable(name, "STOI is of speech, and the reference has less than 3 s of it")
        else:
            yield one.measured(name, match.stoi, f"STOI is {match.stoi:.2f}")


def _with_reference(measured: Measured, kind: str) -> Iterator[TrackReport]:
    return (one for one in measured.tracks if one.kind == kind and one.number == 1 and one.party in measured.references)


def _or_unmeasured(one: Judged, track: TrackReport, value: float | None, what: Callable[[float], str], why: str) -> Finding:
    return one.unmeasured(name_of(track), why) if value is None else one.measured(name_of(track), value, what(value))


def _drift(one: Judged, measured: Measured) -> Iterator[Finding]:
    for track in measured.tracks:
        name = name_of(track)
        known = [packets for packets in track.packets if packets.drift is not None]
        if known:
            worst = max(known, key=_drift_of)
            what = f"its clock runs {abs(worst.drift or 0.0):.0f} ppm {'fast' if (worst.drift or 0) > 0 else 'slow'}"
            yield one.measured(name, _drift_of(worst), what, DRIFT_ERRORS * (worst.drift_error or 0.0))
        elif track.packets:
            yield one.inapplicable(name, "drift takes sender reports of 60 s at least")
        else:
            yield one.unmeasured(name, "its drift is not known without the capture")


def _drift_of(packets: PacketFigures) -> float:
    return abs(packets.drift or 0.0)


def _missing_frames(one: Judged, measured: Measured) -> Iterator[Finding]:
    for track in measured.tracks:
        if track.kind != "video":
            continue
        missing, what = _missing(track)
        if missing is None:
            yield one.unmeasured(name_of(track), "missing frames are not known without a sidecar or a counter")
        else:
            yield one.measured(name_of(track), missing, what)


def _missing(track: TrackReport) -> tuple[int | None, str]:
    """How many, and the sentence."""
    early = track.frames_before_keyframe
    if track.video_match is not None and (missing := track.video_match.missing_frames) is not None:
        # What was not sent is not missing; what the assembly left out was sent.
        own = min(max(0, missing - (track.incomplete_frames or 0)), sum(one.sender_left_out or 0 for one in track.packets))
        also = f"; {own:,} more that the sender did not send" if own else ""
        return missing - own, f"{count_of(missing - own, 'frame')} of the reference missing{also}"
    if (missing := track.incomplete_frames) is not None:
        if not missing and early:
            return 0, f"no frame left out for packets that are missing; {early:,} before a key frame, of which none is"
        also = f"; {early:,} more before a key frame, of which none is" if early else ""
        return missing, f"{count_of(missing, 'frame')} left out, as packets of theirs are missing{also}"
    missing = track.video.counter.missing if track.video and track.video.counter else None
    return missing, "" if missing is None else f"{count_of(missing, 'frame')} of its counter missing"


LIMITS: Final[Mapping[str, Callable[[Judged, Measured], Iterable[Finding]]]] = {
    "max_freeze": _freeze,
    "max_loss": _loss,
    "max_av_offset": _av_offset,
    "max_silence": _silence,
    "min_psnr": _psnr,
    "min_ssim": _ssim,
    "min_stoi": _stoi,
    "max_drift": _drift,
    "max_missing_frames": _missing_frames,
}
"""What each limit is measured by."""

"""From figures to a verdict: what must hold of every recording, and the limits that were asked for. Sans-IO."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from relay.recording.limits import VerificationLimits, count_of
from relay.recording.verify.figures import Finding, FindingState, ProductReport, TrackReport, VerdictState, VerificationReport
from relay.recording.verify.measures import LIMITS, Judged, Measured, name_of

EXIT_STATUS: Final[Mapping[VerdictState, int]] = {"passed": 0, "failed": 1, "unreadable": 2}

FEWEST_MATCHED = 0.5
"""Share of frames, or of windows of sound, that must be in the reference, or it is another one."""
LEAST_PSNR = 16.0
"""dB. Frames of another source have less, whatever their counter says; the worst video of a call has more."""


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """The outcome of a verification."""

    verdict: VerdictState
    reasons: tuple[str, ...]
    """Why it has not passed; empty when it has."""
    report: VerificationReport
    files: tuple[Path, ...] = ()
    """`report.json` and `report.html`."""

    @property
    def exit_status(self) -> int:
        """0 passed, 1 failed, 2 cannot be judged."""
        return EXIT_STATUS[self.verdict]


def judge(findings: Iterable[Finding]) -> tuple[VerdictState, list[str]]:
    """The verdict and its reasons. A limit that was asked for and cannot be measured has not been kept: it cannot be judged."""
    found = [*findings]
    unreadable = [one.sentence for one in found if one.name == "readable" and one.state == "failed"]
    failed = [one.sentence for one in found if one.state == "failed"]
    unmeasured = [one.sentence for one in found if one.state == "not_measured" and one.limit is not None]
    if unreadable:
        return "unreadable", unreadable
    if failed:
        return "failed", failed
    return ("unreadable", unmeasured) if unmeasured else ("passed", [])


def examine(products: list[ProductReport], measured: Measured, limits: VerificationLimits) -> list[Finding]:
    """All findings: what must always hold, then each limit in the order of the options."""
    tracks, references = measured.tracks, measured.references
    found = [*_readable(tracks), *_whole(products), *_abutting(tracks)]
    found += [finding for track in tracks if track.party in references for finding in _is_reference(track, references)]
    for field in fields(limits):
        found += LIMITS[field.name](Judged(field.name, getattr(limits, field.name)), measured)
    return found


def _readable(tracks: list[TrackReport]) -> Iterator[Finding]:
    if not tracks:
        yield Finding(name="readable", state="failed", sentence="There is no audio and no video in it.")
        return
    for track in tracks:
        media = track.video or track.audio
        count = track.video.frames if track.video else track.audio.packets if track.audio else 0
        if media is None:
            continue
        name = name_of(track)
        if not count or (track.audio is not None and not track.audio.duration):
            yield Finding(name="readable", state="failed", track=name, sentence=f"{name}: nothing of it can be decoded.")
        elif media.decode_errors:
            text = f"{name}: {count_of(media.decode_errors, 'frame')} cannot be decoded."
            yield Finding(name="decodable", state="failed", track=name, value=media.decode_errors, unit="frames", sentence=text)
        else:
            yield Finding(name="readable", state="passed", track=name, sentence=f"{name}: every frame can be decoded.")


def _whole(products: list[ProductReport]) -> Iterator[Finding]:
    for product in products:
        if product.cut:
            yield Finding(
                name="whole", state="failed", track=product.name, sentence=f"{product.name} is truncated: {product.cut}."
            )
        else:
            yield Finding(name="whole", state="passed", track=product.name, sentence=f"{product.name} is whole.")


def _abutting(tracks: list[TrackReport]) -> Iterator[Finding]:
    for track in tracks:
        if track.audio is None:
            continue
        name, audio = name_of(track), track.audio
        torn = [*audio.holes, *audio.overlaps]
        if not torn:
            yield Finding(name="audio_abuts", state="passed", track=name, sentence=f"{name}: its packets abut.")
            continue
        start, duration = max(torn, key=lambda one: one[1])
        kinds = f"{count_of(len(audio.holes), 'hole')} and {count_of(len(audio.overlaps), 'overlap')}"
        text = f"{name}: its packets do not abut ({kinds}, the longest of {duration * 1000:.0f} ms at {start:.1f} s); a player "
        text += "plays what follows at the wrong time."
        yield Finding(name="audio_abuts", state="failed", track=name, value=duration, limit=0.001, unit="s", sentence=text)


def _is_reference(track: TrackReport, references: Mapping[str, str]) -> Iterator[Finding]:
    name, reference = name_of(track), references[track.party]
    if track.video_match is not None:
        match = track.video_match
        psnr = match.psnr if match.psnr is not None else 0.0
        state: FindingState = "passed" if match.matched >= FEWEST_MATCHED and psnr >= LEAST_PSNR else "failed"
        share = f"{match.matched * 100:.0f} % of its frames are in it, by {match.by}, with a PSNR of {psnr:.0f} dB"
        text = f"{name} shows {reference}: {share}." if state == "passed" else f"{name} does not show {reference}: {share}."
        yield Finding(name="reference", state=state, track=name, value=match.matched * 100, unit="%", sentence=text)
    if track.audio_match is not None:
        heard = track.audio_match
        state = "passed" if heard.matched >= FEWEST_MATCHED else "failed"
        share = f"{heard.matched * 100:.0f} % of its sound is in it"
        text = f"{name} sounds like {reference}: {share}." if state == "passed" else f"{name} is not {reference}: {share}."
        yield Finding(name="reference", state=state, track=name, value=heard.matched * 100, unit="%", sentence=text)
        if heard.beeps and state == "passed":
            wrong = heard.wrong_tones
            text = (
                f"{name}: {wrong} of {count_of(heard.beeps, 'tone')} sound in a second that is not theirs."
                if wrong
                else (f"{name}: each of {count_of(heard.beeps, 'tone')} sounds in its second.")
            )
            yield Finding(name="tones", state="failed" if wrong else "passed", track=name, value=wrong, sentence=text)

"""A verification from its beginning to its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import msgspec

from relay.errors import RelayError
from relay.recording.limits import VerificationLimits
from relay.recording.verify import audio, availability, counter, sync, video
from relay.recording.verify.beside import (
    Progress,
    ReferenceSource,
    match_audio,
    match_video,
    offsets_of_lags,
    read_source,
    share_of,
)
from relay.recording.verify.captures import CaptureFindings, capture_of, is_capture, read_facts
from relay.recording.verify.figures import (
    Interval,
    OffsetFigures,
    PacketFigures,
    ProductReport,
    Sample,
    TrackReport,
    VerificationReport,
)
from relay.recording.verify.measures import Measured, pace_notes
from relay.recording.verify.products import (
    SIDECAR,
    Product,
    Sidecar,
    UnreadableRecording,
    describe,
    find_products,
    intervals_of,
    number_of,
    others_of,
    pauses,
)
from relay.recording.verify.report import write_report
from relay.recording.verify.verdict import VerificationResult, examine, judge
from relay.sealed import is_sealed

References = Path | str | Mapping[str, Path | str] | None


def verify(
    path: Path | str,
    *,
    reference: References = None,
    limits: VerificationLimits | None = None,
    out: Path | str | None = None,
    keys: Sequence[bytes] = (),
    progress: Progress | None = None,
) -> VerificationResult:
    """Verify a recording, and write `report.json` and `report.html`.

    Args:
        path: a directory with the files of an assembled recording, one such file, or a capture, which is assembled first.
        reference: what the parties sent; by party (`A`, `B`) where they sent different files.
        limits: what to hold it to; without, it only has to be readable, whole, and its audio without holes.
        out: directory of the report; without, that of the files. Of a capture, and of sealed files, it is `ID.report` in the
            working directory: what is said of a sealed recording is not left beside it in plain text.
        keys: that open sealed files.
        progress: takes steps and how much of each is done.

    Returns:
        The verdict. What cannot be read is a verdict too: `unreadable`.
    """
    path = Path(path)
    tell: Progress = progress or (lambda step, done: None)
    limits = limits or VerificationLimits()
    try:
        if not path.exists():
            raise UnreadableRecording(f"{path} does not exist")
        if path.is_file() and is_capture(path):
            return _verify_capture(path, reference, limits, out, keys, tell)
        folder = path if path.is_dir() else path.parent
        found = _Verification(path, folder, reference, limits, keys, tell).run()
        return write_report(found, _target(path.stem if path.is_file() else path.name, out, folder, keys))
    except (RelayError, OSError, av.error.FFmpegError) as error:
        return _unreadable(path, str(error), limits, out)


def _verify_capture(
    path: Path, reference: References, limits: VerificationLimits, out: Path | str | None, keys: Sequence[bytes], tell: Progress
) -> VerificationResult:
    from relay.recording.assemble import assemble  # noqa: PLC0415 - only what is not assembled yet needs it

    with TemporaryDirectory(prefix="relay-verify-") as temporary:
        folder = Path(temporary) / path.stem
        assemble(path, folder, keys=tuple(keys), progress=tell)
        found = _Verification(folder, folder, reference, limits, keys, tell, capture=path).run()
        report = msgspec.structs.replace(found, recording=path.stem)
        return write_report(report, _target(path.stem, out, None, keys))


def _target(name: str, out: Path | str | None, folder: Path | None, keys: Sequence[bytes]) -> Path:
    if out is not None:
        return Path(out)
    sealed = folder is not None and any(is_sealed(product.path) for product in find_products(folder, keys))
    return Path(f"{name}.report") if folder is None or sealed else folder


def _unreadable(path: Path, why: str, limits: VerificationLimits, out: Path | str | None) -> VerificationResult:
    report = VerificationReport(
        generator=_generator(),
        created=_now(),
        verdict="unreadable",
        reasons=[f"{why}." if not why.endswith(".") else why],
        recording=path.stem,
        limits=_limits(limits),
    )
    beside = path.is_dir() and not any(is_sealed(file) for file in path.iterdir() if file.is_file())
    folder = Path(out) if out is not None else path if beside else None
    if folder is None:
        return VerificationResult("unreadable", tuple(report.reasons), report)
    try:
        return write_report(report, folder)
    except OSError:
        return VerificationResult("unreadable", tuple(report.reasons), report)


def _generator() -> str:
    try:
        return f"call-relay {version('call-relay')}"
    except PackageNotFoundError:
        return "call-relay"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _limits(limits: VerificationLimits) -> dict[str, float | None]:
    return {name: getattr(limits, name) for name in limits.__dataclass_fields__}


@dataclass(slots=True)
class _PartyTracks:
    """The first video and the first audio of a party, decoded."""

    product: Product
    shown: video.DecodedVideo | None = None
    heard: audio.DecodedAudio | None = None


class _Verification:
    def __init__(
        self,
        path: Path,
        folder: Path,
        reference: References,
        limits: VerificationLimits,
        keys: Sequence[bytes],
        tell: Progress,
        capture: Path | None = None,
    ) -> None:
        self._path, self._folder, self._limits, self._keys, self._tell = path, folder, limits, keys, tell
        self._sidecar = Sidecar.read(folder / SIDECAR, keys)
        self._products = find_products(path, keys)
        self._references = _by_party(reference, [product.party for product in self._products])
        self._sources: dict[Path, ReferenceSource] = {}
        self._capture = capture or capture_of(folder, self._sidecar.text("recording_id"))
        self._facts = CaptureFindings()
        self._notes = self._sidecar.notes
        self._offsets: dict[str, OffsetFigures] = {}

    def run(self) -> VerificationReport:
        if self._capture is not None:
            try:
                self._facts = read_facts(self._capture, self._keys, partial(self._tell, "packets"))
            except (RelayError, OSError) as error:  # The files can be judged without it.
                self._notes.append(f"The capture {self._capture.name} is not looked at: {error}.")
            self._notes += [note for note in self._facts.notes if note not in self._notes]
        events = self._sidecar.events or self._facts.events
        products: list[ProductReport] = []
        tracks: list[TrackReport] = []
        for product in self._products:
            self._verify_product(product, products, tracks, events_end=events[-1].time if events else 0.0)
        products += [describe(product, None) for product in others_of(self._path, self._products, self._keys)]
        measured = Measured(tracks, self._offsets, {party: path.name for party, path in self._references.items()})
        findings = examine(products, measured, self._limits)
        unavailable = availability.unavailable() if self._references else {}
        state, reasons = judge(findings)
        return VerificationReport(
            generator=_generator(),
            created=_now(),
            verdict=state,
            reasons=reasons,
            recording=self._sidecar.text("recording_id") or self._path.stem,
            started=self._sidecar.started or self._facts.started,
            duration=max((product.duration for product in products), default=0.0),
            end_reason=self._sidecar.text("end_reason") or self._facts.end_reason,
            references=dict(measured.references),
            limits=_limits(self._limits),
            unavailable=unavailable,
            findings=findings,
            products=products,
            tracks=tracks,
            av_offsets=self._offsets,
            events=events,
            notes=[*self._notes, *pace_notes(tracks), *availability.sentences(unavailable)],
        )

    # -- one file -----------------------------------------------------------------------------------------------------

    def _verify_product(
        self, product: Product, products: list[ProductReport], tracks: list[TrackReport], events_end: float
    ) -> None:
        decoded = _PartyTracks(product)
        source = self._source(product.party)
        events = self._sidecar.events or self._facts.events
        missing = pauses(events, events_end)
        end = 0.0
        expected_end: float | None = None
        with product.open() as container:
            whole = (container.duration or 0) / av.time_base or 1.0
            indexes = [(stream.type, stream.index) for stream in container.streams if stream.type in {"audio", "video"}]
        # Video first: it says whether there are beeps to look for.
        numbers = {"audio": 0, "video": 0}
        for kind, index in sorted(indexes, key=lambda one: (one[0] == "audio", one[1])):
            numbers[kind] += 1
            first = numbers[kind] == 1
            entries = self._sidecar.tracks(product.party, kind)
            entry = entries[numbers[kind] - 1] if numbers[kind] <= len(entries) else {}
            name = f"{product.party} {kind}"
            if kind == "video":
                shown = self._read_video(product, index, source is not None and first, whole, name)
                track, last = self._video_report(product, shown, entry, missing, numbers[kind])
                if first:
                    decoded.shown = shown
            else:
                wanted = first and (source is not None or bool(decoded.shown and decoded.shown.numbers))
                heard = self._read_audio(product, index, wanted, whole, name)
                track, last = self._audio_report(product, heard, entry, missing, numbers[kind])
                if first:
                    decoded.heard = heard
            tracks.append(track)
            end = max(end, last)
            start, duration = number_of(entry, "start"), number_of(entry, "duration")
            if duration is not None:
                expected_end = max(expected_end or 0.0, (start or 0.0) + duration)
        products.append(describe(product, end, expected_end))
        self._compare(decoded, source, tracks, missing)

    def _read_video(self, product: Product, index: int, thumbnails: bool, whole: float, name: str) -> video.DecodedVideo:
        with product.open() as container:
            stream = next(one for one in container.streams.video if one.index == index)
            return video.read_video(container, stream, thumbnails, share_of(self._tell, name, whole))

    def _read_audio(self, product: Product, index: int, samples: bool, whole: float, name: str) -> audio.DecodedAudio:
        with product.open() as container:
            stream = next(one for one in container.streams.audio if one.index == index)
            return audio.read_audio(container, stream, samples, share_of(self._tell, name, whole))

    def _packets(self, party: str, kind: str) -> list[PacketFigures]:
        return self._facts.packets.get((party, kind), [])

    def _video_report(
        self, product: Product, track: video.DecodedVideo, entry: Mapping[str, object], missing: list[Interval], number: int
    ) -> tuple[TrackReport, float]:
        packets = self._packets(product.party, "video") if number == 1 else []
        lost, expected = _loss(packets, entry)
        early = number_of(entry, "before_keyframe")
        left_out = [count for name in ("broken", "dependent") if (count := number_of(entry, name)) is not None]
        report = TrackReport(
            party=product.party,
            kind="video",
            number=number,
            file=product.name,
            packets=packets,
            lost=lost,
            expected=expected,
            incomplete_frames=int(sum(left_out)) if left_out else None,
            frames_before_keyframe=None if early is None else int(early),
            video=video.figures(track, missing, [pause for one in packets for pause in one.sender_pauses]),
        )
        return report, max((time for time, _, _ in track.packets), default=0.0)

    def _audio_report(
        self, product: Product, track: audio.DecodedAudio, entry: Mapping[str, object], missing: list[Interval], number: int
    ) -> tuple[TrackReport, float]:
        packets = self._packets(product.party, "audio") if number == 1 else []
        lost, expected = _loss(packets, entry)
        report = TrackReport(
            party=product.party,
            kind="audio",
            number=number,
            file=product.name,
            packets=packets,
            lost=lost,
            expected=expected,
            audio=audio.figures(track, intervals_of(entry, "inserted"), missing),
        )
        return report, max((start + duration for start, duration, _ in track.packets), default=0.0)

    # -- beside a reference -------------------------------------------------------------------------------------------

    def _source(self, party: str) -> ReferenceSource | None:
        path = self._references.get(party)
        if path is None:
            return None
        if path not in self._sources:
            try:
                self._sources[path] = read_source(path, self._tell)
            except (OSError, ValueError) as error:
                raise UnreadableRecording(f"the reference {path} cannot be read: {error}") from None
        return self._sources[path]

    def _compare(
        self, decoded: _PartyTracks, source: ReferenceSource | None, tracks: list[TrackReport], held: list[Interval]
    ) -> None:
        party = decoded.product.party
        shown, heard = decoded.shown, decoded.heard
        positions: list[Sample] = []
        if source is not None and source.shown is not None and shown is not None:
            match, positions = match_video(decoded.product, shown, source.shown, source.path, self._tell, held)
            _replace(tracks, party, "video", video_match=match)
        seconds: list[Sample] = []
        by_flash = False
        found: list[tuple[sync.Flash, sync.Beep | None]] = []
        if shown is not None and heard is not None and shown.numbers and len(heard.samples):
            numbered = counter.passes(shown.numbered)
            tones = source.tones if source is not None else {}
            rate = (source.rate if source is not None else None) or counter.rate_of(numbered)
            found = sync.pairs(sync.flashes(numbered, rate), sync.beeps(heard.samples, heard.start), tones)
            seconds = sync.offsets(found)
            by_flash = bool(seconds)
        if source is not None and source.heard is not None and heard is not None:
            comparison = match_audio(heard, source, positions, found)
            _replace(tracks, party, "audio", audio_match=comparison)
            if not by_flash and positions:
                seconds = offsets_of_lags(comparison.lags, positions, source.heard.duration)
        offsets = sync.summary(seconds, source.offset if source is not None and by_flash else 0.0, by_flash)
        if offsets is not None:
            self._offsets[party] = offsets


def _by_party(reference: References, parties: list[str]) -> dict[str, Path]:
    if reference is None:
        return {}
    if isinstance(reference, Mapping):
        unknown = sorted(set(reference) - set(parties))
        if unknown:
            raise UnreadableRecording(f"the recording has no party {', '.join(unknown)}, only {', '.join(parties)}")
        return {party: Path(path) for party, path in reference.items()}
    return {party: Path(reference) for party in parties}


def _loss(packets: list[PacketFigures], entry: Mapping[str, object]) -> tuple[int | None, int | None]:
    """Lost and expected packets: by the capture, else by the sidecar."""
    if packets:
        return sum(one.lost for one in packets), sum(one.expected for one in packets)
    lost = number_of(entry, "lost")
    received = number_of(entry, "packets")
    if lost is None:
        return None, None
    return int(lost), int(lost + (received or 0))


def _replace(tracks: list[TrackReport], party: str, kind: str, **changes: object) -> None:
    for at, track in enumerate(tracks):
        if (track.party, track.kind, track.number) == (party, kind, 1):
            tracks[at] = msgspec.structs.replace(track, **changes)

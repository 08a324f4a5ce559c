"""`python -m relay verify`: what a recording proves, held to limits; and `reference`, which makes a source to prove it with."""

import argparse
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from relay.cli.arguments import seconds
from relay.cli.command import EXIT_INTERRUPTED, Command
from relay.cli.progress import bars
from relay.cli.recordings import RECORDING_ID, directory_of, newest_recording, recording_settings
from relay.errors import ConfigurationError
from relay.recording.limits import EXAMPLES, LimitError, VerificationLimits, parse_limit
from relay.sealed import SealKeys
from relay.settings.recording import RecordingSettings

if TYPE_CHECKING:
    from relay.recording.verify import VerificationResult

_MARKS: Final = {"passed": "✓", "failed": "✗", "measured": "·", "not_measured": "?", "not_applicable": "–"}
_WORDS: Final = {"passed": "Passed.", "failed": "Failed:", "unreadable": "Cannot be judged:"}
_MISSING: Final = "verification needs more packages ({name} is missing): pip install 'call-relay[verify]'"

_EPILOG: Final = """\
exit status: 0, the recording passed; 1, it failed; 2, it cannot be judged: nothing to read, wrong arguments, or a limit
for which there is nothing to measure.

Without limits, a recording has to be readable, whole, and its audio without holes; with a reference, it has to show it.
"""
_HELP: Final = {
    "max_freeze": "the longest freeze of a video",
    "max_loss": "the share of packets that is lost after repair",
    "max_av_offset": "between audio and video, in 95 %% of the seconds",
    "max_silence": "the longest silence (below -60 dBFS) that a party sent",
    "min_psnr": "of the video's luma, against the reference",
    "min_ssim": "of the video's luma, against the reference",
    "min_stoi": "intelligibility of speech, against the reference",
    "max_drift": "between a media clock and its sender's wall clock",
    "max_missing_frames": "frames that were sent and are not in the video",
}


def _add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "path",
        metavar="PATH_OR_ID",
        nargs="?",
        help="a directory of an assembled recording, one file of it, a capture (.pcapng), or the id of a recording in "
        "RELAY_RECORDING_DIRECTORY (default: the newest one there)",
    )
    parser.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="[PARTY=]FILE",
        help="what the parties sent; A=… and B=… where they sent different files",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIRECTORY",
        help="for report.json and report.html (default: beside the files; of a capture and of sealed files ID.report here)",
    )
    parser.add_argument("--json", action="store_true", help="print report.json instead of lines")
    parser.add_argument("--quiet", action="store_true", help="print no progress")
    limits = parser.add_argument_group("limits; none is set unless it is given")
    for name, purpose in _HELP.items():
        limits.add_argument(f"--{name.replace('_', '-')}", metavar=EXAMPLES[name], help=purpose)


def _verify(given: argparse.Namespace) -> int:
    limits, references = _limits_of(given), _references_of(given.reference)
    if limits.need_reference and not references:
        raise ConfigurationError(f"{', '.join(limits.need_reference)} means nothing without --reference FILE")
    settings = recording_settings()
    path = _find(given.path or newest_recording(settings), settings)
    keys = tuple(SealKeys.parse(settings.recording_key))
    try:
        from relay.recording.verify import verify  # noqa: PLC0415 - its packages are an extra
    except ModuleNotFoundError as error:
        raise ConfigurationError(_MISSING.format(name=error.name)) from None
    try:
        with ExitStack() as stack:
            progress = None if given.quiet else stack.enter_context(bars(sys.stderr))
            verdict = verify(path, reference=references, limits=limits, out=given.out, keys=keys, progress=progress)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    _print(verdict, given.json)
    return verdict.exit_status


def _limits_of(given: argparse.Namespace) -> VerificationLimits:
    texts = {name: getattr(given, name) for name in _HELP}
    try:
        return VerificationLimits(**{name: parse_limit(name, text) for name, text in texts.items() if text is not None})
    except LimitError as error:
        raise ConfigurationError(str(error)) from None


def _references_of(given: list[str]) -> dict[str, Path] | Path | None:
    """One for all parties, or one for each."""
    if not given:
        return None
    by_party: dict[str, Path] = {}
    for text in given:
        match = re.fullmatch(r"([A-Za-z]\w*)=(.+)", text)
        if match is None and len(given) > 1:
            raise ConfigurationError(f"--reference {text}: of several, each needs its party, as in A={text}")
        if match is not None:
            by_party[match[1]] = Path(match[2])
    files = [*by_party.values()] or [Path(given[0])]
    for file in files:
        if not file.is_file():
            raise ConfigurationError(f"--reference: there is no file {file}")
    return by_party or files[0]


def _find(text: str, settings: RecordingSettings) -> Path:
    """A path, or what there is of a recording with that id: its files, else its capture."""
    path = Path(text)
    if path.exists() or not RECORDING_ID.fullmatch(text):
        return path
    directory = directory_of(settings, text)
    for found in (directory / text, directory / f"{text}.pcapng"):
        if found.exists():
            return found
    raise ConfigurationError(f"{directory} has no recording {text}")


def _print(verdict: "VerificationResult", as_json: bool) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(verdict.report), indent=2).decode())
        return
    for finding in verdict.report.findings:
        if finding.state in {"passed", "failed", "measured"} or finding.limit is not None:
            print(f"{_MARKS[finding.state]} {finding.sentence}")
    for note in verdict.report.notes:
        print(f"  {note}")
    print(_WORDS[verdict.verdict])
    for reason in verdict.reasons:
        print(f"  {reason}")
    if verdict.files:
        print(f"Report: {verdict.files[-1]}")


VERIFY: Final = Command(_verify, _add_verify_arguments)


def _add_reference_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", type=Path, help="file to write: a .webm or .mkv")
    parser.add_argument("--duration", metavar="TIME", type=seconds, default=10.0, help="1s to 30m (default: 10s)")
    parser.add_argument("--size", metavar="WIDTHxHEIGHT", type=_size, default=(640, 360), help="of the video (default: 640x360)")
    parser.add_argument("--rate", metavar="FPS", type=int, default=30, help="frames per second (default: 30)")
    parser.add_argument("--bitrate", metavar="BIT/S", type=int, default=800_000, help="of the video (default: 800000)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="another background and order of tones (default: 0)")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; an example is 640x360")
    return int(match[1]), int(match[2])


def _reference(given: argparse.Namespace) -> int:
    try:
        from relay.recording.verify import ReferencePlan, write_reference  # noqa: PLC0415 - its packages are an extra
    except ModuleNotFoundError as error:
        raise ConfigurationError(_MISSING.format(name=error.name)) from None
    width, height = given.size
    try:
        with bars(sys.stderr) as progress:
            plan = ReferencePlan(given.duration, width, height, given.rate, given.seed, given.bitrate)
            write_reference(given.out, plan, progress)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the reference cannot be written: {error}") from None
    except KeyboardInterrupt:
        given.out.unlink(missing_ok=True)
        return EXIT_INTERRUPTED
    print(f"Wrote {given.out}: {plan.duration:g} s of {width}x{height} with a counter, and a flash and a tone each second.")
    return 0


REFERENCE: Final = Command(_reference, _add_reference_arguments)

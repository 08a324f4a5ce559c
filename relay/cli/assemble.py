"""`python -m relay assemble`: make the files of a recording from its capture."""

import argparse
import sys
from pathlib import Path
from typing import Final

from relay.cli.command import EXIT_CONFIGURATION, EXIT_INTERRUPTED, Command
from relay.cli.progress import bars
from relay.cli.recordings import RECORDING_ID, directory_of, recording_settings
from relay.errors import ConfigurationError
from relay.recording.assemble import AssemblyResult, assemble
from relay.recording.jobs.folder import RecordingFolder
from relay.recording.jobs.placing import assemble_in_place
from relay.recording.records import CaptureError
from relay.sealed import SealKeys
from relay.settings.recording import RecordingSettings

_SAID: Final = {name: name for name in ("lost", "repaired", "broken", "dependent")} | {"before_keyframe": "before a key frame"}
"""Counts of a track in the sidecar, and how they are printed."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "capture", metavar="ID_OR_PATH", help="a capture (.pcapng), or the id of a recording in RELAY_RECORDING_DIRECTORY"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIRECTORY", help="for the files (default: beside the capture, named by its id)"
    )
    parser.add_argument("--mp4", action="store_true", help="also make call.mp4, both parties side by side; this encodes anew")
    parser.add_argument(
        "--keep-broken", action="store_true", help="also write frames that refer to a missing one; players show artefacts"
    )


def _run(given: argparse.Namespace) -> int:
    settings = recording_settings()
    path, keys = _capture(given.capture, settings), SealKeys.parse(settings.recording_key)
    try:
        with bars(sys.stderr) as progress:
            made = {"keep_broken": given.keep_broken, "mp4": given.mp4, "progress": progress}
            if given.out is None and _is_recording(path, settings):
                folder = RecordingFolder(path.parent, keys)
                with folder.locked(path.stem):
                    result = assemble_in_place(folder, path.stem, **made)
            else:
                result = assemble(path, given.out or path.with_suffix(""), keys=keys, **made)
    except BlockingIOError:
        print(f"{path}: another process works on this recording", file=sys.stderr)
        return EXIT_CONFIGURATION
    except (CaptureError, OSError) as error:
        print(f"{path}: {error}" if isinstance(error, CaptureError) else error, file=sys.stderr)
        return EXIT_CONFIGURATION
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    for line in _described(result):
        print(line)
    return 0


def _is_recording(path: Path, settings: RecordingSettings) -> bool:
    """Whether it is one of the directory that a relay writes to, which may be at work on it."""
    directory = settings.recordings
    return directory is not None and path.parent.resolve() == directory.resolve() and bool(RECORDING_ID.fullmatch(path.stem))


def _capture(text: str, settings: RecordingSettings) -> Path:
    path = Path(text)
    if path.exists() or not RECORDING_ID.fullmatch(text):
        if path.suffix != ".pcapng":
            raise ConfigurationError(f"{text} is no capture: those are called ID.pcapng")
        return path
    return directory_of(settings, text) / f"{text}.pcapng"


def _described(result: AssemblyResult) -> list[str]:
    lines = [f"{result.folder / name}: {size} bytes" for name, size in result.files.items()]
    for track in result.sidecar["tracks"]:
        missing = ", ".join(f"{track[name]} {said}" for name, said in _SAID.items() if track.get(name))
        lines.append(
            f"{track['id']}: {track['frames']} {'frames' if track['kind'] == 'video' else 'packets'} in {track['duration']:.2f} s"
            + (f" ({missing})" if missing else "")
        )
    return lines + [f"warning: {one}" for one in result.warnings]


ASSEMBLE: Final = Command(_run, _add_arguments)

"""A capture becomes files that play: two passes over its packets, in constant memory, without decoding anything."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.recording.assembly.survey import survey
from relay.recording.records import CaptureError, read_capture

StepProgress = Callable[[str, float], None]
"""Called with the step (`reading`, `writing`, `transcoding`) and how much of it is done, from 0 to 1."""

PRODUCTS: Final = frozenset(
    {"A.webm", "A.mkv", "B.webm", "B.mkv", "call.mkv", "call.mp4", "sidecar.json", "report.json", "report.html"}
)
"""The files of an assembled recording. A folder that has others is not replaced."""


@dataclass(frozen=True, slots=True)
class AssemblyResult:
    """What was made."""

    folder: Path
    files: Mapping[str, int]
    """Name → bytes."""
    sidecar: Mapping[str, Any]
    """What is in `sidecar.json`."""

    @property
    def warnings(self) -> list[str]:
        return list(self.sidecar["warnings"])

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.sidecar["duration"])


def assemble(
    path: Path,
    out: Path,
    *,
    keep_broken: bool = False,
    mp4: bool = False,
    keys: Iterable[bytes] = (),
    progress: StepProgress | None = None,
) -> AssemblyResult:
    """Make the files of a recording from its capture.

    `out` is written as `out` + `.part` and renamed when everything is on the disk; it replaces an earlier assembly.

    Args:
        path: of the capture, sealed or not.
        out: folder to be made.
        keep_broken: also write frames that refer to one that is missing.
        mp4: also make `call.mp4`, both parties side by side, which takes as long as encoding does.
        keys: of 32 bytes each, that may open a sealed capture.
        progress: see `StepProgress`.

    Raises:
        CaptureError: the file is no recording of a relay, none of the keys opens it, or `out` is something else.
        OSError: a file cannot be read or written.
    """
    path, out, keys = Path(path), Path(out), tuple(keys)
    step = progress or (lambda _name, _done: None)
    if out.exists() and (not out.is_dir() or not {one.name for one in out.iterdir()} <= PRODUCTS):
        raise CaptureError(f"{out} exists, and is no assembled recording: name another folder, or move it away")
    size = max(1, path.stat().st_size)
    facts = survey(read_capture(path, keys, advance=lambda done: step("reading", min(1.0, done / size))))
    step("reading", 1.0)
    # PyAV takes 60 MB and a part of a second, which a server that only looks after recordings does without.
    from relay.recording.assembly.products import write_products  # noqa: PLC0415

    with _new_folder(out) as folder:
        described = write_products(facts, path, folder, keys, step, keep_broken=keep_broken, mp4=mp4)
    files = {one.name: one.stat().st_size for one in sorted(out.iterdir()) if one.name in PRODUCTS}
    return AssemblyResult(out, files, described)


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` when all is on the disk, or is removed."""
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    try:
        yield part
        for file in [*part.iterdir(), part]:
            if file.is_file():
                file.chmod(0o600)
            _sync(file)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    old = out.with_name(f"{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    part.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    _sync(out.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

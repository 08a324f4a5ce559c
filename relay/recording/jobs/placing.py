"""Products in the directory of recordings: sealed where there is a key, on the disk, and there all at once."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from relay.recording.assemble import AssemblyResult, StepProgress, assemble
from relay.recording.jobs.folder import RecordingFolder, remove_tree
from relay.sealed import SealedFile, seal_file


def assemble_in_place(
    folder: RecordingFolder,
    recording_id: str,
    *,
    keep_broken: bool = False,
    mp4: bool = False,
    progress: StepProgress,
    examine: Callable[[Path], None] | None = None,
) -> AssemblyResult:
    """Make the files of a recording from its capture. Take the lock first. They replace those that there are.

    Args:
        examine: called with the directory of the new files, before these are sealed. It may add to them.

    Raises:
        CaptureError, OSError: as `assemble`; earlier files stay.
    """
    part, products = folder.part(recording_id), folder.products(recording_id)
    folder.remove_parts(recording_id)
    made = assemble(
        folder.capture(recording_id), part, keep_broken=keep_broken, mp4=mp4, keys=tuple(folder.keys), progress=progress
    )
    if examine is not None:
        examine(part)
    finish(folder, part, progress)
    # Nothing is there for the moment between these two. A download that has begun goes on with the old file.
    remove_tree(products)
    part.rename(products)
    sync(folder.directory)
    return dataclasses.replace(made, folder=products)


def finish(folder: RecordingFolder, part: Path, progress: StepProgress) -> None:
    """Seal what was made, if there is a key, and wait until it is on the disk."""
    for file in sorted(part.iterdir()):
        if file.is_dir():
            shutil.rmtree(file)
        elif folder.keys.first is None:
            file.chmod(0o600)
            sync(file)
        else:
            progress("sealing", 0.0)
            sealed = file.with_name(f"{file.name}.sealed")
            seal_file(file, sealed, folder.keys.first)
            SealedFile(sealed, folder.keys).close()
            sealed.replace(file)
    sync(part)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The directory of recordings: which file is where, how large it is, and how it is read whether it is sealed or not.

`ID.pcapng` is the capture and `ID/` has what was made of it. `ID.part/` and `ID.verify/` have what is being made. Paths are made
of ids and names that were checked, and of nothing else.
"""

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from relay.sealed import SealCutOff, SealedFile, SealKeys, is_sealed, open_sealed

CAPTURE_SUFFIX: Final = ".pcapng"
PART_SUFFIX: Final = ".part"
REPORT_SUFFIX: Final = ".verify"
_PARTS: Final = (PART_SUFFIX, f"{PART_SUFFIX}{PART_SUFFIX}", REPORT_SUFFIX)
"""Of what is being made: the second is the assembler's own, from which it makes the first."""

LOCK_ATTEMPTS: Final = 3
LOCK_PAUSE: Final = 0.02
"""Seconds between attempts at a lock: another server that only asks whether it is taken has it for a moment."""

_UNLOCKED: Final = contextlib.nullcontext()

_ID: Final = re.compile(r"[0-9a-f]{32}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Readable(Protocol):
    """A file that is read from any position."""

    @property
    def size(self) -> int:
        """Bytes, of the plain text."""
        ...

    def read(self, start: int, stop: int) -> bytes: ...

    def close(self) -> None: ...


class PlainFile:
    """A file that is not sealed.

    Raises:
        OSError: it cannot be opened, or is a symbolic link.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.size: Final = os.fstat(self._descriptor).st_size

    def read(self, start: int, stop: int) -> bytes:
        return os.pread(self._descriptor, max(0, stop - start), start)

    def close(self) -> None:
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class RecordingFolder:
    """The directory, and the keys that open its files."""

    directory: Path
    keys: SealKeys

    def capture(self, recording_id: str) -> Path:
        """
        Raises:
            ValueError: there can be no such recording; here and below.
        """
        return self._of(recording_id, CAPTURE_SUFFIX)

    def products(self, recording_id: str) -> Path:
        return self._of(recording_id, "")

    def part(self, recording_id: str) -> Path:
        return self._of(recording_id, PART_SUFFIX)

    def report(self, recording_id: str) -> Path:
        return self._of(recording_id, REPORT_SUFFIX)

    def path(self, recording_id: str, name: str) -> Path:
        """The file of that name. Whether the recording has such a file, its row says.

        Raises:
            ValueError: it can have no such file.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"no file of a recording: {name[:60]!r}")
        capture = self.capture(recording_id)
        return capture if name == capture.name else self.products(recording_id) / name

    def has_capture(self, recording_id: str) -> bool:
        return self.capture(recording_id).is_file()

    def has_anything(self, recording_id: str) -> bool:
        return any(self._of(recording_id, suffix).exists() for suffix in (CAPTURE_SUFFIX, "", *_PARTS))

    def open(self, recording_id: str, name: str) -> Readable:
        """A finished file, to be read from any position.

        Raises:
            OSError: it is not there, or cannot be read.
            SealError: it is sealed, and cannot be opened.
        """
        path = self.path(recording_id, name)
        if not path.is_symlink() and is_sealed(path):
            return SealedFile(path, self.keys)
        return PlainFile(path)

    def version(self, recording_id: str, name: str) -> str:
        """Another one for each content that the file has had.

        Raises:
            OSError: it is not there.
        """
        status = self.path(recording_id, name).stat()
        return f"{status.st_mtime_ns:x}-{status.st_ino:x}"

    def is_sealed(self, recording_id: str, name: str) -> bool:
        """
        Raises:
            OSError: it is not there.
        """
        return is_sealed(self.path(recording_id, name))

    def chunks_of_capture(self, recording_id: str) -> Iterator[bytes]:
        """The capture, unsealed, from its beginning. One that ended with its process ends here without an error.

        Raises:
            OSError, SealError: as of `open`.
        """
        path = self.capture(recording_id)
        if is_sealed(path):
            with contextlib.suppress(SealCutOff):
                yield from open_sealed(path, self.keys)
            return
        with path.open("rb") as file:
            while chunk := file.read(256 * 1024):
                yield chunk

    def sizes(self, recording_id: str) -> Mapping[str, int]:
        """The files that there are, and their bytes of plain text; those of a sealed capture as they lie on the disk."""
        found = {}
        capture, products = self.capture(recording_id), self.products(recording_id)
        if capture.is_file():
            found[capture.name] = capture.stat().st_size
        for file in sorted(products.iterdir()) if products.is_dir() else ():
            if _NAME.fullmatch(file.name) and file.is_file() and not file.is_symlink():
                opened = self.open(recording_id, file.name)
                found[file.name] = opened.size
                opened.close()
        return found

    def remove(self, recording_id: str) -> None:
        """Remove all files of a recording; what is made of the capture first, so that what is left can be begun anew.

        Raises:
            OSError: one cannot be removed.
        """
        self.remove_parts(recording_id)
        remove_tree(self.products(recording_id))
        self.capture(recording_id).unlink(missing_ok=True)

    def remove_parts(self, recording_id: str) -> None:
        """Remove what is being made. Take the lock first.

        Raises:
            OSError: something cannot be removed.
        """
        for suffix in _PARTS:
            remove_tree(self._of(recording_id, suffix))

    def remove_leftovers(self) -> None:
        """Remove what jobs left that were ended in the middle."""
        found = {path.name.partition(".")[0] for suffix in _PARTS for path in self.directory.glob(f"*{suffix}")}
        for recording_id in sorted(found):
            if not _ID.fullmatch(recording_id):
                continue
            # Another server that has this directory too may begin a job at this moment: its lock tells.
            with contextlib.suppress(OSError), self.locked(recording_id) if self.has_capture(recording_id) else _UNLOCKED:
                self.remove_parts(recording_id)

    def old_captures(self, before: float) -> Sequence[str]:
        """The recordings whose captures were last written to before a time, in seconds since 1970."""
        found = []
        for path in self.directory.glob(f"*{CAPTURE_SUFFIX}"):
            with contextlib.suppress(OSError):
                if _ID.fullmatch(path.stem) and path.stat().st_mtime < before:
                    found.append(path.stem)
        return sorted(found)

    def is_locked(self, recording_id: str) -> bool:
        """Whether a job works on the recording, or it is still being captured: on this machine, or on another one."""
        try:
            os.close(self.lock(recording_id, attempts=1))
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    @contextlib.contextmanager
    def locked(self, recording_id: str) -> Iterator[None]:
        """While a job works on a recording.

        Raises:
            BlockingIOError, OSError: as of `lock`.
        """
        descriptor = self.lock(recording_id)
        try:
            yield
        finally:
            os.close(descriptor)

    def lock(self, recording_id: str, attempts: int = LOCK_ATTEMPTS) -> int:
        """Take the lock of a recording: a descriptor that has it until it is closed. The kernel closes it with the last process
        that has it, however that ends.

        Raises:
            BlockingIOError: another job has it, or the recording is still being captured.
            OSError: there is no capture.
        """
        descriptor = os.open(self.capture(recording_id), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            for attempt in range(attempts, 0, -1):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return descriptor
                except BlockingIOError:
                    if attempt == 1:
                        raise
                time.sleep(LOCK_PAUSE)
        except BaseException:
            os.close(descriptor)
            raise
        raise AssertionError("the last attempt returns or raises")

    def _of(self, recording_id: str, suffix: str) -> Path:
        if not _ID.fullmatch(recording_id):
            raise ValueError(f"no recording: {recording_id[:60]!r}")
        return self.directory / f"{recording_id}{suffix}"


def remove_tree(path: Path) -> None:
    """Remove a directory with all that is in it, if it is there.

    Raises:
        OSError: something in it cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)

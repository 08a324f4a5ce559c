"""Disks that are full, and disks that hang."""

import contextlib
import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.media.capture.writer import CaptureFile


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size, in memory. It takes root, as the network namespaces of other tests do."""
    if os.geteuid() != 0:
        pytest.fail("a file system can only be mounted by root")
    point = folder / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


class HangingDisk:
    """What is written to a file waits until it is let go: the file is a pipe from here on."""

    def __init__(self, file: CaptureFile) -> None:
        self._out, end = os.pipe()
        self._file = os.dup(file.descriptor)
        """The file itself."""
        os.dup2(end, file.descriptor, inheritable=False)
        os.close(end)
        self._end = file.descriptor

    @property
    def hangs(self) -> bool:
        """As much was written as the pipe takes."""
        return not select.select([], [self._end], [], 0)[1]

    def drain(self) -> bool:
        """Write to the file what waits, so that more comes; True."""
        os.set_blocking(self._out, False)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._out, 1 << 20):
                os.write(self._file, data)
        return True

    def close(self) -> None:
        os.close(self._out)
        os.close(self._file)

"""The file by which a server that starts knows which processes before it have ended."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from relay.locked_file import open_locked

logger = logging.getLogger(__name__)

KEPT: Final = 20
"""Incarnations in the file, the latest ones. It has more than one only if servers died one after the other."""

MAX_SIZE: Final = 4096
"""Bytes that are read of it."""


class IncarnationFile:
    """The incarnations of this server since the last one that stopped in order, in a file that its process keeps locked.

    The kernel releases the lock when the process ends, however it ends, and not while it is only stopped or slow. So the process
    that has the lock knows that the processes in the file have ended, at once and without a clock. Heartbeats would need as long
    as a living server may be without its database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def open(self) -> Sequence[int]:
        """Take the lock; the incarnations in the file, which have ended. None if another process has the lock, or if the file
        cannot be used."""
        try:
            self._file = open_locked(self._path)
        except OSError as error:
            self._failed(error)
            return ()
        if self._file is None:
            logger.warning(
                "%s is that of a server that runs: the calls of the server before this one are closed only if they show no sign "
                "of life",
                self._path,
            )
            return ()
        return [int(one) for one in os.pread(self._file, MAX_SIZE, 0).split() if one.isdigit()][-KEPT:]

    def write(self, incarnations: Sequence[int]) -> None:
        """Note which incarnations the next server is to know of, this one included. Before the first row has it."""
        if self._file is None:
            return
        line = " ".join(map(str, incarnations[-KEPT:])).encode() + b"\n"
        try:
            os.ftruncate(self._file, 0)
            os.write(self._file, line)  # which appends
        except OSError as error:
            self._failed(error)

    def close(self, *, remove: bool) -> None:
        """Release the lock. The file stays unless nothing is left open that it says whose it is."""
        if self._file is not None:
            if remove:
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def _failed(self, error: OSError) -> None:
        logger.warning(
            "%s cannot be used: %s. If this process dies, its calls are closed when they have shown no sign of life for a while, "
            "instead of at the next start",
            self._path,
            error.strerror or error,
        )

"""Files that belong to one process at a time."""

import contextlib
import fcntl
import os
from pathlib import Path


def open_locked(path: Path) -> int | None:
    """Open a file for reading and adding to it, made if need be, and lock it.

    Returns:
        Its descriptor, which holds the lock until it is closed or the process ends; None: another process has it.

    Raises:
        OSError: it cannot be opened, or its file system has no locks.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        except OSError:
            os.close(file)
            raise
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file).st_ino:
                return file
        os.close(file)  # its owner has removed it, or made it anew, between the two

"""The files of captures, written by a thread: what a disk takes its time for never holds up the packets of calls.

A second thread waits for `fdatasync`, so that a power failure loses `SYNC_INTERVAL` seconds, and a slow disk does not hold up
`write` either. Both begin with the first file.
"""

import contextlib
import ctypes
import errno
import fcntl
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.media.capture.block import Backlog, ClosedBlock, together, whole_blocks
from relay.media.capture.directory import make_directory
from relay.sealed import Sealer

logger = logging.getLogger(__name__)

DISK_FULL: Final = "disk_full"
WRITE_FAILED: Final = "write_failed"

SYNC_INTERVAL: Final = 5.0
"""Seconds between two `fdatasync` of each file."""

SPACE_INTERVAL: Final = 1.0
"""Seconds between looks at the free disk space."""

FILE_MODE: Final = 0o600

_PARTS: Final = 1024
"""Pieces that one call writes: IOV_MAX of Linux."""

_TOGETHER: Final = 64
"""Packets for which blocks are written by one call, some 50 µs: each takes Python's lock anew, and their memory is freed while it
is held. After it, the thread that forwards has the core, if it wants it."""

_M_TRIM_THRESHOLD: Final = -1
_KEPT_FREE: Final = 16 << 20
"""Bytes of freed memory that stay with the process: more than waits for the disk at 20,000 packets/s. By glibc's default all but
128 KiB go back to the kernel, and come again page by page: half a microsecond for each packet, in the thread that forwards."""

_NOT_SYNCED: Final = frozenset({errno.EINVAL, errno.EROFS, errno.ENOTSUP})
"""What fdatasync says of what cannot be synced at all (fsync(2)): some network file systems."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class CaptureFile:
    """One file, of which only the writer's threads know whether it is open.

    Args:
        key: that it is sealed with; None: it is not.
        min_free: bytes of free disk space below which it is in trouble.
        on_trouble: is told once why nothing more can be written (`disk_full`, `write_failed`), and is to close the file.
        on_closed: is told when all is written. Both are called in the writer's thread.

    Attributes:
        packets, size: media packets and bytes in the file.
        lost: packets that could not be written.
    """

    def __init__(
        self,
        path: Path,
        key: bytes | None,
        min_free: int,
        on_trouble: Callable[[str], None],
        on_closed: Callable[[], None],
    ) -> None:
        self.path = path
        self.min_free = min_free
        self.packets = self.size = self.lost = 0
        self.descriptor = -1
        self._sealer = None if key is None else Sealer(key)
        self._on_trouble = on_trouble
        self.on_closed = on_closed
        self.trouble: str | None = None
        """Why nothing more can be written."""
        self._failed = False

    def open(self) -> str | None:
        """Create it; why that is not possible, if it is not."""
        try:
            make_directory(str(self.path.parent))
            if self._free() < self.min_free:
                return DISK_FULL
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self.descriptor = os.open(self.path, flags, FILE_MODE)
            self._lock(fcntl.LOCK_SH | fcntl.LOCK_NB)
            if self._sealer is not None:
                self._write(self._sealer.header)
        except OSError as error:
            logger.warning("%s cannot be written: %s", self.path, error)
            if self.descriptor >= 0:
                os.close(self.descriptor)
                self.unlink()
            return DISK_FULL if error.errno in _FULL else WRITE_FAILED
        return None

    def portions(self, blocks: Iterable[ClosedBlock]) -> list[ClosedBlock]:
        """What is written at a time: encrypting more at once would copy more while Python's lock is held."""
        return list(blocks if self._sealer is not None else together(blocks, _TOGETHER))

    def unlock(self) -> None:
        """Nothing more is written: others may work on it."""
        self._lock(fcntl.LOCK_UN)

    def _lock(self, how: int) -> None:
        # The kernel ends it with this process, however that ends. By it, another server that has this directory too sees that the
        # file is not lost. Some network file systems have none.
        with contextlib.suppress(OSError):
            fcntl.flock(self.descriptor, how)

    def unlink(self) -> None:
        """Remove it from its directory."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def write(self, block: ClosedBlock, *, last: bool) -> None:
        """Append a block, or count its packets as lost."""
        # The number of a sealed chunk is its nonce, and a nonce is used once: nothing can follow the one that failed.
        if self._failed and (not last or self._sealer is not None):
            self.lost += block.packets
            return
        before = self.size
        try:
            if self._sealer is None:
                self._write_parts(block)
            else:
                self._write(self._sealer.seal(block.octets, last=last))
            self.packets += block.packets
        except OSError as error:
            # A full disk says so after a short write, in the middle of a block.
            whole, packets = (0, 0) if self._sealer is not None else whole_blocks(block, self.size - before)
            self.size = before + whole
            self.packets += packets
            self.lost += block.packets - packets
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, self.size)
            if not self._failed:
                logger.warning("%s cannot be written any further: %s", self.path, error)
            self._failed = True
            self.fail(DISK_FULL if error.errno in _FULL else WRITE_FAILED)

    def _write(self, data: bytes | memoryview) -> None:
        while data:
            written = os.write(self.descriptor, data)
            self.size += written
            data = data[written:]

    def _write_parts(self, block: ClosedBlock) -> None:
        # As they are: to join them first would hold Python's lock while they are copied.
        written = os.writev(self.descriptor, block.parts[:_PARTS])
        self.size += written
        if written < block.length:
            self._write(memoryview(block.octets)[written:])

    def look(self) -> None:
        """Look at the free disk space."""
        try:
            if self._free() < self.min_free:
                logger.warning("the recording %s ends: less than %d MiB of disk space is free", self.path, self.min_free >> 20)
                self.fail(DISK_FULL)
        except Exception as error:
            logger.warning("the disk space for %s is unknown: %s", self.path, error)
            self.fail(WRITE_FAILED)

    def _free(self) -> int:
        space = os.statvfs(self.path.parent)
        return space.f_bavail * space.f_frsize

    def fail(self, reason: str) -> None:
        """Nothing more is to be written; said once."""
        if self.trouble is None:
            self.trouble = reason
            self._on_trouble(reason)


@dataclass(frozen=True, slots=True)
class Open:
    """Create a file.

    Args:
        on_opened: takes None, or why it cannot be created.
    """

    file: CaptureFile
    on_opened: Callable[[str | None], None]


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove a file that was created, and to which nothing was appended."""

    file: CaptureFile


@dataclass(frozen=True, slots=True)
class Append:
    """Write blocks, in order, and then, if they are the last ones, close the file."""

    file: CaptureFile
    blocks: tuple[ClosedBlock, ...]
    last: bool = False


Job = Open | Append | Discard


class CaptureWriter:
    """Both threads of a process.

    Args:
        give_way: lets other threads of this core run first, if any wants to.

    Attributes:
        backlog: what waits for them.
    """

    def __init__(self, give_way: Callable[[], object] = os.sched_yield) -> None:
        self.backlog = Backlog()
        self._give_way = give_way
        self._jobs: queue.SimpleQueue[tuple[Job, ...] | None] = queue.SimpleQueue()
        self._files: dict[CaptureFile, None] = {}
        """Those that are open. Only the writer's thread adds and removes."""
        self._closed: queue.SimpleQueue[CaptureFile | None] = queue.SimpleQueue()
        """Those that are written, and are to be synced and closed."""
        self._threads: list[threading.Thread] = []

    def put(self, jobs: Iterable[Job]) -> None:
        """Have jobs done, in order. Returns at once."""
        if not self._threads:
            self._threads = [
                # Daemons: a disk that hangs must not keep the process from ending.
                threading.Thread(target=target, name=f"capture-{name}", daemon=True)
                for name, target in (("writer", self._write), ("sync", self._sync))
            ]
            for one in self._threads:
                one.start()
        self._jobs.put(tuple(jobs))

    def close(self) -> None:
        """End the threads once all that was put is done. Returns at once."""
        if self._threads:
            self._jobs.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the end of the threads, at most that many seconds each."""
        for one in self._threads:
            one.join(timeout)

    # -- in the writer's thread ---------------------------------------------------------------------------------------

    def _write(self) -> None:
        _step_aside()
        looked_at = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                jobs = self._jobs.get(timeout=SPACE_INTERVAL)
                if jobs is None:
                    break
                for job in jobs:
                    self._attempt(job)
            if time.monotonic() - looked_at >= SPACE_INTERVAL:
                looked_at = time.monotonic()
                for file in [one for one in self._files if one.trouble is None]:
                    self._look_at(file)
        self._closed.put(None)

    def _look_at(self, file: CaptureFile) -> None:
        try:
            file.look()
        except Exception:
            logger.exception("%s cannot be looked at", file.path)
            file.fail(WRITE_FAILED)

    def _attempt(self, job: Job) -> None:
        """Do a job. This thread has the files of all calls: a mistake of ours with one must not end it."""
        try:
            self._do(job)
        except Exception:
            logger.exception("%s cannot be written", job.file.path)
            if isinstance(job, Open):
                self._files.pop(job.file, None)
                job.on_opened(WRITE_FAILED)
            job.file.fail(WRITE_FAILED)

    def _do(self, job: Job) -> None:
        file = job.file
        match job:
            case Open():
                refused = file.open()
                if refused is None:
                    self._files[file] = None
                    _sync_directory(file.path.parent)
                job.on_opened(refused)
            case Discard():
                self._files.pop(file, None)
                file.unlink()
                self._closed.put(file)
            case Append():
                self._append(job)

    def _append(self, job: Append) -> None:
        file = job.file
        try:
            portions = file.portions(job.blocks)
            for number, block in enumerate(portions, 1):
                file.write(block, last=job.last and number == len(portions))
                block.parts.clear()
                if self._jobs.empty():
                    # The scheduler would let a packet wait until this thread has nothing more to do: 0.3 ms with 20 recordings.
                    # While more waits to be written, nothing is given away: on a busy core, recordings must not fall behind.
                    self._give_way()
        except Exception:
            # A mistake of ours must not take the other recordings with it.
            logger.exception("%s cannot be written", file.path)
            file.fail(WRITE_FAILED)
        finally:
            self.backlog.written += sum(block.length for block in job.blocks)
        if job.last:
            self._files.pop(file, None)
            try:
                file.unlock()
            finally:
                self._closed.put(file)
                file.on_closed()

    # -- in the thread that syncs -------------------------------------------------------------------------------------

    def _sync(self) -> None:
        due = time.monotonic() + SYNC_INTERVAL
        while True:
            try:
                file = self._closed.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                for one in list(self._files):
                    _sync_data(one)
                due = time.monotonic() + SYNC_INTERVAL
                continue
            if file is None:
                return
            # It is closed here and nowhere else, so that no descriptor is synced that belongs to another file by then.
            _sync_data(file)
            os.close(file.descriptor)


def _step_aside() -> None:
    """Have the calling thread cost the one that forwards as little as can be."""
    with contextlib.suppress(OSError):
        # It runs when the other one has nothing to do, and does not take the core from it as soon as there is something to write.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with contextlib.suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE)


def _sync_data(file: CaptureFile) -> None:
    try:
        os.fdatasync(file.descriptor)
    except Exception as error:
        if not isinstance(error, OSError) or error.errno not in _NOT_SYNCED:
            logger.warning("%s cannot be written to the disk: %s", file.path, error)
            file.fail(WRITE_FAILED)


def _sync_directory(directory: Path) -> None:
    """Have the name of a new file survive a power failure."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""A file of what waits for the database: lines are added, and the file is emptied whenever nothing waits."""

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from relay.locked_file import open_locked
from relay.signaling.log.entries import MAX_LINE, Entry, Written, line_of, waiting_in

logger = logging.getLogger(__name__)

MAX_SIZE: Final = 64 * 1024 * 1024
"""Bytes: more is not added to it."""

HANGS_AFTER: Final = 0.05
"""Seconds that everything here waits for a line to be in the file, which takes a ten-thousandth of one."""

REWRITE_FROM: Final = 1024 * 1024
"""Bytes, of which most are about calls that are written: the file is made anew without them. On a busy server, something always
waits for a moment."""


class FileJournal:
    """`relay.signaling.log.writebehind.Journal`. One thread does all the work, so that a disk that hangs delays no call.

    What is added outlives this process when `append` returns, as the system has it then; the machine, after `sync`. A file that
    cannot be written is said in the log once, and people talk on.
    """

    def __init__(self, path: Path, rewrite_from: int = REWRITE_FROM) -> None:
        self._path, self._rewrite_from = path, rewrite_from
        self._thread = ThreadPoolExecutor(1, "journal")
        self._file: int | None = None
        self._size = 0
        self._rewritten = 0
        """Size after the last time that the file was made anew."""
        self._waiting: set[str] = set()
        """Calls that the file says more of than that they are written."""
        self._failing = False
        self._hangs = False
        """The disk is slow at the moment, and not waited for."""

    async def open(self) -> Mapping[str, Collection[Entry]]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    def append(self, entry: Entry) -> None:
        appending = self._soon(lambda: self._append(entry))
        if not self._hangs:
            try:
                appending.result(HANGS_AFTER)
            except TimeoutError:
                self._hangs = True
                appending.add_done_callback(self._hangs_no_more)

    def _hangs_no_more(self, _: "Future[None]") -> None:
        self._hangs = False

    def written(self, call_id: str) -> None:
        self._soon(lambda: self._written(call_id))

    def sync(self) -> None:
        self._soon(self._sync)

    async def close(self) -> None:
        self._soon(self._close)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    def _soon(self, work: Callable[[], None]) -> "Future[None]":
        def guarded() -> None:
            try:
                if self._file is not None:
                    work()
            except OSError as error:
                self._failed(error)

        return self._thread.submit(guarded)

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _failed(self, error: OSError) -> None:
        if not self._failing:
            logger.error(
                "the journal %s cannot be written: %s. What waits for the database is lost if this process dies meanwhile",
                self._path,
                error.strerror or error,
            )
        self._failing = True

    def _open(self) -> dict[str, list[Entry]]:
        try:
            self._file = open_locked(self._path)
        except OSError as error:
            self._failed(error)
            return {}
        if self._file is None:
            logger.error("the journal %s is that of a relay that runs: give each its own (RELAY_JOURNAL)", self._path)
            return {}
        with os.fdopen(os.dup(self._file), "rb") as reader:
            waiting, senseless = waiting_in(reader)
        if senseless:
            logger.warning("%d lines of the journal make no sense; the process may have died while it wrote them", senseless)
        try:
            self._rewrite(waiting)
        except OSError as error:
            self._failed(error)
        return waiting

    def _append(self, entry: Entry) -> None:
        self._waiting.add(entry.call_id)
        self._add(line_of(entry))

    def _written(self, call_id: str) -> None:
        self._waiting.discard(call_id)
        if not self._waiting:
            assert self._file is not None, "it is open"
            os.ftruncate(self._file, 0)
            self._size = self._rewritten = 0
            self._failing = False
            return
        self._add(line_of(Written(call_id=call_id)))
        if self._size > max(self._rewrite_from, 2 * self._rewritten):
            with self._path.open("rb") as reader:
                waiting, _ = waiting_in(reader)
            self._rewrite(waiting)

    def _add(self, line: bytes) -> None:
        assert self._file is not None, "it is open"
        if len(line) > MAX_LINE or self._size + len(line) > MAX_SIZE:
            raise OSError("it is full")
        if os.write(self._file, line) < len(line):
            # A full disk may take half a line, and the next one would be the end of that.
            os.ftruncate(self._file, self._size)
            raise OSError("the disk is full")
        self._size += len(line)

    def _rewrite(self, waiting: Mapping[str, Collection[Entry]]) -> None:
        """Make the file anew: at every moment, either it or the old one is there."""
        content = b"".join(line_of(entry) for entries in waiting.values() for entry in entries)
        beside = self._path.with_name(self._path.name + ".new")
        beside.unlink(missing_ok=True)
        file = open_locked(beside)
        assert file is not None, "no other file has its name"
        try:
            if os.write(file, content) < len(content):
                raise OSError("the disk is full")
            os.fsync(file)
            beside.replace(self._path)
        except OSError:
            os.close(file)
            beside.unlink(missing_ok=True)
            raise
        old, self._file = self._file, file
        if old is not None:
            os.close(old)
        self._waiting = set(waiting)
        self._size = self._rewritten = len(content)

    def _sync(self) -> None:
        assert self._file is not None, "it is open"
        os.fsync(self._file)

    def _close(self) -> None:
        assert self._file is not None, "it is open"
        self._sync()
        if not self._waiting:
            self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = None

"""A server under test as a set of processes: started on its own core, metered, and ended with certainty."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.kernel import die_with_parent

_CORES: Final = sorted(os.sched_getaffinity(0))
SERVER_CORE: Final = _CORES[0]
GENERATOR_CORE: Final = _CORES[-1]
"""The same as the server's on a machine with one core; then the figures are worth little, and the report says so."""

STOP_GRACE: Final = 3.0
"""Seconds between SIGTERM and SIGKILL."""

_POLL_INTERVAL: Final = 0.02
"""Seconds between looks at whether a process has ended."""


class Process:
    """One child process, leader of its own process group, pinned to the servers' core."""

    def __init__(self, command: Sequence[str], log: Path, channel: socket.socket | None = None) -> None:
        """Start a command. Its errors go to `log`, and its output too, unless `channel` is to be its stdin and stdout."""
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL if channel is None else channel.fileno(),
                stdout=output.fileno() if channel is None else channel.fileno(),
                stderr=output,
                start_new_session=True,
                preexec_fn=_enter,  # noqa: PLW1509 - nothing here starts threads
            )

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def cpu_seconds(self) -> float:
        """Time on a CPU since the start, over all its threads (first field of schedstat, nanoseconds)."""
        total = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # A thread that has just ended.
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def first_thread_seconds(self) -> float:
        """The same, of its first thread alone."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9

    def memory_bytes(self) -> int:
        """Memory that is its own: private and resident (smaps_rollup)."""
        kilobytes = 0
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                kilobytes += int(line.split()[1])
        return kilobytes * 1024

    async def stop(self) -> None:
        """End the process group, by force if it does not go by itself."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._child.poll() is None:
                os.killpg(self.pid, number)
            for _ in range(round(STOP_GRACE / _POLL_INTERVAL)):
                if self._child.poll() is not None:
                    return
                await asyncio.sleep(_POLL_INTERVAL)


def pin_generator() -> None:
    """Keep this process off the servers' core."""
    os.sched_setaffinity(0, {GENERATOR_CORE})


def unpin() -> None:
    """Let this process use all cores again."""
    os.sched_setaffinity(0, _CORES)


def _enter() -> None:
    """Between fork and exec: take the servers' core, and do not outlive the benchmark even if it is killed."""
    os.sched_setaffinity(0, {SERVER_CORE})
    die_with_parent(signal.SIGKILL)

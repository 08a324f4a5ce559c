"""Programs that a test starts: each ends with its test, and so does everything that it has started itself."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

ENDS: Final = 20.0
"""Seconds for a killed process to be gone."""


@contextlib.asynccontextmanager
async def child(*command: str | bytes | Path, **options: Any) -> AsyncIterator[Process]:
    """A process that runs `command`; killed at the end, if it still runs.

    Args:
        options: of `asyncio.create_subprocess_exec`. Its standard input is empty unless they say otherwise.
    """
    process = await start_child(*command, **options)
    try:
        yield process
    finally:
        await end_child(process)


async def start_child(*command: str | bytes | Path, **options: Any) -> Process:
    """Start a process in a group of its own, which `end_child` ends."""
    return await asyncio.create_subprocess_exec(*command, **{"stdin": DEVNULL, "start_new_session": True, **options})


async def end_child(process: Process) -> None:
    """Kill the process, and what it has started: a grandchild that is stopped, or stuck, would keep its pipes open for ever."""
    kill_group(process.pid)
    async with asyncio.timeout(ENDS):
        await process.communicate()


def kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def cpu_seconds(pid: int) -> float | None:
    """The processor time of a process since its start, of all its threads; None: it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc_pid_stat(5): utime and stime

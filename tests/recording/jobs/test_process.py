"""The program of a job, and what it starts, end with it."""

import asyncio
import os
import time
from pathlib import Path

from relay.recording.jobs.process import run
from tests.kit.wait import PATIENCE, eventually


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_job_that_is_cancelled_while_its_program_starts_leaves_no_process(tmp_path: Path) -> None:
    began = tmp_path / "began"
    program = f"sleep 600 & echo $! > {began}.new; mv {began}.new {began}; sleep 600"
    running = asyncio.create_task(run(["sh", "-c", program], os.environ, 600.0, lambda *_: None))
    for _ in range(3):  # until the program has been started; the loop has not taken note of it yet
        await asyncio.sleep(0)
    deadline = time.monotonic() + PATIENCE
    while not began.exists() and time.monotonic() < deadline:
        time.sleep(0.01)  # noqa: ASYNC251
    child = int(began.read_text())
    running.cancel()
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait([running])
    await eventually(lambda: is_gone(child), "what it has started is gone")

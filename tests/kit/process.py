"""The relay as a process of its own: `python -m relay ...`, as an operator runs it."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.kit.children import end_child, start_child
from tests.kit.loaded import start_loaded
from tests.kit.server import RunningRelay, migrated

PATIENCE = 20.0
"""Seconds for anything that a process does; only ever used up by a test that fails."""

START = 60.0
"""Seconds until a process is ready: on a busy machine its imports alone may take many. One that ends is noticed at once."""

LOCAL = {
    "dev": "true",
    "host": "127.0.0.1",
    "port": "0",
    "media_host": "127.0.0.1",
    "media_port": "0",
    "turn_port": "0",
    "workers": "0",
}
"""Free ports of this machine, in development mode; and no worker where a test is not about one: it takes 0.5 s to start."""

ANEW: Final = str(Path(sys.executable).with_name("call-relay"))
"""A `program`: the relay by a Python that has to load it, as for an operator. For what a process inherits, and for its memory."""


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Server:
    """`python -m relay serve`, and what it printed when it was ready."""

    process: Process
    relay: RunningRelay
    greeting: str

    async def stop(self, number: signal.Signals, within: float = PATIENCE) -> Outcome:
        """Send the signal, and wait for the end.

        Raises:
            TimeoutError: it does not end.
        """
        self.process.send_signal(number)
        out, err = await asyncio.wait_for(self.process.communicate(), within)
        assert self.process.returncode is not None
        return Outcome(self.process.returncode, out.decode(), err.decode())


async def start(folder: Path, *arguments: str, program: str = "", cwd: str = ".", **settings: str) -> Process:
    """Start `program`, or the relay of this checkout, which is loaded already; `end_child` ends it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    given = {f"RELAY_{name.upper()}": value for name, value in {**defaults(folder), **settings}.items()}
    environment = {**inherited, **given}
    if not program:
        return await start_loaded(arguments, environment)
    return await start_child(program, *arguments, cwd=cwd, env=environment, stdout=PIPE, stderr=PIPE)


def defaults(folder: Path) -> dict[str, str]:
    return {"database_url": f"sqlite+aiosqlite:///{folder / 'relay.db'}", "journal": f"{folder / 'calls.journal'}"}


async def run(folder: Path, *arguments: str, program: str = "", **settings: str) -> Outcome:
    async with started(folder, *arguments, program=program, **settings) as process:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


@contextlib.asynccontextmanager
async def started(folder: Path, *arguments: str, program: str = "", **settings: str) -> AsyncIterator[Process]:
    """`start`, until the context ends."""
    process = await start(folder, *arguments, program=program, **settings)
    try:
        yield process
    finally:
        await end_child(process)


@contextlib.asynccontextmanager
async def serving(folder: Path, **settings: str) -> AsyncIterator[Server]:
    """A server on free ports of this machine; killed at the end, if it still runs.

    Its database is up to date unless `settings` name one: making one takes longer than the start. That a server makes its own is
    seen in `tests/cli` and `tests/integration/test_wheel.py`.
    """
    if not (folder / "relay.db").exists():
        shutil.copy(await migrated(), folder / "relay.db")
    process = await start(folder, "serve", **{**LOCAL, **settings})
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        greeting = ""
        while not (url := re.search(r"https?://\S+", greeting)):
            line = await asyncio.wait_for(process.stdout.readline(), START)
            assert line, f"it did not start: {(await process.stderr.read()).decode()}"
            greeting += line.decode()
        yield Server(process, RunningRelay(url[0], f"sqlite+aiosqlite:///{folder / 'relay.db'}"), greeting)
    finally:
        await end_child(process)

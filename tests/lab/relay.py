"""The relay, run on the lab's server as an operator runs it: `python -m relay serve`."""

import asyncio
import contextlib
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from tests.kit.process import START
from tests.kit.server import RunningRelay, migrated
from tests.kit.wait import PATIENCE
from tests.lab.namespaces import Namespace
from tests.lab.network import SERVER, Internet

PORT: Final = 443
"""TCP port of everything: the one that every firewall lets through."""

LOG: Final = "relay.log"

URL: Final = f"http://{SERVER}:{PORT}"


@contextlib.asynccontextmanager
async def relay_in(internet: Internet, folder: Path, *, scheme: str = "http", **settings: str) -> AsyncIterator[RunningRelay]:
    """A relay in development mode, with one worker, its database and its log in `folder`.

    Args:
        settings: its environment variables, without `RELAY_` and in lower case.

    Raises:
        AssertionError: it does not start, or, at the end, it has logged an error.
    """
    database = f"sqlite+aiosqlite:///{folder / 'relay.db'}"
    async with served_by(internet.server, folder, **({"port": str(PORT), "workers": "1"} | settings)):
        yield RunningRelay(f"{scheme}://{SERVER}:{PORT}", database)


@contextlib.asynccontextmanager
async def served_by(server: Namespace, folder: Path, **settings: str) -> AsyncIterator[Path]:
    """A relay in development mode on all addresses of a machine, its database and its log in `folder`; the log.

    Args:
        settings: its environment variables, without `RELAY_` and in lower case.

    Raises:
        AssertionError: it does not start, or, at the end, it has logged an error.
    """
    database = f"sqlite+aiosqlite:///{folder / 'relay.db'}"
    if not (folder / "relay.db").exists():
        shutil.copy(await migrated(), folder / "relay.db")
    async with process_on(server, folder, **{"database_url": database, **settings}) as log:
        yield log
    assert_no_errors(folder)


@contextlib.asynccontextmanager
async def process_on(server: Namespace, folder: Path, **settings: str) -> AsyncIterator[Path]:
    """The same with a database that is there, whatever it logs.

    Raises:
        AssertionError: it does not start.
    """
    chosen = {"dev": "true", "host": "0.0.0.0", **settings}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    environment = inherited | {f"RELAY_{name.upper()}": value for name, value in chosen.items()}
    log = folder / LOG
    with log.open("wb") as file:
        command = server.command(sys.executable, "-m", "relay", "serve")
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=file)
    try:
        assert process.stdout is not None
        greeting = await asyncio.wait_for(process.stdout.readline(), START)
        assert greeting, f"the relay did not start:\n{log.read_text()}"
        yield log
        process.terminate()
        await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def assert_no_errors(folder: Path) -> None:
    """Of the relay whose log is in that folder: so far it has logged none."""
    text = (folder / LOG).read_text()
    assert " ERROR " not in text and "Traceback" not in text, text

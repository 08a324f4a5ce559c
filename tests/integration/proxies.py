"""Reverse proxies of this machine, run in front of the relay."""

import asyncio
import contextlib
import os
import shutil
import socket
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from tests.kit.children import kill_group, start_child
from tests.kit.wait import PATIENCE, eventually

HERE: Final = "127.0.0.1"
CLIENT: Final = "127.0.0.9"
"""Where the browser is: all of 127.0.0.0/8 is this machine."""


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(socket.create_server((HERE, 0))).getsockname()[1] for _ in range(number)]


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert found, "tests/install-peers installs it"
    return found


@contextlib.asynccontextmanager
async def running(folder: Path, command: list[str], port: int) -> AsyncIterator[None]:
    """Run it until the context ends, and wait first until it listens."""
    homes = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    process = await start_child(*command, stderr=PIPE, env={**os.environ, **homes})
    assert process.stderr is not None
    log = asyncio.ensure_future(process.stderr.read())

    async def listens() -> bool:
        assert process.returncode is None, f"it has ended: {(await log).decode()}"
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(HERE, port)
            writer.close()
            return True
        return False

    failure: Exception | None = None
    try:
        await eventually(listens, f"{command[0]} listens")
        yield
    except Exception as error:
        failure = error
        raise
    finally:
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            process.terminate()
            await asyncio.wait_for(process.wait(), PATIENCE)
        kill_group(process.pid)
        said = await log
        if failure is not None:
            failure.add_note(f"{command[0]} says:\n{said.decode(errors='replace')}")

"""PostgreSQL and Redis for a cluster on this machine. They keep nothing when they end."""

import asyncio
import contextlib
import secrets
import signal
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from deploy.cluster.process import NotStarted, Show, running
from deploy.cluster.programs import unprivileged


@contextlib.asynccontextmanager
async def postgresql(folder: Path, programs: Mapping[str, str], show: Show) -> AsyncIterator[str]:
    """The URL of an empty database. It listens on no port: its socket is in `folder`, which only its owner and root may enter.

    Args:
        folder: a new one, of which PostgreSQL makes the path of its socket: at most 80 bytes long.
    """
    as_user = unprivileged(folder)
    data = str(folder / "data")
    initdb = [programs["initdb"], "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    made = await asyncio.create_subprocess_exec(*initdb, cwd=folder, stdout=PIPE, stderr=STDOUT, **as_user)
    said, _ = await made.communicate()
    if made.returncode:
        raise NotStarted(f"initdb ended with status {made.returncode}:\n{said.decode(errors='replace')}")
    # Nothing needs to survive a power cut.
    options = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off", "max_connections": "300"}
    command = [programs["postgres"], "-D", data, *(part for name, value in options.items() for part in ("-c", f"{name}={value}"))]
    # SIGINT is PostgreSQL's fast shutdown: it waits for no client.
    async with running("postgresql", command, show, ends_by=signal.SIGINT, cwd=folder, **as_user) as program:

        async def ready() -> bool:
            return program.said("ready to accept connections")

        await program.ready(ready)
        yield f"postgresql+asyncpg://postgres@/postgres?host={folder}&port=5432"


@contextlib.asynccontextmanager
async def redis(folder: Path, programs: Mapping[str, str], show: Show, port: int) -> AsyncIterator[str]:
    """The URL of a Redis on a port of 127.0.0.1. It writes nothing to disk."""
    password = secrets.token_hex(16)
    # By its standard input: every user of the machine can read a command line.
    settings = f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\ndir {folder}\n'
    async with running("redis", [programs["redis-server"], "-"], show, given=settings) as program:

        async def ready() -> bool:
            return program.said("Ready to accept connections")

        await program.ready(ready)
        yield f"redis://:{password}@127.0.0.1:{port}"

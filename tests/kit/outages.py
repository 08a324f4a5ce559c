"""Databases that are away for a while, each in its own way."""

import asyncio
import os
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import NullPool, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.kit.databases import PostgresServer


def processes_of(server: PostgresServer) -> list[int]:
    """All processes of a PostgreSQL server."""
    [leader, *_] = (server.directory / "data" / "postmaster.pid").read_text().splitlines()
    children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
    return [int(one) for one in (leader, *children)]


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """Every process of the PostgreSQL server is stopped: connections are there, and nothing is answered."""
    processes = processes_of(server)
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


@asynccontextmanager
async def refusing(server: PostgresServer, url: str) -> AsyncIterator[None]:
    """The database of that URL drops its connections and takes no new ones, as one that is being restarted."""
    name = make_url(url).database
    admin = create_async_engine(server.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with admin.connect() as connection:
        await connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        await connection.execute(
            text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        )
        try:
            yield
        finally:
            await connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))


@asynccontextmanager
async def locked(file: Path) -> AsyncIterator[None]:
    """Another process, or so it seems, is the one writer of the SQLite file."""
    lasts = threading.Event()

    def hold() -> None:
        connection = sqlite3.connect(file, isolation_level=None, timeout=10)
        connection.execute("BEGIN IMMEDIATE")
        holds.set()
        lasts.wait()
        connection.close()

    holds = threading.Event()
    thread = asyncio.create_task(asyncio.to_thread(hold))
    await asyncio.to_thread(holds.wait)
    try:
        yield
    finally:
        lasts.set()
        await thread

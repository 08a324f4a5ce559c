"""A PostgreSQL server, and a standby that follows it and takes its place when the test says so."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import NullPool, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.cluster.programs import unprivileged
from tests.kit.databases import PostgresServer, program, run_postgresql, running_postgresql
from tests.kit.outages import processes_of
from tests.kit.wait import eventually

REPLICATED: Final = {"wal_level": "replica", "max_wal_senders": 4}

AWAITED: Final = ("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
"""A commit is answered once the standby has it, so that nothing is lost with the primary."""

LEVEL: Final = "SELECT bool_and(replay_lsn >= pg_current_wal_lsn()) FROM pg_stat_replication WHERE state = 'streaming'"
"""Whether all that was written is to be read at the standby."""


@dataclass(frozen=True)
class ReplicatedPostgres:
    """The server that takes writes at first, and the one that follows it."""

    primary: PostgresServer
    standby: PostgresServer
    _as_user: dict[str, Any]

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[str]:
        """The URL of a fresh database with the newest schema and no rows, wherever it is. It goes with the servers."""
        url = await self.primary.new_copy()
        await self._synchronous(url)
        hosts = [f"{one.directory}:{one.port}" for one in (self.primary, self.standby)]
        yield make_url(url).set(query={"host": hosts}).render_as_string(hide_password=False)

    async def _synchronous(self, url: str) -> None:
        engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        async with engine.connect() as connection:
            for statement in AWAITED:
                await connection.execute(text(statement))

            async def level() -> bool:
                return bool((await connection.execute(text(LEVEL))).scalar_one())

            await eventually(level, "the standby has everything")

    def kill_primary(self) -> None:
        """As the power would: no process of it is left."""
        for process in processes_of(self.primary):
            os.kill(process, signal.SIGKILL)

    def stop_primary(self) -> None:
        """It answers nothing, and refuses nothing."""
        for process in processes_of(self.primary):
            os.kill(process, signal.SIGSTOP)

    def promoted(self, url: str) -> str:
        """The URL of a database at the standby alone."""
        return self.standby.url(make_url(url).database or "")

    def promote(self) -> None:
        """Let the standby take writes; it does when this returns."""
        command = [program("pg_ctl"), "promote", "--wait", "-D", str(self.standby.directory / "data")]
        subprocess.run(command, cwd=self.standby.directory, check=True, capture_output=True, **self._as_user)


@contextmanager
def standby_of(primary: PostgresServer) -> Iterator[ReplicatedPostgres]:
    """Start a server that follows another one."""
    directory = Path(tempfile.mkdtemp(prefix="pg-standby-"))
    as_user = unprivileged(directory)
    source = ["-h", str(primary.directory), "-p", str(primary.port), "-U", "postgres"]
    kind = ["-D", str(directory / "data"), "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    try:
        subprocess.run(
            [program("pg_basebackup"), *source, *kind],
            cwd=directory,
            check=True,
            capture_output=True,
            **as_user,
        )
        with run_postgresql(directory, as_user, REPLICATED, ready="ready to accept read-only connections") as standby:
            yield ReplicatedPostgres(primary, standby, as_user)
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def replicated_postgresql() -> Iterator[ReplicatedPostgres]:
    """For one test, which kills the primary."""
    with running_postgresql(settings=REPLICATED) as primary, standby_of(primary) as both:
        yield both

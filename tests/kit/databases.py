"""Databases to test on: SQLite in a file, and a PostgreSQL server that the test run starts for itself.

A test that takes `database_url` (nothing in there yet) or `engine` (the schema is there) runs once on each.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from db.engine import create_engine
from db.migrate import upgrade

DATABASES = ("sqlite", "postgresql")

PORT = 5432
"""Part of the name of the socket file. The server listens on no network, so that nobody else's port is in the way."""

HASTE = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": 0}
"""Nothing needs to survive a power cut. Creating a database takes a quarter of the time."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server, reached through a socket in `directory`."""

    directory: Path

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres@/{database}?host={self.directory}&port={PORT}"

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """The URL of a fresh database, which is dropped at the end."""
        name = f"test_{uuid.uuid4().hex}"
        admin = create_async_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        async with admin.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {name}"))
        yield self.url(name)
        async with admin.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def running_postgresql() -> Iterator[PostgresServer]:
    """Start a PostgreSQL server in a new temporary directory, and stop it at the end."""
    # Not pytest's tmp_path: its parents are closed to other users, and a socket's path has room for 107 bytes only.
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    data = directory / "data"
    as_user = _unprivileged(directory)
    try:
        subprocess.run(
            [_program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
            cwd=directory,
            check=True,
            capture_output=True,
            **as_user,
        )
        settings = {"listen_addresses": "", "unix_socket_directories": directory, "port": PORT, **HASTE}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (
            subprocess.Popen(
                [_program("postgres"), "-D", data, *options],
                cwd=directory,
                stderr=subprocess.PIPE,
                text=True,
                **as_user,
            ) as server,
            _drained_once_ready(server),
        ):
            yield PostgresServer(directory)
    finally:
        shutil.rmtree(directory)


@contextmanager
def _drained_once_ready(server: "subprocess.Popen[str]") -> Iterator[None]:
    """Wait until the server is up, and go on reading its log: a full pipe would stop it."""
    assert server.stderr is not None, "the server was started with a pipe"
    log = []
    for line in server.stderr:
        log.append(line)
        if "ready to accept connections" in line:
            break
    else:
        raise AssertionError("PostgreSQL did not start:\n" + "".join(log))
    reader = threading.Thread(target=server.stderr.read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        # PostgreSQL's "fast" shutdown: it does not wait for its clients.
        server.send_signal(signal.SIGINT)
        reader.join()


def _program(name: str) -> str:
    """Debian keeps the server's programs out of PATH, in a directory per version."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, versions)]))
    if found is None:
        pytest.fail(f"{name} is missing: run tests/install-peers", pytrace=False)
    return found


def _unprivileged(directory: Path) -> dict[str, Any]:
    """Arguments of subprocess that give up root, which PostgreSQL refuses to run as; `directory` changes owner."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(directory, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(params=DATABASES)
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'relay.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    async with server.database() as url:
        yield url


@pytest.fixture
async def empty_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on an empty database of each kind."""
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def engine(empty_engine: AsyncEngine) -> AsyncEngine:
    """An engine on a database of each kind that has the newest schema and no rows."""
    await upgrade(empty_engine)
    return empty_engine

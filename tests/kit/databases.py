"""Databases to test on: SQLite in a file, and a PostgreSQL server that the test run starts for itself.

A test that takes `database_url` (nothing in there yet) or `engine` (the schema is there) runs once on each. One that takes
`engine` leaves the schema as it is: on PostgreSQL it is handed on.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import NullPool, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from deploy.cluster.programs import find, unprivileged
from relay.db.engine import create_engine
from relay.db.models import Base
from relay.db.schema.migrate import upgrade
from tests.kit.children import ENDS

DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.servers))

PORT = 5432
"""Part of the name of the socket file. The server listens on no network, so that no port of another process is in the way."""

SCHEMA = "with_schema"
"""Name of the PostgreSQL database that tests share one after the other, and of the SQLite file that they get copies of."""

TEMPLATE = "template_with_schema"
"""Name of the PostgreSQL database that others are copied from."""

HASTE = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": 0}
"""Nothing needs to survive a power cut. Creating a database takes a quarter of the time."""

NO_SETTINGS: Mapping[str, object] = {}

STEADY = {"autovacuum": "off"}
"""The planner's statistics change when a test says so, not at some moment in the middle of another."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server, reached through a socket in `directory`."""

    directory: Path
    port: int = PORT
    _made: list[str] = field(default_factory=list)
    """The databases with the schema that are there."""

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres@/{database}?host={self.directory}&port={self.port}"

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

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[str]:
        """The URL of a fresh database with the newest schema and no rows, which is dropped at the end."""
        url = await self.new_copy()
        yield url
        admin = create_async_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        async with admin.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {make_url(url).database} WITH (FORCE)"))

    async def new_copy(self) -> str:
        """The URL of a database like that, which stays."""
        admin = create_async_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        async with admin.connect() as connection:
            if TEMPLATE not in self._made:
                await connection.execute(text(f"CREATE DATABASE {TEMPLATE}"))
                await _upgrade(self.url(TEMPLATE))
                self._made.append(TEMPLATE)
            name = f"test_{uuid.uuid4().hex}"
            await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
        return self.url(name)

    async def with_schema(self) -> str:
        """The URL of a database that has the newest schema and no rows. It is the same for all who ask: making one takes long."""
        url = self.url(SCHEMA)
        if SCHEMA in self._made:
            # Without SQLAlchemy, which asks a new server for six things before its first statement.
            connection = await asyncpg.connect(host=str(self.directory), port=self.port, user="postgres", database=SCHEMA)
            await connection.execute(_emptying())
            await connection.close()
            return url
        admin = create_async_engine(self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        async with admin.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {SCHEMA}"))
        await _upgrade(url)
        self._made.append(SCHEMA)
        return url


@contextmanager
def running_postgresql(
    tls: tuple[Path, Path] | None = None, settings: Mapping[str, object] = NO_SETTINGS, open_to: str = ""
) -> Iterator[PostgresServer]:
    """Start a PostgreSQL server in a new temporary directory, and stop it at the end.

    Args:
        tls: certificate and key: the server then also listens on a free port of 127.0.0.1, for TLS only.
        settings: of the server, besides and instead of the usual ones.
        open_to: it also listens on all addresses, for clients of these: `203.0.113.0/24`.
    """
    # Not pytest's tmp_path: its parents are closed to other users, and a socket's path has room for 107 bytes only.
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    data = directory / "data"
    as_user = unprivileged(directory)
    try:
        subprocess.run(
            [program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
            cwd=directory,
            check=True,
            capture_output=True,
            **as_user,
        )
        network = {} if tls is None else _only_tls(directory, *tls, as_user)
        if open_to:
            with (data / "pg_hba.conf").open("a") as access:
                access.write(f"host all all {open_to} trust\n")
            network = {"listen_addresses": "*"}
        with run_postgresql(directory, as_user, {**settings, **network}) as server:
            yield server
    finally:
        shutil.rmtree(directory)


@contextmanager
def run_postgresql(
    directory: Path, as_user: Mapping[str, Any], settings: Mapping[str, object], ready: str = "ready to accept connections"
) -> Iterator[PostgresServer]:
    """Run a server on the data that is in a directory."""
    usual = {"listen_addresses": "", "unix_socket_directories": directory, "port": PORT, **HASTE, **STEADY}
    chosen: dict[str, object] = {**usual, **settings}
    options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    with (
        subprocess.Popen(
            [program("postgres"), "-D", directory / "data", *options],
            cwd=directory,
            stderr=subprocess.PIPE,
            text=True,
            **as_user,
        ) as server,
        drained_once(server, ready),
    ):
        yield PostgresServer(directory, int(str(chosen["port"])))


def _only_tls(directory: Path, certificate: Path, key: Path, as_user: Mapping[str, Any]) -> dict[str, object]:
    """Settings of a server that takes TLS on a free port, whose files become those of its user."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    access = directory / "pg_hba.conf"
    access.write_text("hostssl all all 127.0.0.1/32 trust\nlocal all all trust\n")
    own = [Path(shutil.copy(one, directory)) for one in (certificate, key)]
    for one in (access, *own):
        one.chmod(0o600)
        if as_user:
            os.chown(one, as_user["user"], as_user["group"])
    files = {"hba_file": access, "ssl_cert_file": own[0], "ssl_key_file": own[1]}
    return {"listen_addresses": "127.0.0.1", "port": port, "ssl": "on", **files}


@contextmanager
def drained_once(server: "subprocess.Popen[str]", ready: str) -> Iterator[None]:
    """Wait until the server's log says `ready`, go on reading it (a full pipe would stop the server), and stop it at the end."""
    assert server.stderr is not None, "the server was started with a pipe"
    log = []
    for line in server.stderr:
        log.append(line)
        if ready in line:
            break
    else:
        raise AssertionError("the server did not start:\n" + "".join(log))
    reader = threading.Thread(target=server.stderr.read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        # PostgreSQL's "immediate" shutdown: it waits neither for its clients nor for a checkpoint, and nothing is kept.
        server.send_signal(signal.SIGQUIT)
        with suppress(subprocess.TimeoutExpired):
            server.wait(ENDS)
        server.kill()
        reader.join(ENDS)


def program(name: str) -> str:
    """The program, which may be out of PATH."""
    found = find(name)
    if found is None:
        pytest.fail(f"{name} is missing: run tests/install-peers", pytrace=False)
    return found


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_with_schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the newest schema, to be copied."""
    file = tmp_path_factory.mktemp("sqlite") / SCHEMA
    # In a thread, as this thread already runs the event loop of the test that asks first.
    thread = threading.Thread(target=asyncio.run, args=(_upgrade(f"sqlite+aiosqlite:///{file}"),))
    thread.start()
    thread.join()
    return file


@pytest.fixture(params=DATABASES)
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database of each kind: an empty one, or for a test that takes `engine` one with the newest schema."""
    schema = "engine" in request.fixturenames
    if request.param == "sqlite":
        file = tmp_path / "relay.db"
        if schema:
            shutil.copy(request.getfixturevalue("sqlite_with_schema"), file)
        yield f"sqlite+aiosqlite:///{file}"
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    if schema:
        yield await server.with_schema()
        return
    async with server.database() as url:
        yield url


@pytest.fixture
async def empty_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on an empty database of each kind."""
    async with _engine(database_url) as engine:
        yield engine


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a database of each kind that has the newest schema and no rows."""
    async with _engine(database_url) as engine:
        yield engine


@asynccontextmanager
async def _engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url)
    yield engine
    await engine.dispose()


async def _upgrade(url: str) -> None:
    async with _engine(url) as engine:
        await upgrade(engine)


def _emptying() -> str:
    """One statement that removes every row and starts every sequence anew. (TRUNCATE takes eight times as long.)"""
    tables = [table.name for table in reversed(Base.metadata.sorted_tables)]
    numbered = [table.name for table in Base.metadata.sorted_tables if table.autoincrement_column is not None]
    deleting = " ".join(f"DELETE FROM {table};" for table in tables)
    restarting = " ".join(f"PERFORM setval('{table}_id_seq', 1, false);" for table in numbered)
    return f"DO $$ BEGIN {deleting} {restarting} END $$"

"""PgBouncer before the PostgreSQL server of the tests, as many operators have it: in transaction mode."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.cluster.programs import unprivileged
from tests.kit.databases import PostgresServer, drained_once, program

PORT = 6432
"""Part of the name of the socket file, as with PostgreSQL."""

SERVERS = 4
"""Connections that all clients share: fewer than the relay opens, so that each transaction may meet another server process."""

_SETTINGS = """\
[databases]
* = host={server} port={server_port} user=postgres

[pgbouncer]
pool_mode = transaction
default_pool_size = {servers}
max_client_conn = 200
listen_port = {port}
unix_socket_dir = {directory}
auth_type = any
server_round_robin = 1
"""


@contextmanager
def pgbouncer(behind: PostgresServer) -> Iterator[PostgresServer]:
    """Run PgBouncer until the end of the context; what it yields has URLs like the server itself."""
    directory = Path(tempfile.mkdtemp(prefix="pgb-"))  # not tmp_path: see running_postgresql
    try:
        settings = directory / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(server=behind.directory, server_port=behind.port, servers=SERVERS, port=PORT, directory=directory)
        )
        command = [program("pgbouncer"), str(settings)]
        with (
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **unprivileged(directory)) as server,
            drained_once(server, "process up"),
        ):
            yield PostgresServer(directory, PORT)
    finally:
        shutil.rmtree(directory)

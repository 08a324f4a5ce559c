"""Redis servers that the tests start for themselves: plain, with a password, with TLS, behind Sentinels.

Each listens on a free port of 127.0.0.1 and keeps nothing on disk: one that is killed and started again is empty.
"""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.kit.databases import program

STARTS: Final = 20.0
"""Seconds until a server answers; only ever used up by a test that fails."""


@dataclass
class RedisServer:
    """A server in a process of its own, which tests stop, kill and start again."""

    port: int
    directory: Path
    options: Sequence[str]
    password: str = ""
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}"

    def start(self) -> None:
        log = (self.directory / f"{self.port}.log").open("ab")
        self.process = subprocess.Popen([program("redis-server"), *self.options], stdout=log, stderr=log, cwd=self.directory)
        log.close()
        _await_port(self.port, self.process)

    def kill(self) -> None:
        """As the kernel or the power would."""
        assert self.process is not None, "it has been started"
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """As a network that swallows everything: connections stay open, and nothing is answered."""
        assert self.process is not None, "it has been started"
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None, "it has been started"
        self.process.send_signal(signal.SIGCONT)


def _await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + STARTS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.01)
        else:
            return


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def redis_server(
    *options: str, password: str = "", tls: tuple[Path, Path] | None = None, only: Path | None = None
) -> Iterator[RedisServer]:
    """A running server; it is killed at the end.

    Args:
        options: of its command line, besides.
        tls: certificate and key: it takes TLS only.
        only: and only clients with this certificate.
    """
    directory, port = Path(tempfile.mkdtemp(prefix="redis-")), free_port()
    ports = ["--port", str(port)]
    if tls is not None:
        ports = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no" if only is None else "yes"]
        ports += ["--tls-cert-file", str(tls[0]), "--tls-key-file", str(tls[1]), "--tls-ca-cert-file", str(only or tls[0])]
    secret = ["--requirepass", password, "--masterauth", password] if password else []
    usual = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(directory)]
    server = RedisServer(port, directory, [*ports, *usual, *secret, *options], password)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.kill()
        shutil.rmtree(directory)


@contextmanager
def sentinel_of(master: RedisServer, service: str) -> Iterator[RedisServer]:
    """A Sentinel that looks after a master, and fails over to a replica of it within a second or so."""
    directory, port = Path(tempfile.mkdtemp(prefix="sentinel-")), free_port()
    settings = directory / "sentinel.conf"
    settings.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {directory}\nsentinel monitor {service} 127.0.0.1 {master.port} 1\n"
        f"sentinel down-after-milliseconds {service} 300\nsentinel failover-timeout {service} 2000\n"
    )
    server = RedisServer(port, directory, [str(settings), "--sentinel"])
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.kill()
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RedisServer]:
    """For the tests of a module, which leave it as it was, but for keys of namespaces of their own."""
    with redis_server() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """For a test that does something to it."""
    with redis_server() as server:
        yield server

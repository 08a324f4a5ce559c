"""`python -m relay …` by a process that has loaded the relay, and forks: loading is most of a start, and the same each time.

A fork has an environment, arguments, descriptors and a session of its own, runs `relay/__main__.py` from its first line on, and
ends as any Python does, with its own status. It inherits no limits and no network namespace of the process that asks for it.
"""

import asyncio
import atexit
import contextlib
import functools
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from asyncio.base_subprocess import BaseSubprocessTransport
from asyncio.subprocess import DEVNULL, PIPE, Process, SubprocessStreamProtocol
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

from relay.interpreter import loading

MODULES: Final = (
    "relay.cli.serve",
    "relay.cli.call",
    "relay.media.engine",
    "relay.cluster.redis.cluster",
    "aiosqlite",
    "asyncpg",
)
"""Loaded before a fork: the most that a process of the tests needs. What else one needs, it loads itself."""

REQUEST: Final = 128 * 1024
"""Bytes that arguments and environment may have."""

LIMIT: Final = 64 * 1024
"""Of a line of output, as asyncio has it."""


async def start_loaded(arguments: Iterable[str], environment: Mapping[str, str]) -> Process:
    """Start the relay in a session of its own, with pipes for its output."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    out, its_out = os.pipe()
    err, its_err = os.pipe()
    request = json.dumps([*arguments, dict(environment)]).encode()
    socket.send_fds(_control(), [request], [theirs.fileno(), its_out, its_err])
    theirs.close()
    os.close(its_out)
    os.close(its_err)
    ours.setblocking(False)
    forked = _Forked(int(await loop.sock_recv(ours, LIMIT)), os.fdopen(out, "rb", 0), os.fdopen(err, "rb", 0))
    protocol, connected = SubprocessStreamProtocol(LIMIT, loop), loop.create_future()
    transport = _Transport(loop, protocol, ["relay"], False, None, PIPE, PIPE, 0, connected, forked=forked)

    def ended() -> None:
        loop.remove_reader(ours)
        with ours:
            transport._process_exited(int(ours.recv(LIMIT)))

    loop.add_reader(ours, ended)
    await connected
    return Process(transport, protocol, loop)


class _Forked:
    """As much of `subprocess.Popen` as asyncio needs."""

    stdin = None

    def __init__(self, pid: int, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.pid, self.stdout, self.stderr = pid, stdout, stderr
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Transport(BaseSubprocessTransport):
    """asyncio's, of a process that is there already."""

    def _start(self, *_: Any, **options: Any) -> None:
        self._proc = options["forked"]


@functools.cache
def _control() -> socket.socket:
    """The process that forks, started when it is first needed; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command, root = (sys.executable, "-m", __name__, str(theirs.fileno())), Path(__file__).parents[2]
    process = subprocess.Popen(command, cwd=root, stdin=DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True)
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _fork_on_request(control: socket.socket) -> bool:
    """Whether this is a fork, which is to become the relay, and not the process that forks, at its end."""
    with loading():
        for name in MODULES:
            import_module(name)
    assert len([*Path("/proc/self/task").iterdir()]) == 1, "a fork would lose the other threads"
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, REQUEST, 3)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        if not request:
            return False
        if os.fork() == 0:
            control.close()
            _fork(json.loads(request), *descriptors)
            return True
        for one in descriptors:
            os.close(one)


def _fork(request: list[Any], status: int, out: int, err: int) -> None:
    """Fork once more, and wait for that process, to say how it ended. Returns in that process only."""
    if pid := os.fork():
        os.close(out)
        os.close(err)
        os.write(status, b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        os._exit(0)
    os.setsid()
    for inherited, own in ((out, 1), (err, 2)):
        os.dup2(inherited, own)
        os.close(inherited)
    *sys.argv[1:], environment = request
    os.environ.clear()
    os.environ.update(environment)
    os.write(status, b"%d" % os.getpid())
    os.close(status)


if __name__ == "__main__" and _fork_on_request(socket.socket(fileno=int(sys.argv[1]))):
    runpy.run_module("relay", run_name="__main__", alter_sys=True)

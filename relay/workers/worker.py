"""A worker process: a `LocalEngine` behind a channel. Only `relay.workers.pool` starts one.

It lives as long as its channel: when the process that started it ends, in whatever way, the kernel closes the other end, and
the worker ends too.
"""

import asyncio
import contextlib
import faulthandler
import os
import signal
import socket
from typing import Final

import msgspec

from relay import logs
from relay.interpreter import fastest_loop, spare_the_collector
from relay.media.engine import LocalEngine
from relay.workers.assignment import Assignment
from relay.workers.channel import Server

TERM_GRACE: Final = 2.0
"""Seconds from SIGTERM or SIGQUIT to the end. A service manager that stops the relay sends it to every process at once; the one
that started us then needs a moment to end its calls as `server_shutdown`, and closes the channel when it has."""

_NOT_OURS: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

CLOSE_TIMEOUT: Final = 0.5
"""Seconds for good-byes to the peers."""

STUCK: Final = 10.0
"""Seconds without a turn of the event loop until the process says where it is stuck, and ends."""


class _Engine(LocalEngine):
    """An engine that has its process to itself."""

    async def start(self) -> tuple[int, ...]:
        ports = await super().start()
        spare_the_collector()
        return ports


def main(arguments: list[str], engine: type[LocalEngine] = _Engine, *, stuck: float = STUCK) -> None:
    """Serve until the channel closes.

    Args:
        arguments: an `Assignment` as JSON.
        engine: what forwards.
        stuck: as of `STUCK`.
    """
    # A service manager sends what it sends to every process. What that means is the starting process's to judge.
    for number in _NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable()
    assignment = msgspec.json.decode(arguments[0], type=Assignment)
    logs.configure(assignment.log_level, assignment.log_style, worker=assignment.number)
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(_serve(assignment, engine, stuck))


async def _serve(assignment: Assignment, engine: type[LocalEngine], stuck: float) -> None:
    loop = asyncio.get_running_loop()
    server = Server()
    server.engine = engine(
        server.emit, assignment.hosts, assignment.port, announces=assignment.number == 0, limits=assignment.limits
    )
    for number in (signal.SIGTERM, signal.SIGQUIT):
        loop.add_signal_handler(number, lambda: loop.call_later(TERM_GRACE, server.close))
    _show_life(server, assignment.parent, stuck)
    await loop.create_unix_connection(lambda: server, sock=socket.socket(fileno=assignment.descriptor))
    await server.lost.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await server.engine.close()


def _show_life(server: Server, parent: int, stuck: float) -> None:
    # The C thread behind this needs no GIL: it also ends a process without a parent.
    faulthandler.dump_traceback_later(stuck, exit=True)
    if os.getppid() != parent:
        server.close()  # and yet the channel is open: an unknown fork of the parent has inherited it
    asyncio.get_running_loop().call_later(stuck / 5, _show_life, server, parent, stuck)

"""A program that a cluster runs: started in a session of its own, its lines shown, and ended for certain."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from relay.errors import RelayError

Show = Callable[[str, str], None]
"""Told the name of a program and a line that it wrote."""

START: Final = 60.0
"""Seconds for a program to be ready: on a busy machine, the imports of a relay alone may take many."""

LOOK: Final = 0.05
"""Seconds between two looks at whether it is."""

TAIL: Final = 20
"""Lines of a program that are shown if it does not start."""

_LINE: Final = 1 << 20
"""Bytes that a line may have."""

_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


class NotStarted(RelayError):
    """A program ended, or was not ready in time, instead of serving."""


class Program:
    """A program that runs."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, show: Show) -> None:
        self.name = name
        self.ended = asyncio.Event()
        """Set once it has ended and its last line was shown."""
        self._process = process
        self._show = show
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._reading = asyncio.get_running_loop().create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, or minus the signal that killed it; None while it runs."""
        return self._process.returncode

    def said(self, text: str) -> bool:
        """Whether one of its last lines has the text."""
        return any(text in line for line in self._tail)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ready(self, look: Callable[[], Awaitable[bool]]) -> None:
        """Wait until `look` says so.

        Raises:
            NotStarted: it ended, or a minute was not enough.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START):
                while not self.ended.is_set():
                    if await look():
                        return
                    await asyncio.sleep(LOOK)
        how = f"ended with status {self.status}" if self.ended.is_set() else f"was not ready within {START:g} s"
        raise NotStarted("\n".join([f"{self.name} {how}:", *self._tail]))

    async def stop(self, number: signal.Signals, within: float) -> None:
        """Send it a signal, wait for its end, and kill it and what it has started if it takes longer than that many seconds."""
        self.send(number)
        try:
            async with asyncio.timeout(within):
                await self.ended.wait()
        finally:
            self.kill()
            await asyncio.shield(self._reading)

    def kill(self) -> None:
        """Kill it, and whatever of its children is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    async def _read(self) -> None:
        lines = self._process.stdout or self._process.stderr
        assert lines is not None
        async for line in lines:
            text = line.decode(errors="replace").rstrip()
            self._tail.append(text)
            self._show(self.name, text)
        await self._process.wait()
        self.ended.set()


@contextlib.asynccontextmanager
async def running(
    name: str,
    command: Sequence[str],
    show: Show,
    *,
    ends_by: signal.Signals = signal.SIGTERM,
    within: float = 10.0,
    environment: Mapping[str, str] | None = None,
    given: str | None = None,
    only_errors: bool = False,
    **options: Any,
) -> AsyncIterator[Program]:
    """Run a command until the context ends.

    Args:
        ends_by: the signal that ends it, within so many seconds.
        given: its standard input; None: empty.
        only_errors: what it writes to its standard output is not shown.
        options: of subprocess.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=DEVNULL if given is None else PIPE,
        stdout=DEVNULL if only_errors else PIPE,
        stderr=PIPE if only_errors else STDOUT,
        env=environment,
        limit=_LINE,
        start_new_session=True,  # Ctrl-C reaches the command alone, which ends the programs in order
        preexec_fn=_end_with_parent,
        **options,
    )
    program = Program(name, process, show)
    try:
        if given is not None:
            assert process.stdin is not None
            process.stdin.write(given.encode())
            process.stdin.close()
        yield program
    finally:
        with contextlib.suppress(TimeoutError):
            await program.stop(ends_by, within)


def _end_with_parent() -> None:
    """Between fork and exec: the kernel ends this program when the cluster's process ends, also by kill -9 (prctl(2))."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""Signal handling of the serving process.

The relay handles every signal that kills a process by default and that tools also send for other reasons. Otherwise the rows of
calls would stay open in the database, and no log line would explain why the server ended.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

HURRY: Final = 2.0
"""Seconds from a second signal until the process ends, written or not. Rows that are open then are closed at the next start."""

EXIT_SIGNAL: Final = 128
"""Plus the number of the signal: exit status of a process that did not end in order, as shells have it."""

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
"""SIGQUIT is Ctrl-\\ at a terminal, and the graceful shutdown of nginx."""

_UNUSED: Final = (signal.SIGUSR1, signal.SIGUSR2)
"""Log rotation sends SIGUSR1 to make servers reopen their log files. The relay logs to standard error."""


class Signals:
    """Handlers of the event loop that serves, installed when this is constructed.

    Until `ready`, the first signal to stop cancels the task that made this.

    Args:
        ends_with_terminal: whether the server ends when the terminal that it was started from is closed.

    Attributes:
        stop: set by the first signal to stop.
    """

    def __init__(self, *, ends_with_terminal: bool) -> None:
        self.stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._starting = asyncio.current_task()
        self._has_terminal = ends_with_terminal and _terminal_is_open()
        self._reload: Callable[[], None] | None = None
        self._calls_ended: asyncio.Event | None = None
        self._drain: Callable[[], None] | None = None
        self._hurrying: asyncio.Task[None] | None = None
        for number in _STOPPING:
            self._loop.add_signal_handler(number, self._stop, number)
        for number in _UNUSED:
            self._loop.add_signal_handler(number, self._ignore, number)
        # Also when started by nohup: SIGHUP never kills the process.
        self._loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def ready(self, reload: Callable[[], None], calls_ended: asyncio.Event, drain: Callable[[], None] | None = None) -> None:
        """The server serves.

        Args:
            reload: loads what can be loaded again; called for SIGHUP.
            calls_ended: set once every call has ended and its row is written.
            drain: called for the first SIGTERM, in place of `stop`, which the next signal sets; None: SIGTERM sets `stop`.
        """
        self._starting = None
        self._reload, self._calls_ended, self._drain = reload, calls_ended, drain

    def _stop(self, number: signal.Signals) -> None:
        if number == signal.SIGTERM and self._drain is not None and not self.stop.is_set():
            drain, self._drain = self._drain, None
            drain()
        elif not self.stop.is_set():
            self.stop.set()
            if self._starting is not None:
                self._starting.cancel()
        elif self._hurrying is None:
            logger.warning("%s again: ending at once when the rows of the calls are written, within %g s", number.name, HURRY)
            self._hurrying = self._loop.create_task(self._hurry(number))

    async def _hurry(self, number: signal.Signals) -> None:
        status = EXIT_SIGNAL + number
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HURRY):
                # While the server starts, there is no call, and it is about to end.
                await (self._calls_ended or asyncio.Event()).wait()
                status = 0
        if status:
            logger.warning("ending though not everything is written; calls that are open are closed at the next start")
        # Not by an exception: whatever holds up the end would hold up that as well. The workers end as their channels close.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(status)

    def _hang_up(self) -> None:
        if self._has_terminal and not _terminal_is_open():
            logger.info("SIGHUP: the terminal is gone")
            self._stop(signal.SIGHUP)
        elif self._reload is not None:
            logger.info("SIGHUP: certificates and keys are loaded again; settings are those of the start")
            self._reload()

    def _ignore(self, number: signal.Signals) -> None:
        logger.warning("%s means nothing to the relay; SIGHUP loads certificates and keys again, SIGTERM ends it", number.name)


def _terminal_is_open() -> bool:
    """Whether this process has a controlling terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True

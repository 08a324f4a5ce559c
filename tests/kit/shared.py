"""Relays that serve many tests, one after the other: for those after which nothing is different."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from tests.kit.server import RunningRelay, databases_closed, serving_relay

STARTS: Final = 60.0
"""Seconds that a relay may take to start, and to stop."""


class SharedRelays:
    """Each runs in the same event loop, of a thread of its own: a test's loop ends with the test."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, stack: contextlib.AsyncExitStack) -> None:
        self._folder = folder
        self._loop = loop
        self._stack = stack
        self._relays: dict[str, RunningRelay] = {}

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path) -> Iterator[Self]:
        """None runs at first. All stop at the end."""
        loop, stack, before = asyncio.new_event_loop(), contextlib.AsyncExitStack(), {*threading.enumerate()}
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield cls(folder, loop, stack)
        finally:
            asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(STARTS)
            asyncio.run_coroutine_threadsafe(databases_closed(before), loop).result(STARTS)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def of(self, settings: dict[str, Any]) -> RunningRelay:
        """The relay with these settings."""
        key = repr(sorted(settings.items()))
        if key not in self._relays:
            folder = self._folder / str(len(self._relays))
            folder.mkdir()
            starting = self._stack.enter_async_context(serving_relay(folder, **settings))
            self._relays[key] = asyncio.run_coroutine_threadsafe(starting, self._loop).result(STARTS)
        return self._relays[key]

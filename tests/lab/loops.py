"""Event loops that live on machines of the lab, for programs which the test looks into while they run."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, Final, Self, TypeVar

from tests.lab.namespaces import Namespace

T = TypeVar("T")

ENDS: Final = 20.0
"""Seconds for a thread to begin, and to end; only ever used up by a test that fails."""


class MachineLoop:
    """An event loop in a thread of its own: what it opens is the machine's, as are the threads that it starts."""

    def __init__(self) -> None:
        self._begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)

    @classmethod
    @contextlib.contextmanager
    def on(cls, machine: Namespace) -> Iterator[Self]:
        """Run one until the context ends; what still runs in it is cancelled."""
        one = cls()
        with machine.entered():  # a thread begins in the namespace of the one that starts it (clone(2))
            one._thread.start()
        loop, ending = one._begun.result(ENDS)
        try:
            yield one
        finally:
            loop.call_soon_threadsafe(ending.set)
            one._thread.join(ENDS)

    async def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Its result, once it was awaited there."""
        loop, _ = self._begun.result()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(doing, loop))

    async def _live(self) -> None:
        ending = asyncio.Event()
        self._begun.set_result((asyncio.get_running_loop(), ending))
        await ending.wait()

"""An event loop whose time is virtual: it jumps to the next timer as soon as there is nothing left to do before it.

A ring timeout of 45 seconds is over at once, and always after exactly 45 seconds. For code that only uses timers: a
coroutine that waits for a socket or a thread would wait for ever, and fails with `NothingLeftToHappen` instead; unless the
loop is told so by `VirtualClockLoop.outside`.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class NothingLeftToHappen(Exception):
    """Everything waits and no timer runs: in virtual time, nothing can ever happen again."""


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop that owns its time. `loop.time()` starts at 0 and is exact to the timers."""

    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Something outside of the loop is waited for, such as a database's thread: time stands still until it has come."""
        self._clock.awaited += 1
        try:
            yield
        finally:
            self._clock.awaited -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that, instead of waiting, moves its clock to the end of the wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.awaited = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.awaited:
            return super().select(None)
        if timeout is None:
            raise NothingLeftToHappen
        self.now += max(timeout, 0.0)
        return []


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Decorator: run an async test in a `VirtualClockLoop`. Its fixtures must not be async."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            return runner.run(test(*args, **kwargs))

    return run

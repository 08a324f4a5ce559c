"""Waiting for something to become true, without sleeping for luck."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds. Generous: it is only ever used up by a test that fails."""

INTERVAL = 0.02
"""Seconds between two looks."""


@overload
async def eventually(
    condition: Callable[[], Awaitable[T | None]], what: str | Callable[[], str], within: float = PATIENCE, every: float = INTERVAL
) -> T: ...
@overload
async def eventually(
    condition: Callable[[], T | None], what: str | Callable[[], str], within: float = PATIENCE, every: float = INTERVAL
) -> T: ...
async def eventually(
    condition: Callable[[], object], what: str | Callable[[], str], within: float = PATIENCE, every: float = INTERVAL
) -> object:
    """The first value of `condition` that is true.

    Args:
        condition: asked again and again; may be a coroutine function.
        what: the sentence that is missing its "did not happen" when time is up, or how to make it then.
        within: seconds, by the clock of the event loop.
        every: seconds between two looks: a look into a browser takes a few milliseconds of three processes.

    Raises:
        AssertionError: it stayed false.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if loop.time() >= deadline:
            sentence = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {within:g} s: {sentence} (last seen: {value!r})")
        await asyncio.sleep(every)

"""How much is done, without a clock: lines of Python that run."""

import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any


async def lines_of(work: Callable[[], Awaitable[Any]]) -> int:
    """The lines that run until the work is done, those of other tasks meanwhile included."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        await work()
    finally:
        sys.settrace(before)
    return count

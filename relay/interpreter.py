"""What a process of the relay tells Python itself: which event loop to run, and when to look for garbage."""

import asyncio
import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Final


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Load modules without the cyclic garbage collector, which then never looks at them.

    Loading makes 140,000 objects that stay. The collector would go through them again and again, for a quarter of the time that a
    start takes.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


YOUNG: Final = 10_000
"""Objects more than before, after which the collector looks at those: 4 ms."""

MIDDLE_AGED: Final = 1
"""Such looks, after which another one takes in those that stayed: 30,000 objects at most, 12 ms. By default it is ten."""

OLD: Final = 100
"""Of those, after which it looks at all that there is, if that has grown by a quarter: 0.5 s for 2,000 devices."""


def spare_the_collector() -> None:
    """Let the cyclic garbage collector look rarely, at little, and never at what is there now. For a process that has started.

    The relay makes no cycles: tests hold that for connections, for transports and for what is asked of the database. So what the
    collector finds is what devices and calls are made of, and it stops everything while it looks. But forwarding makes many
    short-lived tuples, by which it decides when to look. And to look through all that a server has loaded takes 0.1 s.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE_AGED, OLD)


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop factory of uvloop, where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop

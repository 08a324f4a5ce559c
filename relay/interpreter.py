"""What a process of the relay tells Python itself: which event loop to run, and when to look for garbage."""

import asyncio
import contextlib
import gc
from collections.abc import Callable, Iterator


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


def spare_the_collector() -> None:
    """Let the cyclic garbage collector look rarely, and never at what is there now. For a process that has started.

    Forwarding makes no cycles, but many short-lived tuples, by which the collector decides when to look; and the receive
    ring alone has thousands of objects for it to look at. To look through all that a server has loaded takes 0.1 s, in which no
    packet is forwarded.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop factory of uvloop, where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop

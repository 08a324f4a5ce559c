"""What is left to the cyclic garbage collector, which stops a process while it looks at all of its objects."""

import gc
from collections import Counter
from collections.abc import Awaitable, Callable


async def garbage_of(work: Callable[[], Awaitable[object]], times: int) -> Counter[str]:
    """The objects in reference cycles that some work leaves behind, by type, each time that it is done.

    It has been done once before: what is made the first time and kept does not count.
    """
    await work()
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(times):
            await work()
        gc.collect()
        left = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.collect()
        if enabled:
            gc.enable()
    # Less than one each time is of something else that went on meanwhile.
    return Counter({kind: count // times for kind, count in left.items() if count >= times})

"""Progress of what takes long: bars where a person watches, plain lines otherwise."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, NoReturn, TextIO

from tqdm import tqdm

Progress = Callable[[str, float], None]
"""Called with the step (`reading`, `video A`…) and the part of it that is done, 0 to 1."""

LINE_INTERVAL: Final = 5.0
"""Seconds between two lines about one step, where no bar is drawn."""

_SCALE: Final = 1000
_BAR: Final = "{desc}: {percentage:3.0f} %|{bar}| {elapsed}"


@contextlib.contextmanager
def bars(stream: TextIO, clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """A callback that shows each step on `stream`: as a bar if that is a terminal, else as a line now and then.

    What is printed meanwhile goes by `say`. A step that is done within `LINE_INTERVAL` gives no line.
    """
    if stream.isatty():
        with contextlib.ExitStack() as stack:
            shown: dict[str, tqdm[NoReturn]] = {}

            def draw(step: str, done: float) -> None:
                if step not in shown:
                    shown[step] = stack.enter_context(tqdm(total=_SCALE, desc=step, file=stream, bar_format=_BAR))
                shown[step].update(round(done * _SCALE) - shown[step].n)

            yield draw
            for bar in shown.values():  # not reached after an error, whose bars stay where they were
                bar.update(_SCALE - bar.n)
        return
    begun: dict[str, float] = {}

    def tell(step: str, done: float) -> None:
        now = clock()
        if now - begun.setdefault(step, now) >= LINE_INTERVAL:
            begun[step] = now
            stream.write(f"{step}: {done:.0%}\n")
            stream.flush()

    yield tell


def say(line: str) -> None:
    """Print a line; above the bars, if both are on the terminal."""
    if sys.stdout.isatty():
        tqdm.write(line, file=sys.stdout)
    else:
        print(line, flush=True)

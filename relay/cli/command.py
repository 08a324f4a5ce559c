"""What each command of `python -m relay` is to the command line.

It imports nothing heavy: the help, and commands that need no server, are there at once.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

EXIT_CONFIGURATION: Final = 2
"""Exit status when a setting is wrong or something it names cannot be opened."""

EXIT_INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the signal's number."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a command does; `relay.__main__` has its name and its purpose."""

    run: Callable[[argparse.Namespace], int]
    """Run it; its exit status. A `ConfigurationError` is printed, and its status is `EXIT_CONFIGURATION`."""
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None

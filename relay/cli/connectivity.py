"""`python -m relay check`: the connection test. The settings that count are those of the relay under test."""

import argparse
from functools import partial
from typing import Final

from relay.check import command
from relay.cli.command import EXIT_INTERRUPTED, Command


def _run(given: argparse.Namespace) -> int:
    try:
        return command.run(given, partial(print, flush=True))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


CHECK: Final = Command(command.NAME, command.PURPOSE, _run, command.add_arguments)

"""What each command of `python -m relay` is to the command line, and how most of them get their settings."""

import argparse
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relay import logs
from relay.settings.all import Settings

EXIT_CONFIGURATION: Final = 2
"""Exit status when a setting is wrong or something it names cannot be opened."""

EXIT_INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the signal's number."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command, as `relay.__main__` registers it."""

    name: str
    purpose: str
    """A sentence, for its help."""
    run: Callable[[argparse.Namespace], int]
    """Run it; its exit status. A `ConfigurationError` is printed, and its status is `EXIT_CONFIGURATION`."""
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None


def settings_of_environment() -> Settings:
    """Read the settings, configure the log by them, and warn of variables that name no setting.

    Raises:
        ConfigurationError: one line per problem, each naming its variable.
    """
    settings = Settings.from_environment(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    logging.getLogger("alembic").setLevel(max(logging.WARNING, logging.root.level))
    for name in Settings.unknown(os.environ):
        meant = Settings.meant_by(name)
        text = f"; {meant} is one" if meant else ""
        logging.getLogger(__name__).warning("%s is no setting of the relay; it is ignored%s", name, text)
    return settings

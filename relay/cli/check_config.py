"""`python -m relay check-config`: the settings in force, and whether what they name is there."""

import argparse
import asyncio
from typing import Final

from relay.cli.command import Command
from relay.cli.environment import settings_of_environment
from relay.cli.examination import examine
from relay.errors import ConfigurationError


def _run(_: argparse.Namespace) -> int:
    settings = settings_of_environment()
    for variable, value in settings.shown():
        print(f"{variable}={value}")
    good, bad = asyncio.run(examine(settings))
    for line in good:
        print(f"# {line}")
    if bad:
        raise ConfigurationError("\n".join(bad))
    return 0


CHECK_CONFIG: Final = Command(_run)

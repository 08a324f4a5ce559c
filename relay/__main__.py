"""The command line: `python -m relay COMMAND`. Each command is in a module of `relay.cli`, and only that one is loaded."""

import argparse
import sys
from importlib import import_module
from typing import Final

from relay.cli.command import EXIT_CONFIGURATION, Command
from relay.errors import ConfigurationError
from relay.interpreter import loading

COMMANDS: Final = {
    "serve": ("relay.cli.serve", "SERVE", "Serve the page, the WebSocket and the media until told to stop."),
    "migrate": ("relay.cli.migration", "MIGRATE", "Bring the database schema up to date."),
    "check-config": (
        "relay.cli.check_config",
        "CHECK_CONFIG",
        "Check the settings and what they name, and print what is in force.",
    ),
    "vapid-keys": ("relay.cli.vapid_keys", "VAPID_KEYS", "Make a key pair for Web Push, and print the settings."),
    "check": (
        "relay.cli.connectivity",
        "CHECK",
        "Test over which paths media reaches the relay at URL from here, and say which ports to open.",
    ),
    "call": (
        "relay.cli.call",
        "CALL",
        "Call, or answer, without a browser: send a file, write down what comes back, and say how the call was.",
    ),
    "assemble": ("relay.cli.assemble", "ASSEMBLE", "Make the files of a recording from its capture: WebM or Matroska."),
    "verify": ("relay.cli.verify", "VERIFY", "Say what a recording proves, hold it to limits, and write a report."),
    "reference": (
        "relay.cli.verify",
        "REFERENCE",
        "Make a video whose recording can be judged: a counter, and a flash and a tone each second.",
    ),
}
"""Name of each → its module, its name there, and a sentence for its help."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m relay",
        description="A call relay. Settings are environment variables, RELAY_…; see docs/configuration.md.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, constant, purpose) in COMMANDS.items():
        one = commands.add_parser(name, help=purpose, description=purpose)
        if name in (sys.argv[1:2] if arguments is None else arguments[:1]):
            with loading():
                command = getattr(import_module(module), constant)
            assert isinstance(command, Command)
            command.add_arguments(one)
            one.set_defaults(run=command.run)
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except ConfigurationError as error:
        for line in str(error).splitlines():
            print(line, file=sys.stderr)
        return EXIT_CONFIGURATION


if __name__ == "__main__":
    sys.exit(main())

"""The command line: `python -m relay COMMAND`. Each command is a module of `relay.cli`."""

import argparse
import sys
from typing import Final

from relay.cli.assemble import ASSEMBLE
from relay.cli.call import CALL
from relay.cli.check_config import CHECK_CONFIG
from relay.cli.command import EXIT_CONFIGURATION
from relay.cli.connectivity import CHECK
from relay.cli.migration import MIGRATE
from relay.cli.serve import SERVE
from relay.cli.vapid_keys import VAPID_KEYS
from relay.cli.verify import REFERENCE, VERIFY
from relay.errors import ConfigurationError

COMMANDS: Final = (SERVE, MIGRATE, CHECK_CONFIG, VAPID_KEYS, CHECK, CALL, ASSEMBLE, VERIFY, REFERENCE)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m relay",
        description="A call relay. Settings are environment variables, RELAY_…; see docs/configuration.md.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        one = commands.add_parser(command.name, help=command.purpose, description=command.purpose)
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

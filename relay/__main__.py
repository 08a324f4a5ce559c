"""The command line: `python -m relay serve|migrate|check-config|vapid-keys|check`."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable
from functools import partial

from relay import logs
from relay.app import CALLS_ENDED, MEDIA_PORTS, create_app, reload
from relay.check import command as connectivity
from relay.cli.examination import examine
from relay.composition.database import open_database
from relay.db import migrate
from relay.db.engine import check
from relay.errors import ConfigurationError
from relay.push.vapid import generate
from relay.serving import find_public_address, serve
from relay.settings.all import Settings
from relay.signals import Signals
from relay.workers.worker import fastest_loop

SHUTDOWN_TIMEOUT = 1.0
"""Seconds that open HTTP requests get to finish after the calls have ended."""

EXIT_CONFIGURATION = 2
"""Exit status when a setting is wrong or something it names cannot be opened."""

EXIT_INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the signal's number."""

_HOW_TO_TRY = """\
Open {url} in two browser windows.
  1. In one, sign in as Maya Lindgren (student 456); in the other, as Daniel Okafor (tutor 789).
  2. Press the telephone or the camera beside their conversation; accept in the other window.
Media goes through {media}. Ctrl-C ends every call and stops the server.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m relay",
        description="A call relay. Settings are environment variables, RELAY_…; see docs/configuration.md.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, purpose) in _COMMANDS.items():
        _add_options(name, commands.add_parser(name, help=purpose, description=purpose))
    commands.add_parser(_NEW_KEYS, help=_NEW_KEYS_PURPOSE, description=_NEW_KEYS_PURPOSE)
    connectivity.add_arguments(
        commands.add_parser(connectivity.NAME, help=connectivity.PURPOSE, description=connectivity.PURPOSE)
    )
    given = parser.parse_args(arguments)
    command = given.command
    if command == _NEW_KEYS:  # before there are settings
        _print_new_keys()
        return 0
    if command == connectivity.NAME:  # the settings of the relay under test count
        return _check(given)
    try:
        settings = Settings.from_environment(os.environ)
        logs.configure(settings.log_level, settings.log_format)
        logging.getLogger("alembic").setLevel(max(logging.WARNING, logging.root.level))
        for name in Settings.unknown(os.environ):
            meant = Settings.meant_by(name)
            text = f"; {meant} is one" if meant else ""
            logging.getLogger(__name__).warning("%s is no setting of the relay; it is ignored%s", name, text)
        _COMMANDS[command][0](settings, given)
    except ConfigurationError as error:
        for line in str(error).splitlines():
            print(line, file=sys.stderr)
        return EXIT_CONFIGURATION
    return 0


def _add_options(name: str, parser: argparse.ArgumentParser) -> None:
    if name != "migrate":
        return
    parser.add_argument(
        "--adopt", action="store_true", help="take over call_logs and whiteboard_call_history of another backend, with their rows"
    )
    parser.add_argument(
        "--close-unfinished", action="store_true", help="close the calls that another backend left open in these tables"
    )
    parser.add_argument(
        "--down-to",
        metavar="REVISION",
        help="go back, with loss of what was added since; base: all that the relay created or added goes",
    )


def _serve(settings: Settings, _: argparse.Namespace) -> None:
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(_serve_until_told(settings))


def _migrate(settings: Settings, given: argparse.Namespace) -> None:
    async def change() -> list[str]:
        database = open_database(settings)
        try:
            await check(database)
            if given.down_to is not None:
                await migrate.downgrade(database, given.down_to)
                return [f"The database schema is back at {given.down_to}."]
            lines = await migrate.upgrade(database, adopt=given.adopt, close_unfinished=given.close_unfinished)
            return [*lines, "The database schema is up to date."]
        finally:
            await database.dispose()

    for line in asyncio.run(change()):
        print(line)


def _check_config(settings: Settings, _: argparse.Namespace) -> None:
    for variable, value in settings.shown():
        print(f"{variable}={value}")
    good, bad = asyncio.run(examine(settings))
    for line in good:
        print(f"# {line}")
    if bad:
        raise ConfigurationError("\n".join(bad))


def _print_new_keys() -> None:
    private, public = generate()
    print(f"RELAY_VAPID_PRIVATE_KEY={private}")
    print("RELAY_VAPID_SUBJECT=mailto:operator@relay.example")
    print(f"# The public half, as GET /api/push/key shows it: {public}")


def _check(given: argparse.Namespace) -> int:
    try:
        return connectivity.run(given, partial(print, flush=True))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


_NEW_KEYS = "vapid-keys"
_NEW_KEYS_PURPOSE = "Make a key pair for Web Push, and print the settings."

_COMMANDS: dict[str, tuple[Callable[[Settings, argparse.Namespace], None], str]] = {
    "serve": (_serve, "Serve the page, the WebSocket and the media until told to stop."),
    "migrate": (_migrate, "Bring the database schema up to date."),
    "check-config": (_check_config, "Check the settings and what they name, and print what is in force."),
}


async def _serve_until_told(settings: Settings) -> None:
    # In development, closing the terminal ends the server. In operation, a service manager stops it, independent of any terminal.
    signals = Signals(ends_with_terminal=settings.dev)
    try:
        app = create_app(await find_public_address(settings))
        async with serve(app, SHUTDOWN_TIMEOUT) as port:
            signals.ready(partial(reload, app), app[CALLS_ENDED])
            _announce(settings, port, app[MEDIA_PORTS])
            await signals.stop.wait()
            logging.getLogger(__name__).info("stopping")
    except asyncio.CancelledError:
        if not signals.stop.is_set():
            raise
        logging.getLogger(__name__).info("stopped while starting")


def _announce(settings: Settings, port: int, media_ports: list[int]) -> None:
    host = settings.host if settings.host not in ("", "0.0.0.0", "::") else "localhost"  # noqa: S104
    scheme = "https" if settings.tls_cert else "http"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    if settings.dev:
        media = f"UDP port{'s' if len(media_ports) > 1 else ''} {', '.join(map(str, media_ports))}"
        print(_HOW_TO_TRY.format(url=url, media=media), flush=True)
    else:
        print(f"Serving on {url}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

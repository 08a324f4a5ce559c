"""`python -m relay migrate`: the database schema, up and down."""

import argparse
import asyncio
from typing import Final

from relay.cli.command import Command
from relay.cli.environment import settings_of_environment
from relay.composition.database import open_database
from relay.db.engine import check
from relay.db.schema import migrate


def _add_arguments(parser: argparse.ArgumentParser) -> None:
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


def _run(given: argparse.Namespace) -> int:
    settings = settings_of_environment()

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
    return 0


MIGRATE: Final = Command(_run, _add_arguments)

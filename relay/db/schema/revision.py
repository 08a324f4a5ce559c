"""Which revision the schema is at, and which one this version of the relay works with. Asked at each start, and of plain SQL and
file names: Alembic, which changes schemas, takes a fifth of a second to load.
"""

from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, column, inspect, select, table
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.naming import layout_of
from relay.errors import ConfigurationError

SCRIPTS: Final = Path(__file__).parents[1] / "migrations"
"""What Alembic runs. The name of each file begins with its revision, and each revision follows the one before."""


@cache
def known() -> tuple[str, ...]:
    """The revisions that this version of the relay knows, oldest first."""
    return tuple(sorted(file.name.partition("_")[0] for file in (SCRIPTS / "versions").glob("[0-9]*_*.py")))


def head() -> str:
    """The revision that this version of the relay works with."""
    return known()[-1]


async def current(engine: AsyncEngine) -> str | None:
    """The revision that the database is at; None if it has no schema yet."""
    async with engine.connect() as connection:
        return await connection.run_sync(revision_of)


def revision_of(connection: Connection) -> str | None:
    """The revision that the database is at; None if it has no schema yet."""
    layout = layout_of(connection)
    if not inspect(connection).has_table(layout.version_table, schema=layout.schema or None):
        return None
    versions = table(layout.version_table, column("version_num"), schema=layout.schema or None)
    revision: str | None = connection.execute(select(versions.c.version_num)).scalar_one_or_none()
    return revision


async def require_current(engine: AsyncEngine) -> None:
    """Make sure that the schema is the one that this version of the relay works with.

    Raises:
        ConfigurationError: the database is behind, or ahead.
    """
    revision = await current(engine)
    if revision == head():
        return
    check_known(revision)
    raise ConfigurationError("the database schema is not up to date; run: python -m relay migrate")


async def require_known(engine: AsyncEngine) -> None:
    """Make sure that this version of the relay, or one before, made the schema, if there is one.

    Raises:
        ConfigurationError: a newer one did.
    """
    check_known(await current(engine))


def check_known(revision: str | None) -> None:
    """
    Raises:
        ConfigurationError: a newer version of the relay made the schema.
    """
    if revision is not None and revision not in known():
        raise ConfigurationError(f"the database schema is of a newer relay (revision {revision}); update this one")

"""Brings the schema up to date. Alembic runs in this process, on our own connection, without a file of settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import patient
from relay.errors import ConfigurationError

SCRIPTS = Path(__file__).parent / "migrations"

VERSION_TABLE = "relay_version"
"""Not Alembic's default: the relay may share a database with software that uses Alembic too."""

POSTGRESQL_LOCK = 0x72656C6179
"""Key of the advisory lock that lets servers which start together migrate one after the other: "relay" in ASCII."""


async def upgrade(engine: AsyncEngine) -> None:
    """Bring the schema to the newest revision, in one transaction: all the way or not at all."""
    await _migrate(engine, command.upgrade, "head")


async def downgrade(engine: AsyncEngine, revision: str = "base") -> None:
    """Take the schema back to `revision`, and with it the data that had no place there; `base` drops everything."""
    await _migrate(engine, command.downgrade, revision)


async def current(engine: AsyncEngine) -> str | None:
    """The revision that the database is at; None if it has no schema yet."""
    async with engine.connect() as connection:
        return await connection.run_sync(_revision)


def head() -> str:
    """The revision that this version of the relay works with."""
    revision = _scripts().get_current_head()
    assert revision is not None, "the package contains its migrations"
    return revision


async def require_current(engine: AsyncEngine) -> None:
    """Make sure that the schema is the one that this version of the relay works with.

    Raises:
        ConfigurationError: the database is behind, or ahead.
    """
    revision = await current(engine)
    if revision == head():
        return
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision is None or revision in known:
        raise ConfigurationError("the database schema is not up to date; run: python -m relay migrate")
    raise ConfigurationError(f"the database schema is of a newer relay (revision {revision}); update this one")


async def _migrate(engine: AsyncEngine, run: Callable[[Config, str], None], revision: str) -> None:
    async with patient(engine) as unhurried, unhurried.begin() as connection:
        if engine.dialect.name == "sqlite":
            # Python's sqlite3 begins a transaction for INSERT, not for CREATE TABLE: say it, or half a migration stays.
            await connection.execute(text("BEGIN IMMEDIATE"))
        else:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": POSTGRESQL_LOCK})
        await connection.run_sync(lambda sync_connection: run(_config(sync_connection), revision))


def _config(connection: Connection) -> Config:
    attributes: dict[str, Any] = {"connection": connection}
    config = Config(attributes=attributes)
    # `%` starts an interpolation in there.
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(SCRIPTS))


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()

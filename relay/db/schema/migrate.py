"""Migrates the schema. Alembic runs in this process, on the relay's own connection, without a configuration file."""

from collections.abc import Callable
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.schema import CreateSchema

from relay.db.engine import patient
from relay.db.naming import layout_of
from relay.db.outage import reason_of
from relay.db.schema import adoption
from relay.db.schema.revision import SCRIPTS, check_known, revision_of
from relay.errors import ConfigurationError

POSTGRESQL_LOCK = 0x72656C6179
"""Key of the advisory lock that lets servers which start together migrate one after the other: "relay" in ASCII."""

_Result = TypeVar("_Result")


async def upgrade(engine: AsyncEngine, *, adopt: bool = False, close_unfinished: bool = False) -> list[str]:
    """Bring the schema to the newest revision, in one transaction: all the way or not at all.

    Args:
        adopt: take over the tables of calls that are there already (`relay.db.schema.adoption`).
        close_unfinished: close the calls that another backend left open.

    Returns:
        If it adopted or closed something: a line for each table of calls, that says what there is.

    Raises:
        ConfigurationError: what is there already is in the way, or the database refuses; nothing has changed.
    """

    def steps(connection: Connection, config: Config) -> list[str]:
        _create_schema(connection)
        ledger = config.attributes["ledger"]
        if revision_of(connection) is None:
            present = adoption.look(connection)
            adoption.require_free(connection, present, adopt=adopt)
            adoption.require_contract(connection, present.calls)
            if present.calls:
                ledger.open(present.calls)
        _find_own_indexes(connection)
        command.upgrade(config, "head")
        closed = adoption.close_unfinished(connection) if close_unfinished else None
        return adoption.report(connection, ledger, closed) if adopt or close_unfinished else []

    return await _migrate(engine, steps)


async def downgrade(engine: AsyncEngine, revision: str = "base") -> None:
    """Take the schema back to `revision`, and with it the data that had no place there.

    `base` drops everything that the relay created. Tables of calls that were adopted stay, without what was added to them.
    """

    def steps(connection: Connection, config: Config) -> None:
        _find_own_indexes(connection)
        command.downgrade(config, revision)
        if revision_of(connection) is None:
            config.attributes["ledger"].close()

    await _migrate(engine, steps)


async def _migrate(engine: AsyncEngine, steps: Callable[[Connection, Config], _Result]) -> _Result:
    try:
        async with patient(engine) as unhurried, unhurried.begin() as connection:
            if engine.dialect.name == "sqlite":
                # Python's sqlite3 begins a transaction for INSERT, not for CREATE TABLE: begin here, or half a migration stays.
                await connection.execute(text("BEGIN IMMEDIATE"))
            else:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": POSTGRESQL_LOCK})
            check_known(await connection.run_sync(revision_of))
            return await connection.run_sync(lambda sync_connection: steps(sync_connection, _config(sync_connection)))
    except DBAPIError as error:
        raise ConfigurationError(f"the database refuses the migration, and nothing has changed: {reason_of(error)}") from error
    except CommandError as error:  # of Alembic: there is no such revision
        raise ConfigurationError(str(error)) from error


def _create_schema(connection: Connection) -> None:
    schema = layout_of(connection).schema
    # Not IF NOT EXISTS: PostgreSQL asks for the right to create one first.
    if schema and not inspect(connection).has_schema(schema):
        connection.execute(CreateSchema(schema))


def _find_own_indexes(connection: Connection) -> None:
    """Let statements find the indexes of the relay's own tables: one that drops an index does not name its table."""
    schema = layout_of(connection).schema
    if schema:
        # Until the end of the transaction.
        path = text("SELECT set_config('search_path', current_setting('search_path') || ', ' || quote_ident(:schema), true)")
        connection.execute(path, {"schema": schema})


def _config(connection: Connection) -> Config:
    attributes: dict[str, Any] = {"connection": connection, "ledger": adoption.Ledger(connection)}
    config = Config(attributes=attributes)
    # `%` starts an interpolation in there.
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config


def version_options(connection: Connection) -> dict[str, Any]:
    """For Alembic: where it keeps the revision."""
    layout = layout_of(connection)
    return {"version_table": layout.version_table, "version_table_schema": layout.schema or None}

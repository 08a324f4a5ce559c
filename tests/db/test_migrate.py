import asyncio
import logging

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import create_engine
from db.migrate import VERSION_TABLE, current, downgrade, head, require_current, upgrade
from db.models import Base
from relay.errors import ConfigurationError


@pytest.fixture
async def schema(empty_engine: AsyncEngine) -> AsyncEngine:
    """An engine on a database with the newest schema, which may be changed."""
    await upgrade(empty_engine)
    return empty_engine


async def tables(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def set_revision(engine: AsyncEngine, revision: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :revision"), {"revision": revision})


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_server_default": True})
    return list(compare_metadata(context, Base.metadata))


async def test_a_new_database_has_no_revision(empty_engine: AsyncEngine) -> None:
    assert await current(empty_engine) is None


async def test_upgrading_creates_every_table_and_ends_at_the_newest_revision(empty_engine: AsyncEngine) -> None:
    await upgrade(empty_engine)
    assert await tables(empty_engine) == {*Base.metadata.tables, VERSION_TABLE}
    assert await current(empty_engine) == head()


async def test_the_migrations_make_what_the_models_say(schema: AsyncEngine) -> None:
    async with schema.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_the_migrations_make_the_checks_that_the_models_say(schema: AsyncEngine) -> None:
    async with schema.connect() as connection:
        checks = await connection.run_sync(lambda sync: inspect(sync).get_check_constraints("call_logs"))
    assert {check["name"] for check in checks} == {"ck_call_logs_call_type", "ck_call_logs_status"}


async def test_upgrading_twice_changes_nothing(schema: AsyncEngine) -> None:
    await upgrade(schema)
    assert await current(schema) == head()


async def test_downgrading_drops_everything_and_upgrading_brings_it_back(schema: AsyncEngine) -> None:
    await downgrade(schema)
    assert await tables(schema) == {VERSION_TABLE}
    assert await current(schema) is None
    await upgrade(schema)
    async with schema.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_servers_that_start_together_migrate_one_after_the_other(database_url: str) -> None:
    engines = [create_engine(database_url) for _ in range(3)]
    await asyncio.gather(*map(upgrade, engines))
    assert await current(schemas[0]) == head()
    for engine in engines:
        await engine.dispose()


async def test_an_upgrade_that_fails_half_way_leaves_nothing_behind(empty_engine: AsyncEngine) -> None:
    async with empty_engine.begin() as connection:
        await connection.execute(text("CREATE TABLE call_logs (id INTEGER)"))
    with pytest.raises(Exception, match="already exists"):
        await upgrade(empty_engine)
    assert await tables(empty_engine) == {"call_logs"}


async def test_the_schema_of_this_version_is_accepted(schema: AsyncEngine) -> None:
    await require_current(schema)


async def test_a_database_without_a_schema_is_refused_with_the_command_that_makes_it(empty_engine: AsyncEngine) -> None:
    with pytest.raises(ConfigurationError, match="run: python -m relay migrate"):
        await require_current(empty_engine)


async def test_a_database_of_a_newer_relay_is_refused(schema: AsyncEngine) -> None:
    await set_revision(schema, "9999")
    with pytest.raises(ConfigurationError, match=r"newer relay \(revision 9999\)"):
        await require_current(schema)


async def test_migrating_prints_nothing_and_leaves_logging_alone(
    empty_engine: AsyncEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    await upgrade(empty_engine)
    assert capfd.readouterr() == ("", "")
    assert (logging.getLogger().handlers, logging.getLogger().level) == before

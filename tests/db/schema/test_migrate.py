import asyncio
import logging
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, bindparam, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.demo import load_demo
from relay.db.engine import create_engine
from relay.db.history import SqlHistory
from relay.db.models import Base, CallRow
from relay.db.naming import VERSION_TABLE
from relay.db.schema.migrate import downgrade, upgrade
from relay.db.schema.revision import SCRIPTS, current, head, known, require_current
from relay.db.settings import SqlSettings
from relay.errors import ConfigurationError
from relay.ids import Profile, Scope, ScopeKind
from relay.media.api import Route
from relay.signaling.ports import MediaPath
from tests.db.calls import call, say
from tests.db.people import T0, after


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


def test_the_revisions_that_file_names_tell_are_those_of_alembic() -> None:
    found = [script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()]
    assert list(known()) == found[::-1]
    assert head() == ScriptDirectory(str(SCRIPTS)).get_current_head()


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
    def checks(connection: Connection) -> set[str | None]:
        tables = inspect(connection).get_multi_check_constraints().values()
        return {check["name"] for table in tables for check in table}

    async with schema.connect() as connection:
        found = await connection.run_sync(checks)
    assert found == {
        constraint.name
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert len(found) == 10


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
    assert await current(engines[0]) == head()
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


# -- with rows in the tables ------------------------------------------------------------------------------------------

CALL = {
    "conversation_id": 123,
    "caller_profile_type": "student",
    "caller_profile_id": 456,
    "caller_user_id": 1456,
    "call_type": "voice",
    "status": "ended",
    "started_at": T0,
    "answered_at": after(10),
    "ended_at": after(60),
    "duration_seconds": 50,
    "participants": None,
    "created_at": T0,
    "call_id": None,
    "end_reason": None,
    "node": None,
    "heartbeat_at": None,
}
"""A row of the first schema, as the backend that the relay replaces wrote it."""

STUDENT = {"profile_type": "student", "profile_id": 456, "name": "Maya"}
TUTOR = {"profile_type": "tutor", "profile_id": 789, "name": "Émile"}
PARENT = {"profile_type": "parent", "profile_id": 321, "name": "zoe"}


async def at_first_schema(engine: AsyncEngine, *calls: dict[str, Any]) -> None:
    """Take the database back to the first schema, and fill it."""
    await downgrade(engine, "0001")
    async with engine.begin() as connection:
        for statement in (
            "INSERT INTO profiles (profile_type, profile_id, name) VALUES ('student', 456, 'Maya')",
            "INSERT INTO conversations (id) VALUES (123)",
            "INSERT INTO conversation_members VALUES (123, 'student', 456)",
        ):
            await connection.execute(text(statement))
        columns = ", ".join(CALL)
        insert = text(f"INSERT INTO call_logs ({columns}) VALUES ({', '.join(f':{name}' for name in CALL)})")
        table = CallRow.__table__.columns
        typed = insert.bindparams(*(bindparam(name, type_=table[name].type) for name in CALL))
        for call in calls:
            await connection.execute(typed, {**CALL, **call})


async def rows(engine: AsyncEngine, table: str, *columns: str) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        found = await connection.execute(text(f"SELECT {', '.join(columns) or '*'} FROM {table} ORDER BY 1"))
        return [dict(row) for row in found.mappings()]


OLD_CALLS: list[tuple[Any, tuple[str, int] | None]] = [
    ([{**STUDENT, "role": "caller"}, {**TUTOR, "role": "callee"}], ("tutor", 789)),
    ([{**TUTOR, "role": "callee"}, {**STUDENT, "role": "caller"}, PARENT], ("tutor", 789)),
    ([STUDENT, TUTOR], ("tutor", 789)),
    ([TUTOR], ("tutor", 789)),
    ([STUDENT, TUTOR, PARENT], None),
    ([STUDENT], None),
    ([], None),
    (None, None),
    ("tutor_789", None),
    ({"callee": TUTOR}, None),
    ([789, None, "tutor", ["tutor", 789]], None),
    ([{"profile_type": "tutor", "profile_id": "789"}], None),
    ([{"profile_type": "tutor", "profile_id": True}], None),
    ([{"profile_type": "tutor", "profile_id": 2**31}], None),
    ([{"profile_type": "t" * 51, "profile_id": 789}], None),
    ([{"profile_type": ["tutor"], "profile_id": 789}], None),
]
"""What was written as the participants of a call, and its callee."""


async def test_the_callee_of_an_old_call_is_read_from_its_participants(schema: AsyncEngine) -> None:
    await at_first_schema(schema, *({"participants": participants} for participants, _ in OLD_CALLS))
    await upgrade(schema)
    calls = await rows(schema, "call_logs", "id", "callee_profile_type", "callee_profile_id")
    read = [(call["callee_profile_type"], call["callee_profile_id"]) for call in calls]
    wrong = [
        (one, callee) for (one, expected), callee in zip(OLD_CALLS, read, strict=True) if callee != (expected or (None, None))
    ]
    assert not wrong


async def test_all_old_calls_get_their_callee_however_many(schema: AsyncEngine) -> None:
    await at_first_schema(schema, {"participants": [STUDENT, TUTOR]})
    async with schema.begin() as connection:
        for _ in range(11):
            columns = ", ".join(name for name in CALL if name != "call_id")
            await connection.execute(text(f"INSERT INTO call_logs ({columns}) SELECT {columns} FROM call_logs"))
    await upgrade(schema)
    callees = await rows(schema, "call_logs", "callee_profile_id")
    assert callees == [{"callee_profile_id": 789}] * 2**11


async def test_calls_missed_before_the_migration_count_as_seen(schema: AsyncEngine) -> None:
    await at_first_schema(
        schema,
        {"status": "missed", "participants": [STUDENT, TUTOR]},
        {"status": "missed", "participants": [STUDENT, TUTOR], "ended_at": None},
        {"status": "ended", "participants": [STUDENT, TUTOR]},
    )
    await upgrade(schema)
    history = SqlHistory(schema, ScopeKind.CONVERSATION)
    tutor = Profile("tutor", 789)
    assert [call.seen for call in (await history.calls(tutor, limit=10, missed=True)).calls] == [True, True]
    assert await history.unseen_count(tutor) == 0


async def test_old_rows_survive_the_way_up_and_down_again(schema: AsyncEngine) -> None:
    await at_first_schema(
        schema,
        {"participants": [STUDENT, TUTOR]},
        {"status": "missed", "participants": "whatever"},
        {"status": "answered", "ended_at": None, "call_id": "a" * 32, "node": "here", "heartbeat_at": after(20)},
        {"conversation_id": None, "status": "initiated", "call_id": "b" * 32, "node": "here"},
    )
    tables_then = ("profiles", "conversations", "conversation_members", "call_logs")
    before = {table: await rows(schema, table) for table in tables_then}
    await upgrade(schema)
    for old, new in zip(before["call_logs"], await rows(schema, "call_logs"), strict=True):
        assert {name: new[name] for name in old} == old
        assert (new["keep"], new["transferred_from"], new["caller_deleted_at"], new["callee_deleted_at"]) == (0, None, None, None)
    await downgrade(schema, "0001")
    assert {table: await rows(schema, table) for table in tables_then} == before
    assert await tables(schema) == {*tables_then, VERSION_TABLE}
    await upgrade(schema)
    async with schema.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_going_down_takes_what_had_no_place_there_and_nothing_else(schema: AsyncEngine) -> None:
    await load_demo(schema)
    lessons, whiteboard = Scope(ScopeKind.CONVERSATION, 123), Scope(ScopeKind.WHITEBOARD_SESSION, 900)
    for scope in (lessons, whiteboard):
        call_id = await call(schema, scope, answered=1, reason="hangup")
        await say(schema, lessons, call_id, Profile("student", 456), "hello")
    await SqlSettings(schema).block(Profile("tutor", 789), Profile("student", 456))
    calls = await rows(schema, "call_logs", *CALL)
    people = await rows(schema, "profiles")
    await downgrade(schema, "0001")
    assert await rows(schema, "call_logs", *CALL) == calls
    assert await rows(schema, "profiles") == people
    assert len(await rows(schema, "conversation_members")) == 6


async def test_calls_with_paths_lose_them_on_the_way_down_and_nothing_else(schema: AsyncEngine) -> None:
    await load_demo(schema)
    tables_of_calls = ("call_logs", "whiteboard_call_history")
    for scope in (Scope(ScopeKind.CONVERSATION, 123), Scope(ScopeKind.WHITEBOARD_SESSION, 900)):
        path = MediaPath(Route("turn-tls", "ipv4"), 0.0421)
        await call(schema, scope, answered=1, reason="hangup", caller_path=path, callee_path=path)
    paths = {f"{role}_{name}" for role in ("caller", "callee") for name in ("route", "family", "rtt_ms")}
    await downgrade(schema, "0003")
    before = {table: await rows(schema, table) for table in tables_of_calls}
    await downgrade(schema, "0002")
    for table in tables_of_calls:
        [old], [new] = before[table], await rows(schema, table)
        assert new == {name: value for name, value in old.items() if name not in paths}
        assert {old[name] for name in paths} == {"turn-tls", "ipv4", 42.1}
    await upgrade(schema)
    for table in tables_of_calls:
        [new], [row] = await rows(schema, table), before[table]
        assert new == {**new, **row, **dict.fromkeys(paths)}
        assert new["hidden_from_callee"] in (False, 0), "the callee sees what it saw before"
    async with schema.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_the_first_schema_comes_back_with_its_indexes(schema: AsyncEngine) -> None:
    def indexes(connection: Connection) -> set[str | None]:
        return {index["name"] for index in inspect(connection).get_indexes("call_logs")}

    await downgrade(schema, "0001")
    async with schema.connect() as connection:
        assert await connection.run_sync(indexes) >= {
            "ix_call_logs_caller_profile_type_caller_profile_id_started_at",
            "ix_call_logs_conversation_id_started_at",
            "ix_call_logs_open",
        }

"""The relay moves into the database of the platform whose backend it replaces."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.call_log import SqlCallLog
from relay.db.chat import SqlChatLog
from relay.db.directory import SqlDirectory
from relay.db.engine import create_engine
from relay.db.history import SqlHistory, SqlMissedCalls
from relay.db.models import Base
from relay.db.naming import Layout
from relay.db.personal_data import SqlPersonalData
from relay.db.platform import SqlPlatform
from relay.db.retention import SqlRetention
from relay.db.schema.migrate import downgrade, upgrade
from relay.db.schema.revision import current, head, require_current
from relay.db.settings import SqlSettings
from relay.errors import ConfigurationError
from relay.ids import Profile, Scope, ScopeKind
from relay.settings.database import TableSettings
from relay.settings.retention import RetentionSettings
from relay.signaling.ports import ChatMessage
from tests.db.calls import call
from tests.db.people import STUDENT, TUTOR, after
from tests.db.platform_database import TABLES, WHITEBOARD_CALLS, fill, rows, shape, spelt
from tests.kit.cluster import ThisNode

LAYOUTS = {
    "sqlite": Layout(TableSettings(database_prefix="relay_")),
    "postgresql": Layout(TableSettings(database_schema="relay")),
}
CONVERSATION, SESSION = Scope(ScopeKind.CONVERSATION, 1), Scope(ScopeKind.WHITEBOARD_SESSION, 1)


@pytest.fixture
async def platforms(empty_engine: AsyncEngine) -> AsyncEngine:
    """The platform's own engine, on its database."""
    await fill(empty_engine)
    return empty_engine


@pytest.fixture
async def ours(platforms: AsyncEngine, database_url: str) -> AsyncIterator[AsyncEngine]:
    """The relay's engine on the same database, with a layout in which nothing collides."""
    engine = create_engine(database_url, layout=LAYOUTS[platforms.dialect.name])
    yield engine
    await engine.dispose()


async def tell_of_the_people(engine: AsyncEngine) -> None:
    """What the platform says by `/api/admin`."""
    platform = SqlPlatform(engine)
    await platform.put_profiles([STUDENT, TUTOR])
    for scope in (CONVERSATION, SESSION):
        await platform.put_scope(scope, [STUDENT.profile, TUTOR.profile], keep_chat=True)


async def refusal(engine: AsyncEngine, **options: bool) -> str:
    with pytest.raises(ConfigurationError) as refused:
        await upgrade(engine, **options)
    return str(refused.value)


# -- what it says -----------------------------------------------------------------------------------------------------


async def test_without_being_asked_to_the_relay_takes_nothing_over_and_says_how_it_would(platforms: AsyncEngine) -> None:
    before = await shape(platforms)
    said = await refusal(platforms)
    assert "call_logs, whiteboard_call_history already exist" in said
    assert "python -m relay migrate --adopt" in said
    assert "RELAY_DATABASE_PREFIX" in said
    assert "\n" not in said
    assert await shape(platforms) == before


async def test_tables_that_collide_with_the_relays_own_are_named_with_the_setting_that_helps(platforms: AsyncEngine) -> None:
    before = await shape(platforms)
    said = await refusal(platforms, adopt=True)
    for table in ("blocks", "conversations", "conversation_members", "profiles", "whiteboard_sessions"):
        assert table in said
    assert "RELAY_DATABASE_PREFIX" in said
    assert ("RELAY_DATABASE_SCHEMA" in said) == (platforms.dialect.name == "postgresql")
    assert await shape(platforms) == before


async def test_adopting_says_in_a_line_per_table_what_it_did(ours: AsyncEngine) -> None:
    lines = await upgrade(ours, adopt=True)
    assert [line.partition(":")[0] for line in lines] == list(TABLES)
    for line in lines:
        assert "adopted" in line
        assert "all 6 rows kept" in line
        assert "2 of them unfinished (--close-unfinished closes them)" in line
    assert await current(ours) == head()
    await require_current(ours)


async def test_adopting_again_changes_nothing(ours: AsyncEngine, platforms: AsyncEngine) -> None:
    first = await upgrade(ours, adopt=True)
    before = await shape(platforms), [await rows(platforms, table) for table in TABLES]
    assert await upgrade(ours, adopt=True) == first
    assert (await shape(platforms), [await rows(platforms, table) for table in TABLES]) == before


async def test_an_empty_database_may_be_migrated_with_the_same_command(empty_engine: AsyncEngine) -> None:
    assert await upgrade(empty_engine, adopt=True) == [f"{table}: the relay's own, 0 rows" for table in TABLES]


async def test_a_relay_without_a_layout_of_its_own_does_not_get_a_second_one(
    empty_engine: AsyncEngine, database_url: str
) -> None:
    await upgrade(empty_engine)
    other = create_engine(database_url, layout=LAYOUTS[empty_engine.dialect.name])
    assert "has the relay's tables already" in await refusal(other, adopt=True)
    await other.dispose()


async def test_tables_are_not_adopted_twice_when_the_settings_were_forgotten(
    ours: AsyncEngine, platforms: AsyncEngine, database_url: str
) -> None:
    await upgrade(ours, adopt=True)
    before = await shape(platforms)
    other = create_engine(database_url, layout=Layout(TableSettings(database_prefix="other_")))
    assert "set RELAY_DATABASE_SCHEMA and RELAY_DATABASE_PREFIX as they were" in await refusal(other, adopt=True)
    assert await shape(platforms) == before
    await other.dispose()


# -- what it leaves alone ---------------------------------------------------------------------------------------------


async def test_adopting_only_adds(ours: AsyncEngine, platforms: AsyncEngine) -> None:
    before, rows_before = await shape(platforms), {table: await rows(platforms, table) for table in TABLES}
    await upgrade(ours, adopt=True)
    after_it = await shape(platforms)
    for table, was in before.items():
        now = after_it[table]
        assert now["columns"][: len(was["columns"])] == was["columns"]
        for part in ("indexes", "keys", "unique", "checks"):
            assert set(was[part]) <= set(now[part])
        if table not in TABLES:
            assert now == was
    for table, was in rows_before.items():
        now = await rows(platforms, table)
        assert [{name: row[name] for name in old} for row, old in zip(now, was, strict=True)] == was


async def test_going_down_again_leaves_the_platforms_tables_as_they_were(ours: AsyncEngine, platforms: AsyncEngine) -> None:
    tables = ("users", "conversations", "conversation_members", *TABLES)
    before = await shape(platforms), {table: await rows(platforms, table) for table in tables}
    await upgrade(ours, adopt=True)
    await downgrade(ours, "0002")
    await upgrade(ours)
    await downgrade(ours)
    assert (await shape(platforms), {table: await rows(platforms, table) for table in tables}) == before
    assert await current(ours) is None
    assert "adopted" in (await upgrade(ours, adopt=True))[0]


async def test_columns_and_indexes_that_the_platform_had_stay_on_the_way_down(ours: AsyncEngine, platforms: AsyncEngine) -> None:
    async with platforms.begin() as connection:
        await connection.execute(text("ALTER TABLE call_logs ADD COLUMN end_reason VARCHAR(100)"))
        await connection.execute(text("ALTER TABLE call_logs ADD COLUMN callee_profile_id INTEGER"))
        await connection.execute(text("UPDATE call_logs SET end_reason = 'theirs'"))
    before = await shape(platforms), await rows(platforms, "call_logs")
    await upgrade(ours, adopt=True)
    assert {row["end_reason"] for row in await rows(platforms, "call_logs")} == {"theirs"}
    await downgrade(ours)
    assert (await shape(platforms), await rows(platforms, "call_logs")) == before


async def test_one_table_is_taken_over_and_the_other_made(ours: AsyncEngine, platforms: AsyncEngine) -> None:
    async with platforms.begin() as connection:
        await connection.execute(text("DROP TABLE whiteboard_call_history"))
    before = await shape(platforms)
    lines = await upgrade(ours, adopt=True)
    assert "adopted" in lines[0]
    assert lines[1] == "whiteboard_call_history: the relay's own, 0 rows"
    await downgrade(ours)
    assert await shape(platforms) == before


# -- what it refuses --------------------------------------------------------------------------------------------------

CHANGES: dict[str, tuple[str, str]] = {
    "missing": ("ALTER TABLE call_logs DROP COLUMN duration_seconds", "call_logs.duration_seconds: missing, expected integer"),
    "renamed": (
        "ALTER TABLE whiteboard_call_history RENAME COLUMN session_id TO sid",
        "whiteboard_call_history.session_id: missing",
    ),
    "clash": ("ALTER TABLE call_logs ADD COLUMN node INTEGER", "call_logs.node: found integer, expected varchar(100)"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_table_that_does_not_keep_the_contract_is_refused_and_nothing_changed(
    ours: AsyncEngine, platforms: AsyncEngine, change: str
) -> None:
    statement, expected = CHANGES[change]
    async with platforms.begin() as connection:
        await connection.execute(text(statement))
    before = await shape(platforms)
    said = await refusal(ours, adopt=True)
    assert expected.lower() in said.lower()
    assert "nothing has been changed" in said
    assert await shape(platforms) == before
    assert await current(ours) is None


TYPES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    # Column → another type, and what is expected.
    "postgresql": {
        "caller_profile_id": ("BIGINT", "found bigint, expected integer"),
        "status": ("VARCHAR(8)", "found character varying(8), expected varchar(20)"),
        "started_at": ("TIMESTAMP WITH TIME ZONE", "found timestamp with time zone, expected timestamp without time zone"),
        "participants": ("JSON", "found json, expected jsonb"),
    },
    "sqlite": {
        "caller_profile_id": ("TEXT", "found TEXT, expected integer"),
        "status": ("INTEGER", "found INTEGER, expected varchar(20)"),
        "started_at": ("INTEGER", "found INTEGER, expected datetime"),
        "participants": ("BLOB", "found BLOB, expected json"),
    },
}


async def test_a_column_of_another_type_is_named_with_what_was_found_and_expected(
    ours: AsyncEngine, platforms: AsyncEngine
) -> None:
    types = TYPES[platforms.dialect.name]
    async with platforms.begin() as connection:
        await connection.execute(text("DROP INDEX ix_call_logs_started_at"))
        for column, (other, _) in types.items():
            await connection.execute(text(f"ALTER TABLE call_logs DROP COLUMN {column}"))
            await connection.execute(text(f"ALTER TABLE call_logs ADD COLUMN {column} {other}"))
    said = (await refusal(ours, adopt=True)).splitlines()
    assert sorted(said) == sorted(
        [*(f"call_logs.{column}: {expected}" for column, (_, expected) in types.items()), "nothing has been changed"]
    )


STRICT = {
    "id {serial}": ("id INTEGER NOT NULL", "id: has no default that numbers new rows"),
    "ended_at TIMESTAMP": ("ended_at TIMESTAMP NOT NULL", "ended_at: must allow NULL"),
    "network_quality VARCHAR(10)": (
        "network_quality VARCHAR(10) NOT NULL",
        "network_quality: needs a default or must allow NULL",
    ),
}
"""What the platform may have written into its table → what it wrote instead, and what the relay says."""


async def test_a_table_that_the_relay_could_not_write_to_is_refused(ours: AsyncEngine, platforms: AsyncEngine) -> None:
    statement = WHITEBOARD_CALLS
    for lax, (strict, _) in STRICT.items():
        statement = statement.replace(lax, strict)
    async with platforms.begin() as connection:
        await connection.execute(text("DROP TABLE whiteboard_call_history"))
        await connection.exec_driver_sql(spelt(platforms, statement))
    said = await refusal(ours, adopt=True)
    assert all(f"whiteboard_call_history.{expected}" in said for _, expected in STRICT.values())
    assert len(said.splitlines()) == len(STRICT) + 1


async def test_text_that_is_no_json_is_found_before_anything_changes(ours: AsyncEngine, platforms: AsyncEngine) -> None:
    if platforms.dialect.name == "postgresql":
        return  # which lets none in
    async with platforms.begin() as connection:
        await connection.execute(text("UPDATE call_logs SET participants = '[Maya]' WHERE id = 1"))
    assert "call_logs.participants: 1 rows have text that is not JSON" in await refusal(ours, adopt=True)


# -- what works afterwards --------------------------------------------------------------------------------------------


async def test_old_calls_stand_in_the_history_and_new_ones_beside_them(ours: AsyncEngine, platforms: AsyncEngine) -> None:
    await upgrade(ours, adopt=True)
    await tell_of_the_people(ours)
    for scope in (CONVERSATION, SESSION):
        await old_and_new_calls_are_in_the_history(ours, scope)
    assert (await SqlMissedCalls(ours).unseen(TUTOR.profile, 10)).count == 0


async def old_and_new_calls_are_in_the_history(ours: AsyncEngine, scope: Scope) -> None:
    call_id = await call(ours, scope, answered=10, reason="hangup")
    history = SqlHistory(ours, scope.kind)
    page = await history.calls(STUDENT.profile, limit=3)
    found = [*page.calls, *(await history.calls(STUDENT.profile, limit=50, cursor=page.next_cursor)).calls]
    assert [(one.id, one.status, one.duration_seconds) for one in found] == [
        (call_id, "ended", 50),
        ("5", "ended", 4),
        ("4", "answered", None),
        ("3", "initiated", None),
        ("2", "missed", None),
        ("1", "ended", 300),
    ]
    assert [one.other and one.other.name for one in found] == ["Émile", None, *["Émile"] * 4]
    assert await history.call(STUDENT.profile, "1") is not None
    incoming = (await history.calls(TUTOR.profile, limit=50)).calls
    assert [one.id for one in incoming] == [call_id, "4", "2", "1"]


async def test_a_call_is_written_where_the_platform_reads_it(ours: AsyncEngine, platforms: AsyncEngine) -> None:
    await upgrade(ours, adopt=True)
    await tell_of_the_people(ours)
    for scope, (table, scope_column) in zip((CONVERSATION, SESSION), TABLES.items(), strict=True):
        await call(ours, scope, answered=10, reason="hangup")
        row = (await rows(platforms, table))[-1]
        assert row[scope_column] == 1
        assert (row["caller_profile_type"], row["caller_profile_id"], row["caller_user_id"]) == ("student", 456, 1456)
        ended = (row["status"], row["duration_seconds"], row["network_quality"], bool(row["billed"]))
        assert ended == ("ended", 50, None, True)
        assert row["created_at"] is not None


async def test_every_store_works_under_other_names(ours: AsyncEngine, platforms: AsyncEngine) -> None:
    theirs = {table: await rows(platforms, table) for table in ("conversations", "profiles", "blocks", "conversation_members")}
    await upgrade(ours, adopt=True)
    await tell_of_the_people(ours)
    call_id = await call(ours, CONVERSATION, answered=10)
    await SqlChatLog(ours).add(call_id, CONVERSATION, ChatMessage("m1", STUDENT.profile, "hello", after(20)))
    assert await SqlSettings(ours).block(STUDENT.profile, TUTOR.profile)
    await SqlPlatform(ours).connect(STUDENT.profile, TUTOR.profile)
    eligibility = await SqlDirectory(ours).eligibility(CONVERSATION, STUDENT.profile, TUTOR.profile)
    assert (eligibility.members, eligibility.blocked, eligibility.connected) == (True, True, True)
    assert await SqlDirectory(ours).add_conversation([STUDENT.profile, TUTOR.profile]) == 2
    data = SqlPersonalData(ours)
    exported = await data.export(STUDENT.profile)
    assert exported is not None
    assert [len(exported[name]) for name in ("blocks", "connections", "conversations", "chat")] == [1, 1, 2, 1]
    assert await SqlRetention(ours).apply(RetentionSettings(retain_identities_days=1), after(10 * 86400)) is not None
    assert await data.erase(STUDENT.profile, after(30))
    assert {table: await rows(platforms, table) for table in theirs} == theirs


async def test_unfinished_calls_of_the_old_backend_are_closed_only_when_asked(ours: AsyncEngine, platforms: AsyncEngine) -> None:
    await upgrade(ours, adopt=True)
    log = SqlCallLog(ours, ThisNode("here"), ScopeKind.CONVERSATION)
    assert (await log.close_own(), await log.signs([])) == (0, {})
    open_call = await call(ours, CONVERSATION, reason=None)
    lines = await upgrade(ours, close_unfinished=True)
    assert all("2 unfinished ones closed" in line for line in lines)
    found = await rows(
        platforms, "call_logs", "id, status, started_at, answered_at, ended_at, duration_seconds, end_reason, call_id"
    )
    assert [(row["status"], row["duration_seconds"], row["end_reason"]) for row in found[2:4]] == [
        ("missed", None, "expired"),
        ("ended", 0, "expired"),
    ]
    assert [row["ended_at"] for row in found[2:4]] == [found[2]["started_at"], found[3]["answered_at"]]
    assert [row["status"] for row in found if row["call_id"] == open_call] == ["initiated"]
    assert (await SqlMissedCalls(ours).unseen(TUTOR.profile, 10)).count == 0


async def test_a_call_at_a_scope_that_the_platform_has_deleted_is_written_without_it(
    ours: AsyncEngine, platforms: AsyncEngine
) -> None:
    """Two tables say which conversations there are, and one of them hears of it later."""
    await upgrade(ours, adopt=True)
    await tell_of_the_people(ours)
    elsewhere = Scope(ScopeKind.CONVERSATION, 99)
    await SqlPlatform(ours).put_scope(elsewhere, [STUDENT.profile, TUTOR.profile])
    await call(ours, elsewhere, answered=10)
    row = (await rows(platforms, "call_logs"))[-1]
    assert (row["conversation_id"], row["status"]) == (None, "ended")


async def test_a_refused_call_at_no_scope_is_not_written_where_each_call_must_have_one(
    ours: AsyncEngine, platforms: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await upgrade(ours, adopt=True)
    await tell_of_the_people(ours)
    before = await rows(platforms, "whiteboard_call_history")
    await call(ours, Scope(ScopeKind.WHITEBOARD_SESSION, 5), reason=None)
    assert await rows(platforms, "whiteboard_call_history") == before
    assert "is in no whiteboard session and cannot be written down" in caplog.text


async def test_the_relays_tables_are_where_the_layout_says(ours: AsyncEngine) -> None:
    await upgrade(ours, adopt=True)
    layout = LAYOUTS[ours.dialect.name]
    async with ours.connect() as connection:
        there = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names(schema=layout.schema or None)))
    assert {f"{layout.prefix}{name}" for name in ("profiles", "conversations", "relay_version", "call_chat_messages")} <= there


async def test_a_prefix_works_on_either_database(empty_engine: AsyncEngine, database_url: str) -> None:
    await fill(empty_engine)
    engine = create_engine(database_url, layout=Layout(TableSettings(database_prefix="r_")))
    try:
        await upgrade(engine, adopt=True)
        await tell_of_the_people(engine)
        await call(engine, CONVERSATION)
        assert len(await SqlDirectory(engine).conversations(Profile("tutor", 789))) == 1
        await downgrade(engine)
    finally:
        await engine.dispose()


def test_no_column_has_the_name_of_a_table() -> None:
    """Or it would be renamed with the table."""
    names: set[Any] = {column.name for table in Base.metadata.tables.values() for column in table.columns}
    assert not names & set(Base.metadata.tables)

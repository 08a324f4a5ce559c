"""Who exists, and who shares a conversation, as views over the platform's own tables tell it."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.call_log import SqlCallLog
from relay.db.chat import SqlChatLog
from relay.db.directory import SqlDirectory
from relay.db.engine import create_engine
from relay.db.history import SqlHistory
from relay.db.models.known import KNOWN, Known
from relay.db.naming import VIEW, VIEWS, Layout
from relay.db.personal_data import SqlPersonalData
from relay.db.platform import SqlPlatform
from relay.db.push import SqlPushSubscriptions
from relay.db.schema.migrate import upgrade
from relay.db.schema.views import require_views
from relay.db.settings import SqlSettings
from relay.errors import ConfigurationError, ReadOnly
from relay.ids import Profile, Scope, ScopeKind
from relay.records.calls import SettingsRecord
from relay.records.profiles import Privacy, ProfileCard
from relay.settings.database import TableSettings
from relay.signaling.ports import ChatMessage, ConversationCard
from tests.db.calls import call
from tests.db.people import T0, after
from tests.db.platform_database import fill, rows
from tests.kit.cluster import ThisNode

STUDENT, TUTOR = Profile("student", 456), Profile("tutor", 789)
MAYA = ProfileCard(STUDENT, "maya@platform.example", "", 1)
DANIEL = ProfileCard(TUTOR, "daniel@platform.example", "", 2)
LESSON, BOARD = Scope(ScopeKind.CONVERSATION, 1), Scope(ScopeKind.WHITEBOARD_SESSION, 1)

VIEW_DEFINITIONS = {
    "profiles": """
        SELECT m.profile_type, m.profile_id, u.id AS user_id, u.email AS name, NULL AS avatar
        FROM conversation_members m JOIN users u ON u.id = CASE m.profile_type WHEN 'student' THEN 1 ELSE 2 END
    """,
    "conversations": "SELECT id, {true} AS keep_chat FROM conversations",
    "conversation_members": "SELECT conversation_id, profile_type, profile_id FROM conversation_members",
    "whiteboard_sessions": "SELECT id, {false} AS keep_chat FROM whiteboard_sessions",
    "whiteboard_session_members": "SELECT 1 AS session_id, profile_type, profile_id FROM conversation_members",
    "profile_connections": """
        SELECT 'tutor' AS first_profile_type, 789 AS first_profile_id, 'student' AS second_profile_type, 456 AS second_profile_id
    """,
    "profile_settings": """
        SELECT profile_type, profile_id, CASE profile_type WHEN 'tutor' THEN 'connections' ELSE 'friends' END AS privacy,
               {false} AS do_not_disturb
        FROM conversation_members
    """,
    "blocks": """
        SELECT 'tutor' AS blocker_profile_type, 789 AS blocker_profile_id, 'parent' AS blocked_profile_type,
               1 AS blocked_profile_id, created_at
        FROM call_logs WHERE id = 1
    """,
}


async def define(engine: AsyncEngine, **instead: str) -> None:
    postgresql = engine.dialect.name == "postgresql"
    async with engine.begin() as connection:
        for name, definition in {**VIEW_DEFINITIONS, **instead}.items():
            words = {"true": "true", "false": "false"} if postgresql else {"true": "1", "false": "0"}
            await connection.execute(text(f"DROP VIEW IF EXISTS {VIEW}{name}"))
            await connection.execute(text(f"CREATE VIEW {VIEW}{name} AS {definition.format(**words)}"))


@pytest.fixture
async def ours(empty_engine: AsyncEngine, database_url: str) -> AsyncIterator[AsyncEngine]:
    """The relay in a platform's database, where all that can come from views does."""
    await fill(empty_engine)
    await define(empty_engine)
    engine = create_engine(database_url, layout=Layout(TableSettings(database_prefix="r_", database_views=tuple(VIEWS))))
    await upgrade(engine, adopt=True)
    yield engine
    await engine.dispose()


async def test_the_directory_reads_the_views(ours: AsyncEngine) -> None:
    await require_views(ours)
    directory = SqlDirectory(ours)
    assert await directory.profile(STUDENT) == MAYA
    assert await directory.profile(Profile("parent", 1)) is None
    assert await directory.conversations(TUTOR) == [ConversationCard(1, (DANIEL, MAYA))]
    assert await directory.shared_conversation(STUDENT, TUTOR) == 1
    assert [one.whiteboard_session_id for one in await directory.whiteboard_sessions(STUDENT)] == [1]
    eligibility = await directory.eligibility(LESSON, STUDENT, TUTOR)
    assert (eligibility.caller, eligibility.callee) == (MAYA, DANIEL)
    assert (eligibility.members, eligibility.blocked, eligibility.connected, eligibility.privacy) == (
        True,
        False,
        True,
        Privacy.CONNECTIONS,
    )
    assert (await directory.eligibility(BOARD, Profile("parent", 1), TUTOR)).blocked
    settings = SqlSettings(ours)
    assert await settings.settings(TUTOR) == SettingsRecord(Privacy.CONNECTIONS)
    # A value that is none of ours must not let a call through.
    assert await settings.settings(STUDENT) == SettingsRecord(Privacy.NOBODY)
    assert [one.blocked.profile for one in await settings.blocks(TUTOR)] == [Profile("parent", 1)]


async def test_a_call_is_written_and_read(ours: AsyncEngine) -> None:
    for scope in (LESSON, BOARD):
        await _is_written_and_read(ours, scope)


async def _is_written_and_read(ours: AsyncEngine, scope: Scope) -> None:
    call_id = await call(ours, scope, caller=MAYA, callee=DANIEL, answered=10, reason="hangup")
    message = ChatMessage("m1", STUDENT, "hello", after(20))
    assert await SqlChatLog(ours).add(call_id, scope, message) == (scope is LESSON)
    found = await SqlHistory(ours, scope.kind).call(TUTOR, call_id)
    assert found is not None
    assert (found.call.scope, found.call.other, len(found.chat)) == (scope, ProfileCard(STUDENT, MAYA.name, ""), scope is LESSON)
    assert await SqlCallLog(ours, ThisNode("here"), scope.kind).close_own() == 0


async def test_data_from_views_is_read_only(ours: AsyncEngine) -> None:
    platform, settings = SqlPlatform(ours), SqlSettings(ours)
    for changing in (
        lambda: platform.put_profiles([MAYA]),
        lambda: platform.delete_profile(STUDENT),
        lambda: platform.put_scope(LESSON, [STUDENT]),
        lambda: platform.delete_scope(BOARD),
        lambda: platform.add_member(LESSON, STUDENT),
        lambda: platform.remove_member(LESSON, STUDENT),
        lambda: platform.connect(STUDENT, TUTOR),
        lambda: platform.disconnect(STUDENT, TUTOR),
        lambda: settings.change_settings(STUDENT, privacy=Privacy.EVERYONE),
        lambda: settings.block(STUDENT, TUTOR),
        lambda: settings.unblock(STUDENT, TUTOR),
    ):
        with pytest.raises(ReadOnly, match="views of the platform"):
            await changing()


async def test_the_relay_keeps_the_data_that_no_view_has(ours: AsyncEngine, database_url: str) -> None:
    """Profiles and conversations come from views, everything else is kept by the relay."""
    engine = create_engine(
        database_url, layout=Layout(TableSettings(database_prefix="r_", database_views=("profiles", "conversations")))
    )
    try:
        settings, directory = SqlSettings(engine), SqlDirectory(engine)
        assert await settings.block(STUDENT, TUTOR)
        await settings.change_settings(TUTOR, privacy=Privacy.NOBODY)
        await SqlPlatform(engine).connect(STUDENT, TUTOR)
        await SqlPlatform(engine).put_scope(BOARD, [STUDENT, TUTOR])
        eligibility = await directory.eligibility(LESSON, STUDENT, TUTOR)
        assert (eligibility.members, eligibility.blocked, eligibility.connected, eligibility.privacy) == (
            True,
            True,
            True,
            Privacy.NOBODY,
        )
        assert (await directory.eligibility(BOARD, STUDENT, TUTOR)).members
        assert await SqlPushSubscriptions(engine).add(STUDENT, "https://push.example/1", "key", "auth", T0)
        for unknown in (
            lambda: settings.change_settings(Profile("parent", 1)),
            lambda: settings.block(STUDENT, Profile("tutor", 1)),
        ):
            with pytest.raises(ValueError, match="no such profile"):
                await unknown()
        exported = await SqlPersonalData(engine).export(STUDENT)
        assert exported is not None
        assert (exported["profile"]["name"], len(exported["blocks"]), len(exported["conversations"])) == (MAYA.name, 1, 1)
        assert await SqlPersonalData(engine).erase(STUDENT, after(0))
        assert await rows(engine, "r_push_subscriptions") == []
    finally:
        await engine.dispose()


WRONG = {
    "a column is missing": ("conversations", "SELECT id FROM conversations", "relay_view_conversations: .*keep_chat"),
    "a type does not fit": (
        "conversation_members",
        "SELECT conversation_id, profile_type, CAST(profile_id AS text) AS profile_id FROM conversation_members",
        "type that does not fit: ",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_an_unsuitable_view_is_named_at_the_start(ours: AsyncEngine, empty_engine: AsyncEngine, wrong: str) -> None:
    name, definition, expected = WRONG[wrong]
    if wrong == "a type does not fit" and empty_engine.dialect.name == "sqlite":
        return  # which compares whatever there is
    await define(empty_engine, **{name: definition})
    with pytest.raises(ConfigurationError, match=expected):
        await require_views(ours)


async def test_a_view_that_is_missing_is_named_with_its_columns(ours: AsyncEngine, empty_engine: AsyncEngine) -> None:
    async with empty_engine.begin() as connection:
        await connection.execute(text("DROP VIEW relay_view_blocks"))
    columns = ", ".join(Known.metadata.tables[f"{KNOWN}blocks"].columns.keys())
    with pytest.raises(ConfigurationError, match=f"relay_view_blocks: .*; its columns are to be {columns}"):
        await require_views(ours)

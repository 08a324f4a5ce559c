import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.history import SqlHistory
from relay.db.platform import SqlPlatform
from relay.ids import Scope, ScopeKind
from tests.db.calls import Log, log_of
from tests.db.people import PARENT, STRANGER, STUDENT, TUTOR
from tests.kit.cluster import ThisNode
from tests.kit.databases import database_url, empty_engine, engine, postgresql, sqlite_with_schema

__all__ = [
    "database_url",
    "empty_engine",
    "engine",
    "kind",
    "log",
    "other_log",
    "platform",
    "postgresql",
    "scope",
    "sqlite_with_schema",
]


@pytest.fixture(params=ScopeKind)
def kind(request: pytest.FixtureRequest) -> ScopeKind:
    """Conversations and whiteboard sessions: each kind has tables of its own."""
    return ScopeKind(request.param)


@pytest.fixture
async def platform(engine: AsyncEngine) -> SqlPlatform:
    """The platform has put all profiles."""
    platform = SqlPlatform(engine)
    await platform.put_profiles([STUDENT, TUTOR, PARENT, STRANGER])
    return platform


@pytest.fixture
async def scope(platform: SqlPlatform, kind: ScopeKind) -> Scope:
    """Where the student, the tutor and the parent may call each other; chat messages are kept."""
    scope = Scope(kind, 7)
    await platform.put_scope(scope, [STUDENT.profile, TUTOR.profile, PARENT.profile], keep_chat=True)
    return scope


@pytest.fixture
def log(engine: AsyncEngine, kind: ScopeKind) -> Log:
    return log_of(ThisNode("here", 1), engine, kind)


@pytest.fixture
def other_log(engine: AsyncEngine, kind: ScopeKind) -> Log:
    """The log of another server on the same database."""
    return log_of(ThisNode("there", 2), engine, kind)


@pytest.fixture
def history(engine: AsyncEngine, scope: Scope) -> SqlHistory:
    return SqlHistory(engine, scope.kind)

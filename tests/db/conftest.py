import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.history import SqlHistory
from relay.db.platform import SqlPlatform
from relay.ids import Place, PlaceKind
from tests.db.calls import Log, log_of
from tests.db.people import PARENT, STRANGER, STUDENT, TUTOR
from tests.kit.databases import database_url, empty_engine, engine, postgresql, sqlite_with_schema

__all__ = [
    "database_url",
    "empty_engine",
    "engine",
    "kind",
    "log",
    "other_log",
    "place",
    "platform",
    "postgresql",
    "sqlite_with_schema",
]


@pytest.fixture(params=PlaceKind)
def kind(request: pytest.FixtureRequest) -> PlaceKind:
    """Conversations and whiteboard sessions: each kind has tables of its own."""
    return PlaceKind(request.param)


@pytest.fixture
async def platform(engine: AsyncEngine) -> SqlPlatform:
    """The platform has put all profiles."""
    platform = SqlPlatform(engine)
    await platform.put_profiles([STUDENT, TUTOR, PARENT, STRANGER])
    return platform


@pytest.fixture
async def place(platform: SqlPlatform, kind: PlaceKind) -> Place:
    """Where the student, the tutor and the parent may call each other; chat messages are kept."""
    place = Place(kind, 7)
    await platform.put_place(place, [STUDENT.profile, TUTOR.profile, PARENT.profile], keep_chat=True)
    return place


@pytest.fixture
def log(engine: AsyncEngine, kind: PlaceKind) -> Log:
    return log_of("here", engine, kind)


@pytest.fixture
def other_log(engine: AsyncEngine, kind: PlaceKind) -> Log:
    """The log of another server on the same database."""
    return log_of("there", engine, kind)


@pytest.fixture
def history(engine: AsyncEngine, place: Place) -> SqlHistory:
    return SqlHistory(engine, place.kind)

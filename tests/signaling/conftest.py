"""The service behind every WebSocket, on a real database and a real media engine."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.call_log import SqlCallLog
from relay.db.chat import SqlChatLog
from relay.db.demo import load_demo
from relay.db.directory import SqlDirectory
from relay.db.engine import create_engine
from relay.db.history import SqlMissedCalls
from relay.db.platform import SqlPlatform
from relay.db.schema.migrate import upgrade
from relay.ids import Profile, Scope, ScopeKind
from relay.media.api import RouterKind, TransportParameters
from relay.settings.calls import CallSettings
from relay.signaling.calls.context import Ports
from tests.kit.cluster import ThisNode
from tests.kit.wait import PATIENCE, eventually
from tests.signaling.harness import Harness
from tests.signaling.people import FAMILY, LESSON, PARENT, STUDENT, TIMERS, TUTOR, WHITEBOARD, Client, invitation


def sql_ports(database: AsyncEngine) -> Ports:
    return Ports(
        directory=SqlDirectory(database),
        logs={kind: SqlCallLog(database, ThisNode("test"), kind) for kind in ScopeKind},
        chat=SqlChatLog(database),
        missed=SqlMissedCalls(database),
    )


class SqlHarness(Harness):
    """On a real database, and so in real time."""

    def __init__(self, database: AsyncEngine, timers: CallSettings = TIMERS) -> None:
        self.database = database
        self.ports = sql_ports(database)
        super().__init__(self.ports, timers)

    async def rows(self) -> Sequence[Any]:
        await self.calls.writes.settled(PATIENCE)
        async with self.database.connect() as connection:
            return (await connection.execute(text("SELECT * FROM call_logs ORDER BY started_at, id"))).all()

    async def execute(self, statement: str) -> None:
        async with self.database.begin() as connection:
            await connection.execute(text(statement))

    async def join(self, profile: Profile, scope: Scope) -> None:
        """Make the profile a member."""
        await SqlPlatform(self.database).add_member(scope, profile)

    async def lose_the_log(self) -> None:
        """As when the database fails: from now on nothing can be written to `call_logs`."""
        await self.execute("ALTER TABLE call_logs RENAME TO lost")

    @contextlib.asynccontextmanager
    async def media_busy(self) -> AsyncIterator[None]:
        """While this lasts, the opening of a transport waits."""
        over, opening = asyncio.Event(), self.engine.open_transport

        async def later(router_id: str, transport_id: str, kind: RouterKind = RouterKind.DIRECT) -> TransportParameters:
            await over.wait()
            return await opening(router_id, transport_id, kind)

        self.engine.open_transport = later  # type: ignore[method-assign]
        try:
            yield
        finally:
            over.set()
            self.engine.open_transport = opening  # type: ignore[method-assign]

    async def invited_behind(self, caller: Client, callee: Profile, meanwhile: Callable[[], Awaitable[object]]) -> None:
        """The caller invites, and `meanwhile` happens before anything rings."""
        async with self.media_busy():
            before = self.calls.call_count
            inviting = asyncio.create_task(self.say(caller, invitation(callee)))
            await eventually(lambda: self.calls.call_count > before, "the invitation is taken")
            doing = asyncio.ensure_future(meanwhile())
            await asyncio.sleep(0)
        await asyncio.gather(inviting, doing)


@pytest.fixture(scope="session")
def filled_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the demo's people, to be copied. Besides what the demo has, the student and the parent share a
    conversation, the student and the tutor a whiteboard session, and the lesson's texts are kept."""
    file = tmp_path_factory.mktemp("filled") / "relay.db"

    async def fill() -> None:
        engine = create_engine(f"sqlite+aiosqlite:///{file}")
        await upgrade(engine)
        await load_demo(engine)
        platform = SqlPlatform(engine)
        await platform.put_scope(FAMILY, {STUDENT, PARENT})
        await platform.put_scope(LESSON, {STUDENT, TUTOR}, keep_chat=True)
        await platform.put_scope(WHITEBOARD, {STUDENT, TUTOR})
        await engine.dispose()

    asyncio.run(fill())
    return file


@pytest.fixture
async def database(filled_database: Path, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """A copy of that for this test alone."""
    engine = create_engine(f"sqlite+aiosqlite:///{shutil.copy(filled_database, tmp_path)}")
    yield engine
    await engine.dispose()


@pytest.fixture
def timers(request: pytest.FixtureRequest) -> CallSettings:
    """What the marker `settings` asks for, else the defaults."""
    marker = request.node.get_closest_marker("settings")
    return replace(TIMERS, **marker.kwargs) if marker else TIMERS


@pytest.fixture
async def harness(database: AsyncEngine, timers: CallSettings) -> AsyncIterator[SqlHarness]:
    harness = SqlHarness(database, timers)
    await harness.start()
    yield harness
    await harness.close()

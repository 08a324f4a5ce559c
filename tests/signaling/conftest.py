"""The service behind every WebSocket, on a real database and a real media engine, with devices that only keep what they get."""

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

from db.call_log import SqlCallLog
from db.demo import load_demo
from db.directory import SqlDirectory, insert_members
from db.engine import create_engine
from db.migrate import upgrade
from relay.ids import Profile
from relay.media.api import TransportParameters
from relay.media.engine import LocalEngine
from relay.signaling.call import Timers
from relay.signaling.calls import Calls
from tests.kit.wait import eventually
from tests.signaling.people import PARENT, STUDENT, TIMERS, TUTOR, FakeDevice, answer, invitation


class NotingEngine(LocalEngine):
    """A media engine that remembers the names of the transports it opened, oldest first."""

    opened: list[str]

    async def start(self) -> tuple[int, ...]:
        self.opened = []
        return await super().start()

    async def open_transport(self, bridge_id: str, transport_id: str) -> TransportParameters:
        self.opened.append(transport_id)
        return await super().open_transport(bridge_id, transport_id)


class Exchange:
    """`Calls` and everything that it stands on."""

    def __init__(self, database: AsyncEngine, timers: Timers = TIMERS) -> None:
        self.database = database
        self.engine = NotingEngine(lambda event: self.calls.media_event(event), ["127.0.0.1"])  # noqa: PLW0108 - calls comes below
        self.log = SqlCallLog(database, "test")
        self.calls = Calls(directory=SqlDirectory(database), log=self.log, engine=self.engine, timers=timers)

    async def connect(self, profile: Profile) -> FakeDevice:
        device = FakeDevice(profile)
        await self.calls.connected(device)
        return device

    async def ringing(self) -> tuple[FakeDevice, FakeDevice]:
        """The student calls the tutor: both devices."""
        caller, callee = await self.connect(STUDENT), await self.connect(TUTOR)
        await self.calls.receive(caller, invitation(TUTOR))
        assert caller.types() == ["call_state ringing"]
        assert callee.types() == ["call_invitation"]
        return caller, callee

    async def answered(self) -> tuple[FakeDevice, FakeDevice]:
        """The tutor has answered the student."""
        caller, callee = await self.ringing()
        await self.calls.receive(callee, answer())
        assert caller.types() == ["call_state ringing", "call_answer", "call_state answered"]
        assert callee.types() == ["call_invitation", "call_state answered"]
        return caller, callee

    async def rows(self) -> Sequence[Any]:
        """`call_logs`, oldest first."""
        async with self.database.connect() as connection:
            return (await connection.execute(text("SELECT * FROM call_logs ORDER BY id"))).all()

    async def ends(self) -> list[tuple[int, str, str | None]]:
        """Who called, the status and the reason, of each call."""
        return [(row.caller_profile_id, row.status, row.end_reason) for row in await self.rows()]

    async def execute(self, statement: str) -> None:
        async with self.database.begin() as connection:
            await connection.execute(text(statement))

    async def join(self, profile: Profile, conversation_id: int) -> None:
        """Make the profile a member."""
        async with self.database.begin() as connection:
            await insert_members(connection, conversation_id, [profile])

    async def lose_the_log(self) -> None:
        """As when the database fails: from now on nothing can be written to `call_logs`."""
        await self.execute("ALTER TABLE call_logs RENAME TO lost")

    @contextlib.asynccontextmanager
    async def log_busy(self) -> AsyncIterator[None]:
        """While this lasts, whoever writes to the database waits."""
        async with self.database.connect() as connection:
            await connection.execute(text("BEGIN IMMEDIATE"))
            yield
            await connection.rollback()

    async def invited_behind(self, caller: FakeDevice, callee: Profile, meanwhile: Callable[[], Awaitable[object]]) -> None:
        """The caller invites, and `meanwhile` happens before the call is in the log."""
        async with self.log_busy():
            before = self.calls.call_count
            inviting = asyncio.create_task(self.calls.receive(caller, invitation(callee)))
            await eventually(lambda: self.calls.call_count > before, "the invitation is taken")
            doing = asyncio.ensure_future(meanwhile())
            await asyncio.sleep(0)
        await asyncio.gather(inviting, doing)

    async def nothing_is_left(self) -> None:
        """No call, no transport."""
        counters = await self.engine.counters()
        assert self.calls.call_count == 0
        assert counters["transports_opened"] == counters["transports_closed"]


@pytest.fixture(scope="session")
def filled_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the demo's people, to be copied. Besides them, the student and the parent share conversation 125."""
    file = tmp_path_factory.mktemp("filled") / "relay.db"

    async def fill() -> None:
        engine = create_engine(f"sqlite+aiosqlite:///{file}")
        await upgrade(engine)
        await load_demo(engine)
        assert await SqlDirectory(engine).add_conversation({STUDENT, PARENT}) == 125
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
def timers(request: pytest.FixtureRequest) -> Timers:
    """What the marker `settings` asks for, else the defaults."""
    marker = request.node.get_closest_marker("settings")
    return replace(TIMERS, **marker.kwargs) if marker else TIMERS


@pytest.fixture
async def exchange(database: AsyncEngine, timers: Timers) -> AsyncIterator[Exchange]:
    """Whatever a test does: at its end every call can be ended, and nothing is left of it."""
    exchange = Exchange(database, timers)
    await exchange.engine.start()
    await exchange.calls.start()
    yield exchange
    await exchange.calls.close()
    await exchange.nothing_is_left()
    await exchange.engine.close()

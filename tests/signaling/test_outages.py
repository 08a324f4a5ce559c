"""Calls on a real database that fails in mid-call: people talk on, and the rows are true in the end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.engine import create_engine
from relay.db.outage import WatchedEngine
from tests.kit.outages import locked
from tests.kit.wait import eventually
from tests.signaling.conftest import SqlHarness
from tests.signaling.log.test_journal import disk_with
from tests.signaling.people import HANG_UP, STUDENT, TUTOR, answer, frame, invitation

SOON = 0.1
"""Seconds that anything waits for the database here."""


@pytest.fixture
async def hasty(database: AsyncEngine) -> AsyncIterator[SqlHarness]:
    engine = create_engine(database.url, SOON)
    harness = SqlHarness(engine)
    await harness.start()
    yield harness
    await harness.close()
    await engine.dispose()


async def talk_and_hang_up(harness: SqlHarness) -> None:
    """A whole call, while nothing can be written."""
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR))
    await harness.say(callee, answer())
    await harness.say(caller, frame("call_chat", text="hello"))
    await harness.say(caller, HANG_UP)
    assert callee.types() == ["call_invitation", "call_state answered", "call_chat", "call_ended hangup"]


async def an_attempt_has_failed(harness: SqlHarness) -> None:
    assert isinstance(harness.database, WatchedEngine)
    counters = harness.database.outage.counters
    await eventually(lambda: counters["failures"], "an attempt has failed")


async def all_written(harness: SqlHarness) -> None:
    await eventually(lambda: harness.calls.writes.waiting == 0, "everything is in the database")
    assert await harness.ends() == [(456, "ended", "hangup")]
    assert harness.calls.writes.counters["late"] >= 3


async def test_a_call_while_another_process_locks_the_file(hasty: SqlHarness) -> None:
    async with locked(Path(hasty.database.url.database or "")):
        await talk_and_hang_up(hasty)
        await an_attempt_has_failed(hasty)
    await all_written(hasty)


async def test_a_call_while_the_disk_is_full(hasty: SqlHarness) -> None:
    with disk_with(0):
        await talk_and_hang_up(hasty)
        await an_attempt_has_failed(hasty)
    await all_written(hasty)

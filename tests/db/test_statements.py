"""Statements that every connection runs are built once, and not each time."""

from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.directory import SqlDirectory
from relay.db.history import SqlMissedCalls
from relay.db.platform import SqlPlatform
from tests.db.people import STUDENT
from tests.kit.garbage import garbage_of


async def test_what_each_connection_asks_leaves_nothing_to_the_garbage_collector(
    engine: AsyncEngine, platform: SqlPlatform
) -> None:
    directory, missed = SqlDirectory(engine), SqlMissedCalls(engine)

    async def connection() -> None:
        await directory.profile(STUDENT.profile)
        await missed.unseen(STUDENT.profile, 10)

    assert not await garbage_of(connection, 20)

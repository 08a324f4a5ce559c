"""Random interleavings of everything that can happen, each written down in memory and in a database."""

import asyncio
import shutil
from collections.abc import Awaitable, Collection, Coroutine, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import text as sql

from relay.db.call_log import SqlCallLog
from relay.db.engine import create_engine
from relay.ids import ScopeKind
from relay.signaling.ports import UNKNOWN_PATH, CallLog, MediaPath, NewCall
from tests.kit.clock import VirtualClockLoop
from tests.kit.cluster import ThisNode
from tests.kit.memory import MemoryCallLog
from tests.signaling.life import live
from tests.signaling.test_lives import STEPS, Lives

pytestmark = pytest.mark.long

T = TypeVar("T")


class TwiceWritten(MemoryCallLog):
    """Keeps calls in memory and in a database, which must agree."""

    def __init__(self, kind: ScopeKind, database: CallLog) -> None:
        super().__init__(kind)
        self._database = database

    async def opened(self, call: NewCall) -> None:
        await self._both(super().opened(call), self._database.opened(call))

    async def answered(self, call_id: str, at: datetime) -> None:
        await self._both(super().answered(call_id, at), self._database.answered(call_id, at))

    async def updated(self, call_id: str, call_type: str) -> None:
        await self._both(super().updated(call_id, call_type), self._database.updated(call_id, call_type))

    async def ended(
        self,
        call_id: str,
        at: datetime,
        reason: str,
        *,
        answered_at: datetime | None = None,
        caller: MediaPath = UNKNOWN_PATH,
        callee: MediaPath = UNKNOWN_PATH,
        decline_message: str | None = None,
    ) -> int | None:
        given = (call_id, at, reason)
        here = super().ended(*given, answered_at=answered_at, caller=caller, callee=callee, decline_message=decline_message)
        there = self._database.ended(
            *given, answered_at=answered_at, caller=caller, callee=callee, decline_message=decline_message
        )
        return await self._both(here, there)

    async def heartbeat(self, call_ids: Sequence[str], at: datetime) -> Collection[str]:
        return await self._both(_sorted(super().heartbeat(call_ids, at)), _sorted(self._database.heartbeat(call_ids, at)))

    async def close_own(self) -> int:
        return await self._both(super().close_own(), self._database.close_own())

    async def signs(self, beats: Collection[datetime]) -> Mapping[str, datetime]:
        return await self._both(super().signs(beats), self._database.signs(beats))

    async def close_stale(self, signs: Mapping[str, datetime]) -> int:
        return await self._both(super().close_stale(signs), self._database.close_stale(signs))

    async def _both(self, here: Coroutine[Any, Any, T], there: Coroutine[Any, Any, T]) -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualClockLoop)
        with loop.outside():
            tasks = [asyncio.ensure_future(one) for one in (here, there)]
            await asyncio.wait(tasks)
        errors = [one.exception() for one in tasks]
        assert type(errors[0]) is type(errors[1]), f"{errors[0]!r} in memory, {errors[1]!r} in the database"
        first, second = (one.result() for one in tasks)
        assert first == second
        return first


async def _sorted(found: Awaitable[Collection[str]]) -> list[str]:
    return sorted(await found)


class LivesInDatabase(Lives):
    """The same, and what is written down is there."""

    empty: Path
    """A database without rows."""

    def __init__(self) -> None:
        super().__init__()
        self.file = shutil.copy(self.empty, self.empty.with_name("life.db"))
        self.database = create_engine(f"sqlite+aiosqlite:///{self.file}")
        for kind in ScopeKind:
            self.harness.logs[kind] = TwiceWritten(kind, SqlCallLog(self.database, ThisNode("test"), kind))
        self.after.append(self._compare_rows)

    async def _compare_rows(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualClockLoop)
        with loop.outside():
            for kind, table in zip(ScopeKind, ("call_logs", "whiteboard_call_history"), strict=True):
                async with self.database.connect() as connection:
                    query = f"SELECT call_id, status, end_reason, call_type, duration_seconds FROM {table}"
                    rows = [tuple(row) for row in await connection.execute(sql(query))]
                # Of two that were written at once, the database may have taken the second first.
                assert sorted(rows) == sorted(
                    (one.call_id, one.status, one.end_reason, one.call_type, one.duration_seconds)
                    for one in self.harness.logs[kind].entries.values()
                )
            await self.database.dispose()


def test_whatever_happens_is_written_down_in_the_database(filled_database: Path, tmp_path: Path) -> None:
    LivesInDatabase.empty = Path(shutil.copy(filled_database, tmp_path))
    live(LivesInDatabase, STEPS // 10)

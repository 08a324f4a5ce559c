"""Requests as a profile, and calls in the database for it to read."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.call_log import SqlCallLog
from relay.db.chat import SqlChatLog
from relay.db.demo import LESSONS, WHITEBOARD
from relay.db.engine import create_engine
from relay.ids import Profile, Scope, new_id
from relay.records.profiles import ProfileCard
from relay.signaling.ports import UNKNOWN_PATH, ChatMessage, MediaPath, NewCall
from tests.http.conftest import bearer
from tests.kit.cluster import ThisNode
from tests.kit.server import RunningRelay

MAYA, DANIEL, ELENA, VICTOR = "student_456", "tutor_789", "parent_321", "advertiser_654"
"""Those of the demo. Maya and Daniel share a conversation and a whiteboard session, Daniel and Elena another conversation."""

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)

__all__ = ["DANIEL", "ELENA", "LESSONS", "MAYA", "T0", "VICTOR", "WHITEBOARD", "Calls", "asked", "calls_of", "milliseconds"]


def milliseconds(minute: float) -> int:
    """So many minutes after `T0`, as the API says it."""
    return int((T0 + timedelta(minutes=minute)).timestamp() * 1000)


async def asked(
    http: aiohttp.ClientSession, method: str, path: str, who: str | dict[str, str], **options: Any
) -> tuple[int, Any]:
    """Status and body of the answer to a profile's request, or to one with other headers."""
    headers = bearer(who) if isinstance(who, str) else who
    async with http.request(method, path, headers=headers, **options) as response:
        return response.status, await response.json() if await response.read() else None


@dataclass(frozen=True)
class Calls:
    """Writes calls into the database that a relay reads."""

    database: AsyncEngine

    async def add(
        self,
        minute: float,
        caller: str = DANIEL,
        callee: str = MAYA,
        *,
        scope: Scope = LESSONS,
        reason: str = "no_answer",
        caller_path: MediaPath = UNKNOWN_PATH,
        callee_path: MediaPath = UNKNOWN_PATH,
    ) -> str:
        """Add an unanswered call, or (`hangup`) one that lasted a minute; its id."""
        call_id, at = new_id(), T0 + timedelta(minutes=minute)
        log = SqlCallLog(self.database, ThisNode("here"), scope.kind)
        parties = [ProfileCard(Profile.parse(key), f"Called {key}", "") for key in (caller, callee)]
        await log.opened(NewCall(call_id, scope, "video", parties[0], parties[1], at))
        if reason == "hangup":
            await log.answered(call_id, at)
            at += timedelta(minutes=1)
        await log.ended(call_id, at, reason, caller=caller_path, callee=callee_path)
        return call_id

    async def say(self, call_id: str, author: str, text: str, minute: float) -> None:
        """A text within a call."""
        message = ChatMessage(new_id(), Profile.parse(author), text, T0 + timedelta(minutes=minute))
        await SqlChatLog(self.database).add(call_id, LESSONS, message)


@contextlib.asynccontextmanager
async def calls_of(relay: RunningRelay) -> AsyncIterator[Calls]:
    database = create_engine(relay.database_url)
    try:
        yield Calls(database)
    finally:
        await database.dispose()

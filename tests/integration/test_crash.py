"""A server that is killed in the middle of many calls."""

import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from relay.ids import Profile
from relay.signaling.log.heartbeat import INTERVAL
from tests.kit.process import Server, serving
from tests.kit.wait import eventually
from tests.sdp.descriptions import VOICE_ANSWER, VOICE_OFFER

pytestmark = pytest.mark.servers

CALLS = 50


class Line:
    """Two devices without media, in a call."""

    def __init__(self, http: aiohttp.ClientSession, server: Server, number: int) -> None:
        self._http, self._server = http, server
        self._caller, self._callee = Profile("student", 1000 + number), Profile("tutor", 1000 + number)

    async def talk(self, sockets: contextlib.AsyncExitStack) -> None:
        """Invite and answer."""
        caller, callee = [await sockets.enter_async_context(await self._connect(one)) for one in (self._caller, self._callee)]
        conversation_id = await self._server.relay.new_conversation(self._caller.key, self._callee.key)
        to = {"to_profile_id": self._callee.profile_id, "to_profile_type": self._callee.profile_type}
        offer = {"type": "offer", "sdp": VOICE_OFFER}
        about = {"conversation_id": conversation_id}
        await caller.send_json({"type": "call_invitation", "call_type": "voice", "offer": offer, **about, **to})
        await _until(callee, "call_invitation")
        await callee.send_json({"type": "call_answer", "answer": {"type": "answer", "sdp": VOICE_ANSWER}, **about})
        await _until(caller, "call_answer")

    async def _connect(self, profile: Profile) -> aiohttp.client._BaseRequestContextManager[aiohttp.ClientWebSocketResponse]:
        async with self._http.post("/api/dev/login", json=profile._asdict()) as response:
            token = (await response.json())["token"]
        path = f"/ws/{profile.profile_id}/{profile.profile_type}?version=2"
        return self._http.ws_connect(path, protocols=("bearer", token))


async def _until(socket: aiohttp.ClientWebSocketResponse, kind: str) -> None:
    while (await socket.receive_json(timeout=20.0))["type"] != kind:
        pass


@contextlib.asynccontextmanager
async def talking(server: Server) -> AsyncIterator[None]:
    """Fifty calls, answered."""
    async with contextlib.AsyncExitStack() as sockets, aiohttp.ClientSession(server.relay.url) as http:
        for number in range(CALLS):
            await Line(http, server, number).talk(sockets)
        yield


async def test_no_row_is_left_open_by_a_server_that_was_killed_in_the_middle_of_fifty_calls(tmp_path: Path) -> None:
    async with serving(tmp_path, connect_timeout="600", media_grace="600") as server, talking(server):

        async def all_beat() -> bool:
            rows = await server.relay.call_logs()
            return len(rows) == CALLS and all(row["heartbeat_at"] is not None for row in rows)

        await eventually(all_beat, "every call has had a heartbeat")
        await server.stop(signal.SIGKILL)
        killed_at = datetime.now(UTC).replace(tzinfo=None)
    async with serving(tmp_path) as server:
        rows = await server.relay.call_logs()
        assert len(rows) == CALLS
        for row in rows:
            assert (row["status"], row["end_reason"]) == ("ended", "expired")
            assert timedelta(0) <= killed_at - row["ended_at"] <= timedelta(seconds=INTERVAL + 1), "off by more than a heartbeat"
            assert row["duration_seconds"] == (row["ended_at"] - row["answered_at"]) // timedelta(seconds=1)
        await server.stop(signal.SIGINT)


@pytest.mark.parametrize("journal", ["calls.journal", "other.journal"], ids=["with its journal", "with a journal of its own"])
async def test_a_second_server_of_the_same_name_on_the_same_database_ends_no_call_of_the_first(
    tmp_path: Path, journal: str
) -> None:
    """As in a restart that overlaps, or where nothing tells servers apart but what they are."""
    async with serving(tmp_path, connect_timeout="600", media_grace="600") as first, contextlib.AsyncExitStack() as sockets:
        http = await sockets.enter_async_context(aiohttp.ClientSession(first.relay.url))
        await Line(http, first, 0).talk(sockets)

        async def state() -> tuple[str, str | None] | None:
            rows = await first.relay.call_logs()
            assert len(rows) <= 1
            return (rows[0]["status"], rows[0]["end_reason"]) if rows else None

        await eventually(lambda: _is(state, ("answered", None)), "the answer is written")
        async with serving(tmp_path, journal=str(tmp_path / journal)) as second:
            assert await state() == ("answered", None)
            assert (await second.stop(signal.SIGTERM)).status == 0
        assert await state() == ("answered", None)
        await first.stop(signal.SIGTERM)
        assert await state() == ("ended", "server_shutdown")
    left = [one.name for one in files_in(tmp_path) if "journal" in one.name]
    assert left == [], "both have stopped in order"


async def _is(state: Callable[[], Awaitable[object]], wanted: object) -> bool:
    return await state() == wanted


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())

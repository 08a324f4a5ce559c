"""The relay while its database is away."""

import contextlib
import logging
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from relay.ids import Profile
from tests.http.conftest import SECRET, bearer, socket_of
from tests.kit.databases import PostgresServer, postgresql
from tests.kit.outages import frozen, refusing
from tests.kit.process import serving
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually
from tests.signaling.people import HANG_UP, LESSON, TUTOR, answer, invitation

__all__ = ["postgresql"]


ALONE: Final[dict[str, Any]] = {"recording": "off", "recording_directory": ""}
"""Nothing looks after recordings: what fails in an outage is what a test has asked for."""


@dataclass(frozen=True)
class Stage:
    """A relay on PostgreSQL, and an HTTP client."""

    server: PostgresServer
    relay: RunningRelay
    http: aiohttp.ClientSession

    @contextlib.asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        async with refusing(self.server, self.relay.database_url):
            yield


@pytest.fixture
async def stage(postgresql: PostgresServer, tmp_path: Path) -> AsyncIterator[Stage]:
    async with (
        postgresql.database() as url,
        running_relay(
            tmp_path, database_url=url, jwt_secret=SECRET, service_token=SECRET, media_host="127.0.0.1", **ALONE
        ) as relay,
        aiohttp.ClientSession(relay.url, cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield Stage(postgresql, relay, http)


async def until(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, object]:
    while (message := await socket.receive_json(timeout=20.0))["type"] != kind:
        pass
    return dict(message)


REQUESTS = {
    "history": ("GET", "/api/calls", "student_456", None),
    "settings": ("PUT", "/api/settings", "student_456", {"do_not_disturb": True}),
    "WebSocket": ("GET", "/ws/456/student", "student_456", None),
    "platform": ("POST", "/api/admin/sync", "", {"profiles": [{"profile_type": "tutor", "profile_id": 5, "name": "Ann"}]}),
}


async def test_requests_during_an_outage_are_answered_with_a_retry_and_logged_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "A" * 22 + "==",
    }

    async def idle() -> bool:
        return not (await stage.relay.counters())["relay_database_connections_used"]

    await eventually(idle, "what the relay asks for at its start is answered")
    async with stage.outage():
        for name, (method, path, who, body) in REQUESTS.items():
            headers = bearer(who) if who else {"Authorization": f"Bearer {SECRET}"}
            extra = upgrade if name == "WebSocket" else {}
            async with stage.http.request(method, path, headers={**headers, **extra}, json=body) as response:
                assert (name, response.status, response.headers.get("Retry-After")) == (name, 503, "5")
                assert (await response.json())["error"]["code"] == "unavailable"
    async with stage.http.get("/api/calls", headers=bearer("student_456")) as response:
        assert response.status == 200
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.name for record in lines if record.name == "relay.db.outage"] == ["relay.db.outage"]
    assert not [record for record in lines if record.exc_info], "no traceback"
    counters = await stage.relay.counters()
    assert (counters["relay_database_outages_total"], counters["relay_database_failures_total"]) == (1, 4)


async def test_a_party_that_loses_its_connection_comes_back_to_its_call_while_the_database_is_away(stage: Stage) -> None:
    student = Profile.parse("student_456")
    path = f"/ws/{student.profile_id}/{student.profile_type}?version=2"
    async with socket_of(stage.http, "tutor_789") as tutor:
        async with stage.http.ws_connect(path, headers=bearer(student.key)) as first:
            welcome = await until(first, "welcome")
            await first.send_str(invitation(TUTOR, LESSON))
            await until(tutor, "call_invitation")
            await tutor.send_str(answer(LESSON))
            state = await until(first, "call_answer")
        async with stage.outage():
            again = f"{path}&resume={welcome['resume']}&last_seq={state['seq']}"
            async with stage.http.ws_connect(again, headers=bearer(student.key)) as second:
                back = await until(second, "welcome")
                assert (back["resumed"], back["name"]) == (True, welcome["name"])
                assert (await until(second, "call_state"))["state"] == "answered"


async def test_an_end_that_is_told_while_the_database_hangs_is_written_with_its_own_time(stage: Stage) -> None:
    async with socket_of(stage.http, "tutor_789") as tutor, socket_of(stage.http, "student_456") as student:
        await student.send_str(invitation(TUTOR, LESSON))
        await until(tutor, "call_invitation")
        with frozen(stage.server):
            await tutor.send_str(answer(LESSON))
            await until(student, "call_answer")
            await student.send_str(HANG_UP)
            told = await until(tutor, "call_ended")
            # As long as nothing answers, nothing is written: it was told before.
        row = await stage.relay.finished_call()
        assert (row["status"], row["end_reason"], row["duration_seconds"]) == ("ended", "hangup", told["duration_seconds"])


async def test_a_server_killed_during_an_outage_writes_the_pending_rows_at_its_next_start(
    postgresql: PostgresServer, tmp_path: Path
) -> None:
    settings = {"jwt_secret": SECRET, "workers": "0"}
    async with postgresql.database() as url:
        async with (
            serving(tmp_path, database_url=url, **settings) as server,
            aiohttp.ClientSession(server.relay.url) as http,
            socket_of(http, "tutor_789") as tutor,
            socket_of(http, "student_456") as student,
        ):
            await student.send_str(invitation(TUTOR, LESSON))
            await until(tutor, "call_invitation")
            async with refusing(postgresql, url):
                await tutor.send_str(answer(LESSON))
                await until(student, "call_answer")
                await student.send_str(HANG_UP)
                told = await until(tutor, "call_ended")
                ended_at = datetime.now(UTC).replace(tzinfo=None)
                await server.stop(signal.SIGKILL)
        async with serving(tmp_path, database_url=url, **settings) as server:
            [row] = await RunningRelay(server.relay.url, url).call_logs()
            assert (row["status"], row["end_reason"]) == ("ended", "hangup")
            assert row["duration_seconds"] == told["duration_seconds"]
            assert abs(row["ended_at"] - ended_at) < timedelta(seconds=2)
            await server.stop(signal.SIGTERM)

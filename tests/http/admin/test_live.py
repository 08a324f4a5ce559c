"""Those who were deleted, removed, blocked or logged out are out at once."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text

from relay.composition.limits import AppLimits
from relay.db.engine import create_engine
from tests.http.admin.conftest import PLATFORM, SERVICE_TOKEN, Admin
from tests.http.conftest import SECRET, bearer
from tests.http.live import Socket, heard, talking
from tests.http.records import DANIEL, MAYA, asked
from tests.kit.server import RunningRelay, running_relay

MAYAS = "/profiles/student/456"
DANIELS = "/profiles/tutor/789"
LESSONS = "/conversations/123"


async def closed(socket: Socket) -> int | None:
    """The code that the server closes it with."""
    while (message := await socket.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT:
        continue
    return message.data if message.type is aiohttp.WSMsgType.CLOSE else None


DELETED = {
    "deleted": ("DELETE", MAYAS, None),
    "erased": ("DELETE", f"{MAYAS}/data", None),
    "deleted among others": ("POST", "/sync", {"profiles": [{"profile_type": "student", "profile_id": 456, "deleted": True}]}),
}


@pytest.mark.parametrize("request_", DELETED.values(), ids=DELETED.keys())
async def test_a_deleted_profile_is_disconnected_at_once(
    admin: Admin, http: aiohttp.ClientSession, relay: RunningRelay, request_: tuple[str, str, Any]
) -> None:
    token = bearer(MAYA)
    async with talking(http) as (mayas, daniels):
        await admin(*request_)
        assert (await heard(daniels, "call_ended"))["reason"] == "terminated"
        assert await closed(mayas) == 4401
        await daniels.send_str('{"type": "ping", "ref": "still there"}')
        await heard(daniels, "pong")
    assert (await asked(http, "GET", "/api/calls", token))[0] == 401
    assert (await relay.finished_call())["end_reason"] == "terminated"
    await admin("PUT", MAYAS, {"name": "Maya"})
    assert (await asked(http, "GET", "/api/calls", token))[0] == 200, "the same person, says the platform"


async def test_chat_after_an_erasure_is_not_kept(admin: Admin, http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    members = [{"profile_type": "student", "profile_id": 456}, {"profile_type": "tutor", "profile_id": 789}]
    await admin("PUT", LESSONS, {"members": members, "keep_chat": True})
    async with talking(http) as (mayas, daniels):
        await mayas.send_json({"type": "call_chat", "conversation_id": 123, "text": "before"})
        await heard(daniels, "call_chat")
        await admin("DELETE", f"{MAYAS}/data")
        with contextlib.suppress(ConnectionError):
            await mayas.send_json({"type": "call_chat", "conversation_id": 123, "text": "after"})
        assert await closed(mayas) == 4401
    engine = create_engine(relay.database_url)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT text FROM call_chat_messages"))).all() == []
        [participants] = (await connection.execute(text("SELECT participants FROM call_logs"))).scalars()
    await engine.dispose()
    assert [one["name"] for one in json.loads(participants)] == ["", "Daniel Okafor"]


ONLY_MAYA = {"members": [{"profile_type": "student", "profile_id": 456}]}
APART = {
    "removed from the conversation": ("DELETE", f"{LESSONS}/members/tutor/789", None, "terminated"),
    "not among its members any more": ("PUT", LESSONS, ONLY_MAYA, "terminated"),
    "the conversation is deleted": ("DELETE", LESSONS, None, "terminated"),
    "among others": ("POST", "/sync", {"conversations": [{"conversation_id": 123, **ONLY_MAYA}]}, "terminated"),
    "blocked": ("PUT", f"{MAYAS}/blocks/tutor/789", None, "hangup"),
    "his devices are disconnected": ("DELETE", f"{DANIELS}/devices", None, "terminated"),
    "his tokens are revoked": ("PUT", f"{DANIELS}/revocation", {}, "terminated"),
    "all tokens are revoked": ("PUT", "/revocation", {}, "terminated"),
}


@pytest.mark.parametrize("request_", APART.values(), ids=APART.keys())
async def test_a_call_ends_when_its_parties_may_no_longer_talk(
    admin: Admin, http: aiohttp.ClientSession, request_: tuple[str, str, Any, str]
) -> None:
    *request, reason = request_
    async with talking(http) as (mayas, _):
        assert (await admin(*request))[0] in (200, 204)
        assert (await heard(mayas, "call_ended"))["reason"] == reason


async def test_a_block_by_the_profile_itself_ends_the_call(http: aiohttp.ClientSession) -> None:
    async with talking(http) as (mayas, daniels):
        assert (await asked(http, "PUT", "/api/blocks/student/456", DANIEL))[0] == 204
        for socket in (mayas, daniels):
            assert (await heard(socket, "call_ended"))["reason"] == "hangup"


async def test_an_operator_ends_a_call(admin: Admin, http: aiohttp.ClientSession) -> None:
    async with talking(http) as (mayas, daniels):
        _, found = await admin("GET", "/calls")
        [call] = found["calls"]
        maya = {"profile_type": "student", "profile_id": 456}
        assert (call["caller"], call["conversation_id"], call["state"]) == (maya, 123, "answered")
        _, closer = await admin("GET", f"/calls/{call['call_id']}")
        assert (closer["call"], closer["media"]) == (call, {"caller": None, "callee": None}), "nothing has been measured yet"
        assert await admin("POST", f"/calls/{call['call_id']}/end") == (204, None)
        for socket in (mayas, daniels):
            assert (await heard(socket, "call_ended"))["reason"] == "terminated"
    assert (await admin("POST", f"/calls/{call['call_id']}/end"))[0] == 404
    assert (await admin("GET", f"/calls/{call['call_id']}"))[0] == 404
    assert await admin("GET", "/calls") == (200, {"calls": [], "unanswered": []})


async def test_tokens_that_were_issued_before_are_revoked_and_later_ones_are_good(
    admin: Admin, http: aiohttp.ClientSession
) -> None:
    old, his = bearer(MAYA), bearer(DANIEL)
    connectivity = await http.ws_connect("/ws/connectivity", headers=old)
    assert await admin("PUT", f"{MAYAS}/revocation", {}) == (204, None)
    assert await closed(connectivity) == 4401
    status, refused = await asked(http, "GET", "/api/calls", old)
    assert (status, refused["error"]["code"]) == (401, "unauthorized")
    with pytest.raises(aiohttp.WSServerHandshakeError) as upgrade:
        await http.ws_connect("/ws/456/student", headers=old)
    assert upgrade.value.status == 401
    for good in (bearer(MAYA), his):
        assert (await asked(http, "GET", "/api/calls", good))[0] == 200
    assert abs((await admin("GET", f"{MAYAS}/revocation"))[1]["issued_before"] / 1000 - time.time()) < 3600
    await admin("PUT", MAYAS, {"name": "Maya"})
    assert (await asked(http, "GET", "/api/calls", old))[0] == 401, "that is something else than a deletion"
    for _ in range(2):
        assert await admin("DELETE", f"{MAYAS}/revocation") == (204, None)
    assert (await admin("GET", f"{MAYAS}/revocation"))[1] == {"issued_before": None}
    assert (await asked(http, "GET", "/api/calls", old))[0] == 200


@pytest.mark.changes_nothing
@pytest.mark.parametrize("body", [{"issued_before": -1}, {"issued_before": "now"}, {"issued_before": 10**18}, {"before": 1}, []])
async def test_an_invalid_time_revokes_nothing(admin: Admin, http: aiohttp.ClientSession, body: Any) -> None:
    assert (await admin("PUT", f"{MAYAS}/revocation", body))[0] == 400
    assert (await asked(http, "GET", "/api/calls", bearer(MAYA)))[0] == 200


async def test_a_revocation_outlives_the_server_and_reaches_others(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "limits": AppLimits(revocation_interval=0.05),
        "jwt_secret": SECRET,
        "service_token": SERVICE_TOKEN,
        "media_host": "127.0.0.1",
    }
    old = bearer(MAYA)
    async with (
        running_relay(tmp_path, **settings) as one,
        running_relay(tmp_path, **settings, node="another") as other,
        aiohttp.ClientSession(one.url) as here,
        aiohttp.ClientSession(other.url) as there,
        there.ws_connect("/ws/456/student", headers=old) as socket,
    ):
        await heard(socket, "welcome")
        assert (await asked(here, "PUT", "/api/admin/profiles/student/456/revocation", PLATFORM, json={}))[0] == 204
        assert await closed(socket) == 4401
        assert (await asked(there, "GET", "/api/calls", old))[0] == 401
        assert (await asked(here, "DELETE", "/api/admin/profiles/tutor/789", PLATFORM))[0] == 204
    async with running_relay(tmp_path, **settings) as again, aiohttp.ClientSession(again.url) as http:
        assert (await asked(http, "GET", "/api/calls", old))[0] == 401
        assert (await asked(http, "GET", "/api/calls", bearer(MAYA)))[0] == 200

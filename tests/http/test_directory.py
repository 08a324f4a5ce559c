"""Who sees whom, and by which servers the relay is reached."""

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from relay.db.directory import SqlDirectory
from relay.db.engine import create_engine
from relay.db.revocations import SqlRevocations
from relay.http import directory
from relay.http.access.auth import HttpAuthenticator
from relay.http.access.revocations import Revocations
from relay.http.limits import HttpLimits
from relay.ice_servers import IceServer
from relay.ids import Profile
from relay.records.calls import Revocation
from relay.settings.limits import LimitSettings
from relay.signaling.ports import Directory
from tests.http.conftest import TOKENS, bearer


async def get(http: aiohttp.ClientSession, path: str, key: str) -> object:
    async with http.get(path, headers=bearer(key)) as response:
        assert response.status == 200
        return await response.json()


@pytest.mark.changes_nothing
@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("student_456", ["Daniel Okafor", "Elena Lindgren", "Maya Lindgren"]),
        ("tutor_789", ["Daniel Okafor", "Elena Lindgren", "Maya Lindgren"]),
        ("advertiser_654", ["Victor Hale"]),
        ("student_1", []),
    ],
)
async def test_a_profile_sees_itself_and_those_it_talks_to(http: aiohttp.ClientSession, key: str, names: list[str]) -> None:
    body = await get(http, "/api/profiles", key)
    assert isinstance(body, dict)
    assert [one["name"] for one in body["profiles"]] == names
    assert all(one.keys() == {"profile_type", "profile_id", "name", "avatar"} for one in body["profiles"])


async def test_a_profile_sees_its_conversations_and_no_other(http: aiohttp.ClientSession) -> None:
    maya = {"profile_type": "student", "profile_id": 456, "name": "Maya Lindgren", "avatar": ""}
    daniel = {"profile_type": "tutor", "profile_id": 789, "name": "Daniel Okafor", "avatar": ""}
    elena = {"profile_type": "parent", "profile_id": 321, "name": "Elena Lindgren", "avatar": ""}
    mine = {"conversation_id": 123, "members": [daniel, maya]}
    assert await get(http, "/api/conversations", "student_456") == {
        "conversations": [mine, {"conversation_id": 125, "members": [elena, maya]}]
    }
    assert await get(http, "/api/conversations", "tutor_789") == {
        "conversations": [mine, {"conversation_id": 124, "members": [daniel, elena]}]
    }
    assert await get(http, "/api/conversations", "advertiser_654") == {"conversations": []}


async def test_the_relay_is_its_own_turn_server(http: aiohttp.ClientSession) -> None:
    body = await get(http, "/api/ice-servers", "student_456")
    assert isinstance(body, dict)
    [server] = body["ice_servers"]
    assert [url.rpartition("?")[2] for url in server["urls"]] == ["transport=udp", "transport=tcp"]
    assert server["username"].endswith(":student_456")
    async with http.get("/api/ice-servers") as response:
        assert response.status == 401


async def test_each_profile_gets_servers_with_credentials_of_its_own() -> None:
    def servers(profile: Profile, host: str) -> list[IceServer]:
        turn = IceServer((f"turn:{host}:3478",), username=profile.key, credential="secret")
        return [IceServer(("stun:relay.test:3478",)), turn]

    async def nothing_is_open(_revocation: Revocation, _issued_before: float) -> None: ...

    engine = create_engine("sqlite+aiosqlite://")
    who = HttpAuthenticator(TOKENS, HttpLimits(LimitSettings()), Revocations(SqlRevocations(engine), nothing_is_open))
    provided = {HttpAuthenticator: who, Directory: SqlDirectory(engine), directory.IceServers: servers}
    app = web.Application()
    app.add_routes([route.bound(provided) for route in directory.ROUTES])
    async with (
        TestClient(TestServer(app)) as client,
        client.get("/api/ice-servers", headers={**bearer("tutor_789"), "Host": "relay.test:80"}) as response,
    ):
        assert await response.json() == {
            "ice_servers": [
                {"urls": ["stun:relay.test:3478"]},
                {"urls": ["turn:relay.test:3478"], "username": "tutor_789", "credential": "secret"},
            ]
        }
